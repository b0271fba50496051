"""Batches of a source in an `.npz` file.

They give a host without TensorFlow the same batches, byte for byte.
"""

from collections.abc import Mapping
import json
import zipfile
import zlib

import numpy as np

from xlrm.batches import batch_sources
from xlrm.batches import converters
from xlrm.batches import flat_examples
from xlrm.batches import mapped_npz
from xlrm.storage import files

NPZ_FORMAT = 3


def write_npz(
  path: files.Name,
  source: batch_sources.ArraySource,
  *,
  compressed: bool = True,
) -> None:
  """Writes a source's examples and texts, whole or not at all.

  Args:
    path: .npz file.
    source: what is written.
    compressed: otherwise `npz_source` reads a row only when it is asked for.
  """
  kind = converters.name_of(source.converter)
  if kind not in converters.CONVERTERS:
    raise ValueError(f"{kind} is none of xlrm's converters")
  save = np.savez_compressed if compressed else np.savez
  with files.writing(path) as file:
    save(
      file,
      format=np.asarray(NPZ_FORMAT),
      kind=np.asarray(kind),
      parts=np.asarray(source.parts, np.float64).reshape(-1, 2),
      from_left=np.asarray(source.truncate_inputs_from_left),
      texts=np.frombuffer(json.dumps(dict(source.texts)).encode(), np.uint8),
      **flat_examples.flatten(source.train, "train"),
      **flat_examples.flatten(source.validation, "validation"),
    )


def _read_npz(path: files.Name) -> dict[str, np.ndarray]:
  if not files.local(path).is_file():
    raise FileNotFoundError(f"no batch file {path}")
  if not zipfile.is_zipfile(path):
    raise ValueError(f"{path} is no .npz file, or a truncated one")
  try:
    mapped = mapped_npz.arrays(path)
    with np.load(path) as file:
      read = {name: file[name] for name in file.files if name not in mapped}
    return {**read, **mapped}
  except (ValueError, OSError, EOFError, zlib.error, zipfile.error) as error:
    raise ValueError(f"{path} is a damaged .npz file: {error}") from error


def npz_source(
  path: files.Name,
  lengths: Mapping[str, int],
  batch_size: int,
  seed: int = 0,
  packing: bool = False,
) -> batch_sources.ArraySource:
  """Reads what `write_npz` wrote: the same batches, byte for byte.

  Args:
    path: .npz file.
    lengths: tokens of `inputs` and of `targets`, as when it was written.
    batch_size: rows of a batch.
    seed: of the order of the rows.
    packing: several short rows in one, of SFT.

  Raises:
    FileNotFoundError: no such file.
    ValueError: a damaged file, another kind of file, or another format.
  """
  arrays = _read_npz(path)
  if "format" not in arrays:
    raise ValueError(
      f"{path} was not written by xlrm.batches.npz_files.write_npz"
    )
  if (version := int(arrays["format"])) != NPZ_FORMAT:
    raise ValueError(
      f"{path} has format {version}, this xlrm reads {NPZ_FORMAT}: export it"
    )
  return batch_sources.ArraySource(
    train=flat_examples.unflatten(arrays, "train"),
    validation=flat_examples.unflatten(arrays, "validation"),
    lengths=lengths,
    batch_size=batch_size,
    converter=converters.CONVERTERS[str(arrays["kind"])],
    seed=seed,
    packing=packing,
    texts=json.loads(arrays["texts"].tobytes()),
    parts=[(int(size), float(rate)) for size, rate in arrays["parts"]],
    truncate_inputs_from_left=bool(arrays["from_left"]),
  )
