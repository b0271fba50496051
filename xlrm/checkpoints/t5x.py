"""T5X's checkpoints, read without T5X; `t5x_writer` writes them.

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
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from xlrm import types
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import file_marks
from xlrm.checkpoints import stored
from xlrm.storage import files

FILE = "checkpoint"
ORBAX_ITEM = "state"
VERSION = 3
DRIVERS = ("file", "gfile", "gcs")


def find(path: files.Name) -> epath.Path | None:
  """The checkpoint at a path, or the latest of a T5X model directory."""
  directory = files.path(path)
  if _is_checkpoint(directory):
    return directory
  steps = {
    int(match[1]): child
    for child in files.listing(directory, "checkpoint_*")
    if (match := re.fullmatch(r"checkpoint_(\d+)", child.name))
    and _is_checkpoint(child)
  }
  return steps[max(steps)] if steps else None


def _is_checkpoint(directory: epath.Path) -> bool:
  return (directory / FILE).is_file() or (
    (directory / ORBAX_ITEM).is_dir() and not (directory / "params").exists()
  )


def _spec_path(spec: Mapping[str, Any]) -> str:
  place = spec.get("kvstore", {})
  path = place.get("path", spec.get("path"))
  if place.get("driver") not in DRIVERS or path is None:
    raise checkpoint_errors.CheckpointError(
      f"a TensorStore spec with the driver {place.get('driver')!r} and the "
      f"path {path!r}; known drivers are {', '.join(DRIVERS)}"
    )
  return path.rstrip("/").rpartition("/")[2]


def kvstore(directory: epath.Path, name: str) -> dict[str, str]:
  """TensorStore's name of a folder of a checkpoint, where it lies now."""
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
  place = {"driver": "zarr", "kvstore": kvstore(directory, name)}
  try:
    return ts.open(place, open=True).result()
  except ValueError as error:
    raise checkpoint_errors.CheckpointError(
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
    content = serialization.msgpack_restore(files.read_bytes(path))
    version = content["version"]
    optimizer = content["optimizer"]
    _ = (optimizer["target"], optimizer["state"]["step"])
  except Exception as error:
    raise checkpoint_errors.CheckpointError(
      f"{path} is no T5X checkpoint, or a damaged one ({error!r})"
    ) from error
  if version not in (2, VERSION):
    raise checkpoint_errors.CheckpointError(
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
    raise checkpoint_errors.CheckpointError(
      f"{item} is no Orbax checkpoint, or a damaged one ({error!r})"
    ) from error
  leaves = {
    name.replace("/", "."): (leaf.shape, leaf.dtype)
    for name, leaf in traverse_util.flatten_dict(tree, sep="/").items()
    if getattr(leaf, "shape", None) is not None
  }
  return stored.of_orbax(item, leaves, kvstore(directory, ORBAX_ITEM))


def read(path: files.Name) -> dict[str, stored.StoredArray]:
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


def _found(path: files.Name) -> epath.Path:
  directory = find(path)
  if directory is None:
    raise checkpoint_errors.CheckpointError(
      f"{path} is no T5X checkpoint: neither it nor a checkpoint_<step> in it "
      f"holds a file {FILE!r} or a folder {ORBAX_ITEM!r}"
    )
  return directory


def read_optimizer(
  path: files.Name,
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


def marks(checkpoint: epath.Path) -> list[str]:
  """What tells a checkpoint's parameters from others, file by file.

  Without the optimizer's state, which may be left out of a copy.
  """
  found = file_marks.of_folder(
    checkpoint, lambda name: name != FILE and not name.startswith("state.")
  )
  if (checkpoint / FILE).exists():
    found.append(f"{FILE}: {file_marks.of_content(checkpoint / FILE)}")
  return found


def load(path: files.Name, abstract: types.Params) -> types.Params:
  """Parameters on devices; see `stored.place`."""
  return stored.place(read(path), abstract, path)
