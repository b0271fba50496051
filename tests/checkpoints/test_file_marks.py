"""Files told apart by what is cheap to read."""

import gzip
import os
import shutil
import zlib

import numpy as np
import pytest

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import file_marks
from xlrm.storage import files

NOISE = np.random.default_rng(0).bytes(10**5)  # not to be compressed
OTHER = NOISE[:-1] + bytes([NOISE[-1] ^ 1])


def mark(path):
  return file_marks.of_file(files.path(path))


@pytest.mark.parametrize("make", [lambda x: x[:1000], gzip.compress])
def test_small_and_packed_files_count_by_their_content(make, tmp_path):
  """The checksum of what is packed is in its last bytes."""
  path = tmp_path / "x"
  path.write_bytes(make(NOISE))
  first = mark(path)
  os.utime(path, ns=(0, 0))
  assert mark(path) == first
  path.write_bytes(make(bytes([NOISE[0] ^ 1]) + NOISE[1:]))
  os.utime(path, ns=(0, 0))
  assert mark(path) != first


def test_the_mark_of_a_packed_file_is_its_checksum(tmp_path):
  packed = gzip.compress(NOISE, mtime=0)
  (tmp_path / "x").write_bytes(packed)
  checksum = zlib.crc32(NOISE).to_bytes(4, "little").hex()
  size = len(NOISE).to_bytes(4, "little").hex()
  assert mark(tmp_path / "x") == f"{len(packed)} bytes, {checksum}{size}"


def test_large_files_count_by_size_and_time(tmp_path):
  path = tmp_path / "x"
  path.write_bytes(NOISE)
  first = mark(path)
  assert mark(shutil.copy2(path, tmp_path / "kept")) == first
  time = path.stat().st_mtime_ns
  path.write_bytes(OTHER)
  os.utime(path, ns=(time, time + 1))
  assert mark(path) != first


def test_a_folder_is_its_files_by_name(tmp_path):
  for name in ("b/c/1", "b/2", "a", "state.b/3"):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(name)
  (tmp_path / "b" / ".2.0123abcd.partial").touch()
  folder = files.path(tmp_path)
  found = file_marks.of_folder(folder, lambda x: not x.startswith("state."))
  names = [line.partition(":")[0] for line in found]
  assert names == ["a", "b/2", "b/c/1"]
  assert len(file_marks.of_folder(folder)) == 4
  (tmp_path / "b" / "2").rename(tmp_path / "b" / "3")
  assert file_marks.of_folder(folder) != found


def test_files_of_a_bucket_are_marked(bucket):
  files.write_text("gs://bucket/x/small", "a")
  files.write_bytes("gs://bucket/x/y/packed", gzip.compress(NOISE))
  small, packed = file_marks.of_folder(files.path("gs://bucket/x"))
  files.write_text("gs://bucket/x/small", "b")
  os.utime(bucket / "x" / "y" / "packed", (0, 0))
  again = file_marks.of_folder(files.path("gs://bucket/x"))
  assert small != again[0] and packed != again[1]
  assert packed.startswith("y/packed: ")


def test_an_archive_is_told_by_the_checksums_inside(tmp_path):
  np.savez(tmp_path / "x.npz", a=np.arange(3), b=np.ones(2))
  np.savez(tmp_path / "y.npz", b=np.ones(2), a=np.arange(3))
  np.savez(tmp_path / "z.npz", a=np.arange(3), b=np.zeros(2))
  x, y, z = (file_marks.of_archive(tmp_path / f"{n}.npz") for n in "xyz")
  assert x == y and x[0] == z[0] and x[1] != z[1]
  (tmp_path / "x.npz").write_bytes(b"PK")
  with pytest.raises(checkpoint_errors.CheckpointError, match="x.npz is dam"):
    file_marks.of_archive(tmp_path / "x.npz")
