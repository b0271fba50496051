"""T5X's checkpoints, read and written without T5X.

The legacy layout (https://github.com/google-research/t5x, checkpoints.py) is a
folder `checkpoint_<step>` with a msgpack file `checkpoint`,

  {"version": 3,
   "optimizer": {"target": {..}, "state": {"step", "param_states"}}}

in which a leaf is an array or a TensorStore spec of a zarr folder beside it.
Version 2 differs in one thing: bfloat16 arrays lie there as uint16. Newer T5X
writes Orbax: a folder `state` with the tree {"target", "state"}.
"""

from collections.abc import Mapping
import os
import re
from typing import Any

from etils import epath
from flax import serialization
from flax import traverse_util
import jax
import ml_dtypes
import numpy as np
import optax
import orbax.checkpoint as ocp
import tensorstore as ts

from xlrm import types
from xlrm.checkpoints import stored
from xlrm.models import t5

FILE = "checkpoint"
ORBAX_ITEM = "state"
VERSION = 3
CHUNK = 2**26  # bytes of a zarr chunk, as T5X chooses them
MOMENTS = ("m", "v", "v_row", "v_col")
DRIVERS = ("file", "gfile", "gcs")
CheckpointError = stored.CheckpointError


def find(path: str | os.PathLike) -> epath.Path | None:
  """The checkpoint at a path, or the latest of a T5X model directory."""
  directory = epath.Path(path)
  if _is_checkpoint(directory):
    return directory
  if not directory.is_dir():
    return None
  steps = {
    int(match[1]): child
    for child in directory.iterdir()
    if (match := re.fullmatch(r"checkpoint_(\d+)", child.name))
    and _is_checkpoint(child)
  }
  return steps[max(steps)] if steps else None


def _is_checkpoint(directory: epath.Path) -> bool:
  return (directory / FILE).is_file() or (
    (directory / ORBAX_ITEM).is_dir() and not (directory / "params").exists()
  )


def _spec_path(spec: Mapping[str, Any]) -> str:
  kvstore = spec.get("kvstore", {})
  path = kvstore.get("path", spec.get("path"))
  if kvstore.get("driver") not in DRIVERS or path is None:
    raise CheckpointError(
      f"a TensorStore spec with the driver {kvstore.get('driver')!r} and the "
      f"path {path!r}; known drivers are {', '.join(DRIVERS)}"
    )
  return path.rstrip("/").rpartition("/")[2]


def _kvstore(directory: epath.Path, name: str) -> dict[str, str]:
  """Where an array lies now, whatever place its spec was written for."""
  match = re.fullmatch(r"gs://([^/]*)/(.*)", os.fspath(directory))
  if match:
    path = f"{match[2]}/{name}/"
    return {"driver": "gcs", "bucket": match[1], "path": path}
  path = f"{os.path.abspath(directory)}/{name}/"
  return {"driver": "file", "path": path}


def _is_spec(value: Any) -> bool:
  return isinstance(value, dict) and {"driver", "kvstore"} <= set(value)


def _open(directory: epath.Path, spec: Mapping[str, Any]):
  name = _spec_path(spec)
  place = {"driver": "zarr", "kvstore": _kvstore(directory, name)}
  try:
    return ts.open(place, open=True).result()
  except ValueError as error:
    raise CheckpointError(
      f"{directory / name} cannot be read; was the checkpoint copied whole? "
      f"({str(error).splitlines()[0][:200]})"
    ) from error


def _array(
  directory: epath.Path, value: Any, version: int
) -> stored.StoredArray:
  if not _is_spec(value):
    return stored.StoredArray.of(np.asarray(value))
  array = _open(directory, value)
  dtype = np.dtype(array.dtype.numpy_dtype)
  # The literal dtype of the spec says that a version 2 uint16 is a bfloat16.
  disguised = dtype == np.uint16 and (
    version < VERSION or value.get("dtype") == "bfloat16"
  )

  def read(index):
    values = array[index].read().result()
    return values.view(ml_dtypes.bfloat16) if disguised else values

  kept = np.dtype(ml_dtypes.bfloat16) if disguised else dtype
  return stored.StoredArray(tuple(array.shape), kept, read)


