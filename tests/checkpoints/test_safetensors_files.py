"""safetensors files, against their own library."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as theirs

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import safetensors_files
from xlrm.checkpoints import stored

RNG = np.random.default_rng(0)
ARRAYS = {
  "a": RNG.random((5, 3)).astype(np.float32),
  "b": RNG.random((2, 2, 2)).astype(ml_dtypes.bfloat16),
  "c": RNG.random(7).astype(np.float16),
  "d": np.asarray(3.0),
}


def items(arrays=ARRAYS):
  return [
    (name, stored.StoredArray.of(x), x.dtype) for name, x in arrays.items()
  ]


def test_what_is_written_is_read_by_the_library(tmp_path):
  seen = []
  safetensors_files.write(tmp_path / "x.safetensors", items(), seen.append)
  assert sum(seen) == sum(x.nbytes for x in ARRAYS.values())
  found = theirs.load_file(tmp_path / "x.safetensors")
  assert found.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(found[name], array)


def test_what_the_library_wrote_is_read_slice_by_slice(tmp_path):
  path = tmp_path / "x.safetensors"
  theirs.save_file(ARRAYS, path)
  assert set(safetensors_files.names(path)) == ARRAYS.keys()
  for name, array in ARRAYS.items():
    found = safetensors_files.tensor(path, name)
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(found.whole(), array)
  part = safetensors_files.tensor(path, "a").read((slice(1, 4), slice(0, 2)))
  np.testing.assert_array_equal(part, ARRAYS["a"][1:4, :2])


def test_shards_hold_at_most_so_many_bytes_and_an_index(tmp_path):
  parts = safetensors_files.shards(items(), 64)
  assert [[name for name, *_ in part] for part in parts] == [
    ["a"],  # 60 bytes
    ["b", "c", "d"],  # 16 + 14 + 8
  ]
  assert [len(x) for x in safetensors_files.shards(items(), 1)] == [1] * 4
  safetensors_files.write_shards(tmp_path, parts, None)
  index = json.loads((tmp_path / safetensors_files.INDEX).read_text())
  assert index["metadata"]["total_size"] == 60 + 16 + 14 + 8
  found = {}
  for file in set(index["weight_map"].values()):
    held = theirs.load_file(tmp_path / file)
    assert all(index["weight_map"][name] == file for name in held)
    found |= held
  assert found.keys() == ARRAYS.keys()


def test_g28_what_cannot_be_read_is_named(tmp_path):
  path = tmp_path / "x.safetensors"
  theirs.save_file({"a": np.arange(3)}, path)
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="a is stored as I64; F32, F16"
  ):
    safetensors_files.tensor(path, "a")
  path.write_bytes(path.read_bytes()[:-3])
  with pytest.raises(checkpoint_errors.CheckpointError, match="or a damaged"):
    safetensors_files.names(path)
  with pytest.raises(FileNotFoundError):
    safetensors_files.names(tmp_path / "gone")
