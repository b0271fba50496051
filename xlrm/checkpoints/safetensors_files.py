"""safetensors files, read slice by slice and written tensor by tensor.

Reading is its own library's; writing is ours, because the library wants every
tensor of a file in memory at once.
"""

from collections.abc import Sequence
import json
import pathlib
from typing import Any

from etils import epath
import ml_dtypes
import numpy as np
import safetensors

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.storage import files

INDEX = "model.safetensors.index.json"
Item = tuple[str, stored.StoredArray, np.dtype]  # name, values, dtype written
DTYPES = {
  "F32": np.dtype(np.float32),
  "F16": np.dtype(np.float16),
  "BF16": np.dtype(ml_dtypes.bfloat16),
  "F64": np.dtype(np.float64),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


def names(file: pathlib.Path) -> list[str]:
  """Names of the tensors of a file.

  Raises:
    FileNotFoundError, CheckpointError: it is missing, damaged or no such file.
  """
  try:
    with safetensors.safe_open(file, "numpy") as tensors:
      return list(tensors.keys())
  except FileNotFoundError:
    raise
  except Exception as error:
    raise checkpoint_errors.CheckpointError(
      f"{file} is no safetensors file, or a damaged one ({error})"
    ) from error


def tensor(file: pathlib.Path, name: str) -> stored.StoredArray:
  """A tensor of a file, not yet read.

  Raises:
    CheckpointError: its dtype is none of DTYPES.
  """
  with safetensors.safe_open(file, "numpy") as tensors:
    part = tensors.get_slice(name)
    shape, code = tuple(part.get_shape()), part.get_dtype()
  if code not in DTYPES:
    raise checkpoint_errors.CheckpointError(
      f"{file}: {name} is stored as {code}; {', '.join(DTYPES)} can be read"
    )

  def read(index):
    with safetensors.safe_open(file, "numpy") as tensors:
      if not index:
        return tensors.get_tensor(name)
      return tensors.get_slice(name)[tuple(index)]

  return stored.StoredArray(shape, DTYPES[code], read)


def shards(items: Sequence[Item], size: int) -> list[list[Item]]:
  """Items in files of at most `size` bytes, unless one is larger."""
  result: list[list[Item]] = [[]]
  held = 0
  for item in items:
    count = int(np.prod(item[1].shape, dtype=np.int64)) * item[2].itemsize
    if result[-1] and held + count > size:
      result.append([])
      held = 0
    result[-1].append(item)
    held += count
  return result


def write(file: files.Name, items: Sequence[Item], progress: Any) -> None:
  """Writes one file, tensor by tensor; it is there whole or not at all.

  8 bytes with the header's length, the header as JSON, then the raw values
  (https://github.com/huggingface/safetensors).
  """
  header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
  offset = 0
  for name, array, dtype in items:
    size = int(np.prod(array.shape, dtype=np.int64)) * dtype.itemsize
    header[name] = {
      "dtype": CODES[dtype],
      "shape": list(array.shape),
      "data_offsets": [offset, offset + size],
    }
    offset += size
  text = json.dumps(header, separators=(",", ":")).encode()
  text += b" " * (-len(text) % 8)
  with files.writing(file) as target:
    target.write(len(text).to_bytes(8, "little"))
    target.write(text)
    for _, array, dtype in items:
      for _, values in array.parts():
        values = np.ascontiguousarray(values, dtype)
        # bfloat16 has no buffer protocol; its bytes have.
        target.write(memoryview(values.view(np.uint8)).cast("B"))
      if progress is not None:
        progress(array.nbytes)


def write_shards(
  directory: epath.Path, shards: Sequence[Sequence[Item]], progress: Any
) -> None:
  """Several files and the index that says which tensor is where."""
  places, total = {}, 0
  for number, shard in enumerate(shards, 1):
    name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
    write(directory / name, shard, progress)
    for tensor, array, dtype in shard:
      places[tensor] = name
      total += int(np.prod(array.shape, dtype=np.int64)) * dtype.itemsize
  index = {"metadata": {"total_size": total}, "weight_map": places}
  text = json.dumps(index, indent=2, sort_keys=True)
  files.write_text(directory / INDEX, f"{text}\n")
