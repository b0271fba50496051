"""Rows that processes share; with several of them in test_processes."""

import itertools

import numpy as np
import pytest

from xlrm.batches import batch_feed
from xlrm.batches import batch_sources
from xlrm.distributed import meshes
from xlrm.training import fit

LENGTHS = {"inputs": 8, "targets": 6}


def source(num=4000):
  draw = np.random.default_rng(0)
  rows = [
    {name: draw.integers(2, 9, draw.integers(2, 9)) for name in LENGTHS}
    for _ in range(num)
  ]
  return batch_sources.ArraySource(rows[5:], rows[:5], LENGTHS, batch_size=8)


def firsts(made, count=3):
  return [x.inputs for x in itertools.islice(made.train_batches(2), count)]


@pytest.mark.parametrize("mounted", [False, True])
def test_shared_rows_are_those_of_the_source(mounted, tmp_path, monkeypatch):
  monkeypatch.setattr(batch_feed, "is_mounted", lambda path: mounted)
  monkeypatch.setattr(batch_feed.tempfile, "tempdir", str(tmp_path / "own"))
  (tmp_path / "own").mkdir()
  path = tmp_path / "run" / batch_feed.ROWS
  shared = batch_feed.shared(source, path)
  assert path.exists() and not list((tmp_path / "own").iterdir())
  if mounted:  # a request for each page is what the copy avoids
    path.write_bytes(b"")
  np.testing.assert_array_equal(firsts(shared), firsts(source()))
  assert shared.fingerprint() == source().fingerprint()


def test_a_mounted_bucket_is_told_from_a_disk(tmp_path):
  mounts = tmp_path / "mounts"
  bucket, disk = tmp_path / "bucket", tmp_path / "bucket" / "disk"
  lines = [
    "/dev/vda / ext4 rw 0 0",
    f"gcsfuse {bucket} fuse.gcsfuse rw,nosuid 0 0",
    f"tmpfs {disk} tmpfs rw 0 0",
  ]
  mounts.write_text("".join(f"{line}\n" for line in lines))
  found = [
    batch_feed.is_mounted(folder / "run" / "rows.npz", str(mounts))
    for folder in (tmp_path, bucket, disk)
  ]
  assert found == [False, True, False]
  assert not batch_feed.is_mounted(tmp_path, str(tmp_path / "not_here"))


def test_one_process_makes_whole_batches_and_writes_nothing(tmp_path):
  mesh = meshes.MeshConfig().build()
  feed = batch_feed.open_feed(source(), mesh, 8, tmp_path)
  batch = next(feed.train_batches(1))
  assert feed.own is None and batch.inputs.shape == (8, 8)
  np.testing.assert_array_equal(feed.place(batch).inputs, feed.whole(1).inputs)
  feed.close()
  assert not list(tmp_path.iterdir())
  assert meshes.own_rows(8, mesh) == slice(0, 8)


def test_the_batch_that_is_saved_when_a_loss_is_not_finite_is_whole(tmp_path):
  """Rows that other processes hold are made again, from the step alone."""
  mesh = meshes.MeshConfig().build()
  feed = batch_feed.Feed(source(), mesh, 8, own=slice(0, 8))
  saved = fit.describe(feed)(3, next(feed.train_batches(2)))
  np.testing.assert_array_equal(saved["inputs"], firsts(source(), 1)[0])
