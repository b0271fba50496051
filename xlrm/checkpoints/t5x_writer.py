"""T5X's checkpoints, written without T5X in its legacy layout; see `t5x`."""

from typing import Any

from etils import epath
from flax import serialization
import ml_dtypes
import numpy as np
import tensorstore as ts

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.storage import files

CHUNK = 2**26  # bytes of a zarr chunk, as T5X chooses them


def _chunks(shape: tuple[int, ...], itemsize: int) -> list[int]:
  """The largest axes halved until a chunk is small enough."""
  chunk = list(shape)
  while np.prod(chunk, dtype=np.int64) * itemsize > CHUNK:
    axis = int(np.argmax(chunk))
    size = chunk[axis] // 2
    while shape[axis] % size:
      size -= 1
    chunk[axis] = size
  return chunk


def _write_array(
  directory: epath.Path,
  name: str,
  array: stored.StoredArray,
  dtype: np.dtype,
) -> dict[str, Any]:
  """One zarr folder; returns the spec that the msgpack file holds."""
  metadata = {
    "chunks": _chunks(array.shape, dtype.itemsize),
    "compressor": {"id": "gzip", "level": 1},
    "shape": list(array.shape),
  }
  kind = "bfloat16" if dtype == ml_dtypes.bfloat16 else dtype.str
  place = {
    "driver": "zarr",
    "kvstore": t5x.kvstore(directory, name),
    "metadata": {**metadata, "dtype": kind},
  }
  target = ts.open(place, create=True, delete_existing=True).result()
  for index, values in array.parts():
    target[index].write(np.ascontiguousarray(values, dtype)).result()
  remote = place["kvstore"]["driver"] == "gcs"
  kvstore: dict[str, str] = {"driver": "file"}
  if remote:  # portable: readers put in the bucket where they find it
    kvstore = {"driver": "gcs", "bucket": "t5x-dummy-bucket"}
  return {
    "driver": "zarr",
    "dtype": np.dtype(dtype).name,
    "kvstore": {**kvstore, "path": f"{name}/"},
    "metadata": metadata,
  }


def write(
  model_dir: files.Name,
  parameters: stored.Stored,
  *,
  step: int = 0,
  moments: stored.Stored | None = None,
  dtype: str | None = None,
  progress: Any = None,
) -> epath.Path:
  """Writes `model_dir/checkpoint_<step>` in the legacy layout of T5X.

  It appears under its name when it is whole.

  Args:
    parameters: by path.
    step: of training.
    moments: of Adafactor, see `adafactor_moments`; without them T5X loads the
      parameters only (its initial checkpoints).
    dtype: of the parameters; None keeps each array's own.
    progress: called with the bytes of every array written.

  Raises:
    CheckpointError: the destination exists.
  """
  final = files.path(model_dir) / f"checkpoint_{step}"
  if final.exists():
    raise checkpoint_errors.CheckpointError(
      f"{final} exists already; choose another place"
    )
  with files.writing_folder(final) as directory:
    _write(directory, parameters, step, moments or {}, dtype, progress)
  return final


def _write(directory, parameters, step, moments, dtype, progress) -> None:
  target, states = {}, {}
  for name, array in parameters.items():
    kept = np.dtype(dtype) if dtype else array.dtype
    file = f"target.{name.replace('/', '.')}"
    target[name] = _write_array(directory, file, array, kept)
    if progress is not None:
      progress(array.nbytes)
  for name, array in moments.items():
    if name.endswith("/v") and array.shape != (1,):
      file = f"state.param_states.{name.replace('/', '.')}"
      states[name] = _write_array(directory, file, array, array.dtype)
    else:
      states[name] = np.asarray(array.whole())
  content = {
    "version": t5x.VERSION,
    "optimizer": {
      "target": stored.nest(target),
      "state": {
        "step": np.int32(step),
        "param_states": stored.nest(states),
      },
    },
  }
  packed = serialization.msgpack_serialize(content)
  files.write_bytes(directory / t5x.FILE, packed)
