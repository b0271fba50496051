"""Hugging Face directories of the T5 family, written without torch."""

from collections.abc import Mapping, Sequence
import json
from typing import Any

from etils import epath
import numpy as np

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import huggingface_config
from xlrm.checkpoints import huggingface_names
from xlrm.checkpoints import safetensors_files
from xlrm.checkpoints import stored
from xlrm.models import t5
from xlrm.storage import files

SHARD = 5 * 10**9  # bytes of a shard, as transformers splits


def write(
  path: files.Name,
  parameters: stored.Stored,
  config: t5.T5Config,
  *,
  tokenizer_files: Sequence[files.Name] = (),
  extra: Mapping[str, Any] | None = None,
  dtype: str | None = None,
  shard_size: int = SHARD,
  progress: Any = None,
) -> epath.Path:
  """Writes a directory that transformers and `huggingface.read` open.

  It appears under its name when it is whole.

  Args:
    parameters: by T5X's path; a scorer's 'backbone/..' and 'head/..' too.
    tokenizer_files: copied along under their names.
    extra: further fields of `config.json`.
    dtype: float32, bfloat16 or float16; None keeps each array's own.
    shard_size: bytes of one file, unless a tensor is larger.
    progress: called with the bytes of every tensor written.

  Raises:
    CheckpointError: the destination exists, or the format cannot hold a dtype
      or a parameter.
  """
  final = files.path(path)
  if final.exists():
    raise checkpoint_errors.CheckpointError(
      f"{final} exists already; choose another place"
    )
  items = _items(parameters, dtype)
  fields = huggingface_config.fields_of(
    config, dtype=str(items[0][2]) if items else "float32"
  )
  shards = safetensors_files.shards(items, shard_size)
  with files.writing_folder(final) as folder:
    for file in tokenizer_files:
      copied = files.path(file)
      files.write_bytes(folder / copied.name, files.read_bytes(copied))
    if len(shards) == 1:
      weights = folder / huggingface.WEIGHTS
      safetensors_files.write(weights, shards[0], progress)
    else:
      safetensors_files.write_shards(folder, shards, progress)
    text = json.dumps({**fields, **(extra or {})}, indent=2)
    files.write_text(folder / huggingface_config.FILE, f"{text}\n")
  return final


def _items(
  parameters: stored.Stored, dtype: str | None
) -> list[safetensors_files.Item]:
  """Tensors by their name in the files, in its order."""
  items = []
  for name, array in parameters.items():
    kept = np.dtype(dtype) if dtype else array.dtype
    if kept not in safetensors_files.CODES:
      raise checkpoint_errors.CheckpointError(
        f"{name} is {kept}; safetensors of T5 hold "
        f"{', '.join(str(x) for x in safetensors_files.CODES)}"
      )
    bare = name.removeprefix("backbone/")
    matrix = huggingface_names.is_transposed(bare) and len(array.shape) == 2
    items.append(
      (
        huggingface_names.hub_name(name),
        array.transposed if matrix else array,
        kept,
      )
    )
  return sorted(items, key=lambda item: item[0])