def _flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
  return traverse_util.flatten_dict(
    dict(tree), sep="/", is_leaf=lambda _, value: _is_spec(value)
  )


def _content(directory: epath.Path) -> dict[str, Any]:
  """What the msgpack file says.

  Raises:
    CheckpointError: it is damaged, or of a version that T5X too refuses.
  """
  path = directory / FILE
  try:
    content = serialization.msgpack_restore(path.read_bytes())
    version = content["version"]
    optimizer = content["optimizer"]
    _ = (optimizer["target"], optimizer["state"]["step"])
  except Exception as error:
    raise CheckpointError(
      f"{path} is no T5X checkpoint, or a damaged one ({error!r})"
    ) from error
  if version not in (2, VERSION):
    raise CheckpointError(
      f"{path} is of version {version}; T5X and xlrm read versions 2 and 3"
    )
  return content


def _orbax_tree(directory: epath.Path) -> dict[str, stored.StoredArray]:
  """Leaves of an Orbax checkpoint of T5X, each a TensorStore."""
  item = directory / ORBAX_ITEM
  if "://" not in os.fspath(item):
    item = item.absolute()  # of a relative path Orbax finds no metadata
  try:
    with ocp.PyTreeCheckpointer() as reader:
      tree = reader.metadata(item).item_metadata.tree
  except Exception as error:
    raise CheckpointError(
      f"{item} is no Orbax checkpoint, or a damaged one ({error!r})"
    ) from error
  leaves = {
    name.replace("/", "."): (leaf.shape, leaf.dtype)
    for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()
    if getattr(leaf, "shape", None) is not None
  }
  return stored.of_orbax(item, leaves, _kvstore(directory, ORBAX_ITEM))


def read(path: str | os.PathLike) -> dict[str, stored.StoredArray]:
  """Parameters by path, nothing read yet but names and shapes.

  Raises:
    CheckpointError: there is no checkpoint, or a damaged one.
  """
  directory = _found(path)
  if (directory / FILE).is_file():
    content = _content(directory)
    leaves = _flatten(content["optimizer"]["target"])
    return {
      name: _array(directory, value, content["version"])
      for name, value in leaves.items()
    }
  return {
    name.removeprefix("target/"): array
    for name, array in _orbax_tree(directory).items()
    if name.startswith("target/")
  }


def _found(path: str | os.PathLike) -> epath.Path:
  directory = find(path)
  if directory is None:
    raise CheckpointError(
      f"{path} is no T5X checkpoint: neither it nor a checkpoint_<step> in it "
      f"holds a file {FILE!r} or a folder {ORBAX_ITEM!r}"
    )
  return directory


def read_optimizer(
  path: str | os.PathLike,
) -> tuple[int, dict[str, stored.StoredArray]]:
  """(step, Adafactor's moments): 'decoder/../kernel/v_row' to its array."""
  directory = _found(path)
  if (directory / FILE).is_file():
    content = _content(directory)
    state = content["optimizer"]["state"]
    leaves = _flatten(state["param_states"] or {})
    return int(state["step"]), {
      name: _array(directory, value, content["version"])
      for name, value in leaves.items()
      if value is not None
    }
  tree = _orbax_tree(directory)
  prefix = "state/param_states/"
  return int(tree["state/step"].whole()), {
    name.removeprefix(prefix): array
    for name, array in tree.items()
    if name.startswith(prefix)
  }


