"""Arrays that lie in files: named, shaped, and read slice by slice.

Every foreign format is a mapping from T5X's parameter paths
('decoder/layers_0/mlp/wo/kernel') to a `StoredArray`. Converting streams from
one mapping to another; loading reads only the slices that this process holds.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import difflib
import math
import os
import pathlib
from typing import Any
import zipfile

import jax
import numpy as np
import tensorstore as ts

from xlrm import types
from xlrm.checkpoints import checkpoint_errors
from xlrm.distributed import sharding as sharding_lib
from xlrm.storage import files

Index = tuple[slice, ...]
PART = 2**26  # bytes that a converter holds of one array, if rows allow it


@dataclasses.dataclass(frozen=True)
class StoredArray:
  """One array, not yet read.

  Attributes:
    shape: of the array as xlrm names it.
    dtype: as it is stored.
    read: the values at an index, one slice (step 1) per dimension.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  read: Callable[[Index], np.ndarray]

  @classmethod
  def of(cls, array: Any) -> "StoredArray":
    """An array in memory, or on devices."""
    return cls(
      tuple(array.shape),
      np.dtype(array.dtype),
      lambda index: np.asarray(array[index]),
    )

  @property
  def nbytes(self) -> int:
    """The size of the whole array in memory."""
    return math.prod(self.shape) * self.dtype.itemsize

  @property
  def transposed(self) -> "StoredArray":
    """The matrix the other way round."""
    return dataclasses.replace(
      self,
      shape=self.shape[::-1],
      read=lambda index: self.read(tuple(index[::-1])).T,
    )

  def whole(self) -> np.ndarray:
    """The array, read at once."""
    return self.read(tuple(slice(0, size) for size in self.shape))

  def parts(
    self, size: int = PART
  ) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Pairs (index, values) of some rows at a time, about `size` bytes each."""
    if not self.shape:
      yield (), self.read(())
      return
    row = max(1, self.nbytes // max(1, self.shape[0]))
    rows = max(1, size // row)
    rest = tuple(slice(0, size) for size in self.shape[1:])
    for start in range(0, self.shape[0], rows):
      index = (slice(start, min(start + rows, self.shape[0])), *rest)
      yield index, self.read(index)


Stored = Mapping[str, StoredArray]


def as_type(array: StoredArray, dtype: Any) -> StoredArray:
  """The same values in another dtype."""
  return dataclasses.replace(
    array,
    dtype=np.dtype(dtype),
    read=lambda index: np.asarray(array.read(index), dtype),
  )


def of_tree(tree: types.Params) -> dict[str, StoredArray]:
  """The leaves of a tree by path."""
  return {
    sharding_lib.path_name(path): StoredArray.of(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def nest(leaves: Mapping[str, Any]) -> dict[str, Any]:
  """{'a/b': x} -> {'a': {'b': x}}"""
  tree: dict[str, Any] = {}
  for path, leaf in leaves.items():
    *parents, name = path.split("/")
    node = tree
    for parent in parents:
      node = node.setdefault(parent, {})
    node[name] = leaf
  return tree


def check(stored: Stored, abstract: types.Params, where: Any) -> None:
  """That a checkpoint holds a model's parameters, all of them and no others.

  Raises:
    CheckpointError: names the first that is missing, unexpected or of another
      shape, and the nearest name.
  """
  expected = {
    sharding_lib.path_name(path): tuple(leaf.shape)
    for path, leaf in jax.tree_util.tree_leaves_with_path(abstract)
  }
  for name, shape in expected.items():
    if name not in stored:
      raise checkpoint_errors.CheckpointError(
        f"{where} lacks the parameter {name}{_near(name, stored, expected)}"
      )
    if stored[name].shape != shape:
      raise checkpoint_errors.CheckpointError(
        f"{where}: {name} has shape {stored[name].shape}, the model {shape}"
      )
  for name in stored:
    if name not in expected:
      raise checkpoint_errors.CheckpointError(
        f"{where} has the parameter {name}, which the model lacks"
        f"{_near(name, expected, stored)}"
      )


def _near(name: str, there, here) -> str:
  others = [x for x in there if x not in here]
  near = difflib.get_close_matches(name, others or list(there), 1, 0.3)
  return f"; nearest: {near[0]}" if near else ""


def place(stored: Stored, abstract: types.Params, where: Any) -> types.Params:
  """Onto devices, each process and device reading only its slices.

  Args:
    stored: as `check` wants it.
    abstract: shapes and dtypes, with shardings if they are to be sharded.
    where: the checkpoint, for messages.
  """
  check(stored, abstract, where)
  single = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

  def one(path, leaf):
    array = stored[sharding_lib.path_name(path)]

    def part(index):
      bounds = (x.indices(n) for x, n in zip(index, array.shape))
      values = array.read(tuple(slice(a, b) for a, b, _ in bounds))
      return np.ascontiguousarray(values, leaf.dtype)

    sharding = getattr(leaf, "sharding", None) or single
    return jax.make_array_from_callback(array.shape, sharding, part)

  return jax.tree_util.tree_map_with_path(one, abstract)


def of_orbax(
  directory: pathlib.Path,
  leaves: Mapping[str, tuple[tuple[int, ...], Any]],
  kvstore: dict[str, Any] | None = None,
) -> dict[str, StoredArray]:
  """Leaves of an Orbax item, each opened when it is read.

  Args:
    directory: of the item.
    leaves: dotted name -> (shape, dtype).
    kvstore: TensorStore's name of the directory; None: local.
  """
  place = kvstore or {
    "driver": "file",
    "path": f"{os.path.abspath(directory)}/",
  }
  ocdbt = (directory / "manifest.ocdbt").exists()

  def one(key: str, shape, dtype) -> StoredArray:
    where = {**place, "path": f"{place['path']}{key}/"}
    if ocdbt:
      where = {"driver": "ocdbt", "base": place, "path": f"{key}/"}

    def read(index):
      array = ts.open({"driver": "zarr", "kvstore": where}, open=True).result()
      return array[index].read().result()

    return StoredArray(tuple(shape), np.dtype(dtype), read)

  return {
    key.replace(".", "/"): one(key, shape, dtype)
    for key, (shape, dtype) in leaves.items()
  }


def read_archive(path: pathlib.Path) -> dict[str, StoredArray]:
  """Arrays of an .npz file, each read when it is asked for.

  Raises:
    CheckpointError: the file is damaged.
  """

  def one(name: str) -> StoredArray:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
      version = np.lib.format.read_magic(file)
      header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
      }[version](file)

    def read(index):
      with np.load(path) as arrays:
        return arrays[name][index]

    return StoredArray(header[0], header[2], read)

  try:
    with np.load(path) as arrays:
      names = list(arrays.files)
    return {name: one(name) for name in names}
  except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
    raise checkpoint_errors.CheckpointError(
      f"{path} is damaged ({error})"
    ) from error


def write_archive(
  path: files.Name, arrays: Stored, progress: Any = None
) -> None:
  """Writes an .npz file array by array; it is there whole or not at all.

  Raises:
    CheckpointError: an array is of a dtype that .npz cannot hold.
  """
  with (
    files.writing(path) as target,
    zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive,
  ):
    for name, array in arrays.items():
      if array.dtype.kind not in "fiub":
        raise checkpoint_errors.CheckpointError(
          f"{name} is {array.dtype}, which .npz cannot hold; use float32"
        )
      # As numpy.savez, but with one date: equal arrays give equal files.
      entry = zipfile.ZipInfo(f"{name}.npy")
      with archive.open(entry, "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.ascontiguousarray(array.whole()))
      if progress is not None:
        progress(array.nbytes)
