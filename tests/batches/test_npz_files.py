"""Sources in files: the same batches, mapped or read; damage is named."""

import dataclasses
import mmap
import zipfile

import array_sources
import numpy as np
import pytest

from xlrm.batches import npz_files


@pytest.mark.parametrize("kind", list(array_sources.KINDS))
def test_npz_gives_the_same_batches(kind, tmp_path):
  made = array_sources.of_kind(kind)
  npz_files.write_npz(tmp_path / "batches.npz", made)
  assert [x.name for x in tmp_path.iterdir()] == ["batches.npz"]
  read = npz_files.npz_source(
    tmp_path / "batches.npz", array_sources.LENGTHS, 4
  )
  array_sources.equal(
    array_sources.take(read, 2, 5), array_sources.take(made, 2, 5)
  )
  array_sources.equal(
    list(read.validation_batches()), list(made.validation_batches())
  )
  assert read.examples("validation") == made.examples("validation")
  assert read.fingerprint() == made.fingerprint()


def test_rows_of_a_plain_file_stay_in_it_until_they_are_asked_for(tmp_path):
  path = tmp_path / "rows.npz"
  made = dataclasses.replace(array_sources.source(num=9000), packing=True)
  npz_files.write_npz(path, made, compressed=False)
  read = npz_files.npz_source(path, array_sources.LENGTHS, 4, packing=True)
  owner = read.train[7]["targets"]
  while isinstance(owner, np.ndarray):
    assert not owner.flags.writeable
    owner = owner.base
  assert isinstance(owner.obj, mmap.mmap)
  array_sources.equal(
    array_sources.take(read, 2, 5), array_sources.take(made, 2, 5)
  )
  array_sources.equal(
    list(read.validation_batches()), list(made.validation_batches())
  )
  assert read.fingerprint() == made.fingerprint()


def test_g28_npz_files_that_cannot_be_read_are_named(tmp_path):
  path = tmp_path / "batches.npz"
  with pytest.raises(FileNotFoundError, match="no batch file .*batches.npz"):
    npz_files.npz_source(path, array_sources.LENGTHS, 4)
  npz_files.write_npz(path, array_sources.source())
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(ValueError, match="batches.npz is no .npz file"):
    npz_files.npz_source(path, array_sources.LENGTHS, 4)
  with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
    file.writestr("train.npy", "no array")
  with pytest.raises(ValueError, match="x.npz was not written by"):
    npz_files.npz_source(tmp_path / "x.npz", array_sources.LENGTHS, 4)
  np.savez(path, inputs=np.zeros(3))
  with pytest.raises(ValueError, match="was not written by"):
    npz_files.npz_source(path, array_sources.LENGTHS, 4)
  np.savez(path, format=np.asarray(99), kind=np.asarray("summary"))
  with pytest.raises(ValueError, match="has format 99, this xlrm reads"):
    npz_files.npz_source(path, array_sources.LENGTHS, 4)


def test_g28_a_flipped_byte_in_an_npz_file_is_noticed(tmp_path):
  path = tmp_path / "batches.npz"
  npz_files.write_npz(path, array_sources.source(num=200))
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0xFF
  path.write_bytes(content)
  with pytest.raises(ValueError, match="damaged"):
    npz_files.npz_source(path, array_sources.LENGTHS, 4)