def recognise(parameters: stored.Stored, where: Any) -> t5.T5Config:
  """The model whose parameters these are, from names and shapes alone.

  T5X stores no configuration. What shapes do not tell is assumed: 128 as
  relative distance, and gated GELU where there are two `wi`.

  Raises:
    CheckpointError: they are no encoder-decoder's of the T5 family.
  """
  shapes = {name: array.shape for name, array in parameters.items()}

  def layers(stack: str) -> int:
    found = {
      int(match[1])
      for name in shapes
      if (match := re.match(rf"{stack}/layers_(\d+)/", name))
    }
    return len(found)

  per_layer = "encoder/layers_0/relpos_bias/rel_embedding" in shapes
  table = "encoder/relpos_bias/rel_embedding"
  if per_layer:
    table = "encoder/layers_0/relpos_bias/rel_embedding"
  gated = "encoder/layers_0/mlp/wi_0/kernel" in shapes
  try:
    rows, width = shapes["token_embedder/embedding"]
    heads, buckets = shapes[table]
    joined = shapes["encoder/layers_0/attention/query/kernel"][1]
    mlp = shapes["encoder/layers_0/mlp/wo/kernel"][0]
  except KeyError as error:
    some = ", ".join(sorted(shapes)[:3])
    raise CheckpointError(
      f"{where} holds no encoder-decoder of the T5 family: no parameter "
      f"{error}; it has {some} .."
    ) from error
  return t5.T5Config(
    vocab_size=rows,
    emb_dim=width,
    num_heads=heads,
    head_dim=joined // heads,
    mlp_dim=mlp,
    num_encoder_layers=layers("encoder"),
    num_decoder_layers=layers("decoder"),
    mlp_activations=("gelu", "linear") if gated else ("relu",),
    tie_embeddings="decoder/logits_dense/kernel" not in shapes,
    rel_buckets=buckets,
    rel_bias_per_layer=per_layer,
  )


def adafactor_moments(state: Any) -> dict[str, stored.StoredArray]:
  """T5X's `param_states` of an optax Adafactor state.

  Raises:
    CheckpointError: the state is another optimizer's.
  """
  factored = [
    leaf
    for leaf in jax.tree.leaves(
      state, is_leaf=lambda x: isinstance(x, optax.FactoredState)
    )
    if isinstance(leaf, optax.FactoredState)
  ]
  if not factored:
    raise CheckpointError(
      "T5X's checkpoints hold the state of Adafactor; this optimizer has none"
    )
  moments = {"v": factored[0].v, "v_row": factored[0].v_row}
  moments["v_col"] = factored[0].v_col
  result = {}
  for moment, tree in moments.items():
    for name, array in stored.of_tree(tree).items():
      result[f"{name}/{moment}"] = array
  for name in [*stored.of_tree(factored[0].v)]:
    result[f"{name}/m"] = stored.StoredArray.of(np.zeros((1,), np.float32))
  return result


def moments_of(
  rest: stored.Stored, parameters: stored.Stored
) -> dict[str, stored.StoredArray] | None:
  """The same of the stored state of a run, see `native.read_rest`.

  None if its optimizer is another one, or does not cover every parameter.
  """
  pattern = re.compile(r"opt_state(?:/\d+)*/(v|v_row|v_col)/(.+)")
  found = {
    f"{match[2]}/{match[1]}": array
    for name, array in rest.items()
    if (match := pattern.fullmatch(name))
  }
  expected = {
    f"{name}/{moment}"
    for name in parameters
    for moment in ("v", "v_row", "v_col")
  }
  if found.keys() != expected:
    return None
  for name in parameters:
    found[f"{name}/m"] = stored.StoredArray.of(np.zeros((1,), np.float32))
  return found


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
    "kvstore": _kvstore(directory, name),
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
  model_dir: str | os.PathLike,
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
  final = epath.Path(model_dir) / f"checkpoint_{step}"
  if final.exists():
    raise CheckpointError(f"{final} exists already; choose another place")
  directory = epath.Path(model_dir) / f"checkpoint_{step}.partial"
  if directory.exists():
    directory.rmtree()
  directory.mkdir(parents=True)
  target, states = {}, {}
  for name, array in parameters.items():
    kept = np.dtype(dtype) if dtype else array.dtype
    file = f"target.{name.replace('/', '.')}"
    target[name] = _write_array(directory, file, array, kept)
    if progress is not None:
      progress(array.nbytes)
  for name, array in (moments or {}).items():
    if name.endswith("/v") and array.shape != (1,):
      file = f"state.param_states.{name.replace('/', '.')}"
      states[name] = _write_array(directory, file, array, array.dtype)
    else:
      states[name] = np.asarray(array.whole())
  content = {
    "version": VERSION,
    "optimizer": {
      "target": stored.nest(target),
      "state": {
        "step": np.int32(step),
        "param_states": stored.nest(states),
      },
    },
  }
  (directory / FILE).write_bytes(serialization.msgpack_serialize(content))
  return directory.rename(final)


def load(path: str | os.PathLike, abstract: types.Params) -> types.Params:
  """Parameters on devices; see `stored.place`."""
  return stored.place(read(path), abstract, path)
