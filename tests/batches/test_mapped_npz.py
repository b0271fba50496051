"""Arrays that stay in their file, compared with what NumPy reads of it."""

import mmap

import numpy as np
import pytest

from xlrm.batches import mapped_npz


@pytest.fixture
def file(tmp_path):
  rng = np.random.default_rng(0)
  arrays = {
    "tokens": rng.integers(0, 9, 40_000).astype(np.int32),
    "weights": rng.random((50, 700)).astype(np.float32),
    "small": np.arange(7),
    "empty": np.zeros((0, 3)),
  }
  np.savez(tmp_path / "x.npz", **arrays)
  np.savez_compressed(tmp_path / "packed.npz", **arrays)
  return tmp_path / "x.npz"


def test_large_arrays_are_mapped_and_equal(file):
  found = mapped_npz.arrays(file)
  assert found.keys() == {"tokens", "weights"}
  with np.load(file) as expected:
    for name, array in found.items():
      np.testing.assert_array_equal(array, expected[name])
      assert array.dtype == expected[name].dtype
      owner = array
      while isinstance(owner, np.ndarray):
        owner = owner.base
      assert isinstance(owner.obj, mmap.mmap)


def test_a_mapped_array_outlives_its_name(file):
  found = mapped_npz.arrays(file)["tokens"]
  expected = found.copy()
  file.unlink()
  np.testing.assert_array_equal(found, expected)


def test_nothing_of_a_compressed_file_is_mapped(file):
  assert mapped_npz.arrays(file.with_name("packed.npz")) == {}
