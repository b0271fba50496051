"""Arrays in files: read slice by slice, checked by name and shape."""

import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import t5x_layout

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.checkpoints import t5x_writer
from xlrm.distributed import meshes
from xlrm.distributed import sharding

VALUES = np.arange(24, dtype=np.float32).reshape(6, 4)


def test_every_device_reads_only_its_slice(tmp_path):
  model, params, _ = t5x_layout.trained()
  t5x_writer.write(tmp_path, stored.of_tree(params))
  mesh = meshes.MeshConfig(data=4, model=2).build()
  abstract = model.abstract()
  shardings = sharding.tree_shardings(abstract, mesh)
  abstract = jax.tree.map(
    lambda x, y: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=y),
    abstract,
    shardings,
  )
  sizes = []

  def watched(array):
    def read(index):
      values = array.read(index)
      sizes.append((values.size, math.prod(array.shape)))
      return values

    return stored.StoredArray(array.shape, array.dtype, read)

  arrays = {name: watched(x) for name, x in t5x.read(tmp_path).items()}
  loaded = stored.place(arrays, abstract, tmp_path)
  table = loaded["token_embedder"]["embedding"]
  assert table.sharding.shard_shape(table.shape) == (65, 32)
  read_of_table = {size for size, whole in sizes if whole == table.size}
  assert read_of_table == {table.size // 8}
  jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_parts_are_the_whole_once():
  array = stored.StoredArray.of(VALUES)
  parts = list(array.parts(size=3 * 16))  # three rows at a time
  assert [values.shape for _, values in parts] == [(3, 4), (3, 4)]
  np.testing.assert_array_equal(np.concatenate([x for _, x in parts]), VALUES)
  for index, values in parts:
    np.testing.assert_array_equal(values, VALUES[index])
  assert [x.shape for _, x in array.parts(size=1)] == [(1, 4)] * 6
  ((index, value),) = stored.StoredArray.of(np.float32(3)).parts()
  assert index == () and value == 3


def test_the_transposed_is_read_by_its_own_slices():
  array = stored.StoredArray.of(VALUES).transposed
  assert array.shape == (4, 6)
  np.testing.assert_array_equal(array.whole(), VALUES.T)
  index = (slice(1, 3), slice(2, 6))
  np.testing.assert_array_equal(array.read(index), VALUES.T[index])


def test_a_dtype_is_that_of_what_is_read():
  array = stored.as_type(stored.StoredArray.of(VALUES), ml_dtypes.bfloat16)
  assert array.dtype == array.whole().dtype == ml_dtypes.bfloat16
  assert array.nbytes == 48


def test_trees_become_paths_and_trees_again():
  tree = {"a": {"b": jnp.ones(2), "c": jnp.zeros(())}}
  flat = stored.of_tree(tree)
  assert list(flat) == ["a/b", "a/c"] and flat["a/c"].shape == ()
  nested = stored.nest({name: x.whole().tolist() for name, x in flat.items()})
  assert nested == {"a": {"b": [1, 1], "c": 0}}


@pytest.mark.parametrize(
  ("names", "said"),
  [
    ({"a/v": (2,)}, "x lacks the parameter a/w; nearest: a/v"),
    ({"a/w": (3,)}, r"x: a/w has shape \(3,\), the model \(2,\)"),
    ({"a/w": (2,), "a/ww": (2,)}, "x has the parameter a/ww, which the model"),
  ],
)
def test_g20_parameters_of_another_model_are_named(names, said):
  abstract = {"a": {"w": jax.ShapeDtypeStruct((2,), jnp.float32)}}
  arrays = {x: stored.StoredArray.of(np.zeros(y)) for x, y in names.items()}
  with pytest.raises(checkpoint_errors.CheckpointError, match=said):
    stored.check(arrays, abstract, "x")


def test_an_archive_is_that_of_numpy_and_the_same_every_time(tmp_path):
  arrays = {"a/b": VALUES, "c": np.arange(3)}
  given = {name: stored.StoredArray.of(x) for name, x in arrays.items()}
  seen = []
  for name in ("x.npz", "y.npz"):
    stored.write_archive(tmp_path / name, given, seen.append)
  assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
  assert sum(seen) == 2 * sum(x.nbytes for x in arrays.values())
  found = stored.read_archive(tmp_path / "x.npz")
  with np.load(tmp_path / "x.npz") as theirs:
    assert set(theirs.files) == found.keys() == arrays.keys()
    for name, array in arrays.items():
      np.testing.assert_array_equal(theirs[name], array)
      np.testing.assert_array_equal(found[name].whole(), array)
  index = (slice(1, 3), slice(0, 2))
  np.testing.assert_array_equal(found["a/b"].read(index), VALUES[index])


def test_g28_what_cannot_be_an_archive_leaves_the_old_one(tmp_path):
  path = tmp_path / "x.npz"
  stored.write_archive(path, {"a": stored.StoredArray.of(VALUES)})
  before = path.read_bytes()
  small = stored.StoredArray.of(VALUES.astype(ml_dtypes.bfloat16))
  with pytest.raises(checkpoint_errors.CheckpointError, match="b is bfloat16"):
    stored.write_archive(path, {"a": stored.StoredArray.of(VALUES), "b": small})
  assert path.read_bytes() == before
  assert [x.name for x in tmp_path.iterdir()] == ["x.npz"]
  path.write_bytes(before[:-30])
  with pytest.raises(checkpoint_errors.CheckpointError, match="is damaged"):
    stored.read_archive(path)
