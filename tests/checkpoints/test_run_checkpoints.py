"""Checkpoints of a run: round trips, damage, what is kept."""

import errno
import os
import pathlib
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import own_checkpoints
import pytest

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import manifest
from xlrm.checkpoints import native
from xlrm.checkpoints import run_checkpoints
from xlrm.distributed import meshes


def _restore(directory, mesh=None, keep=2):
  checkpointer = run_checkpoints.Checkpointer(directory, keep=keep)
  try:
    return checkpointer.restore_latest(
      own_checkpoints.abstract(own_checkpoints.params(), mesh),
      own_checkpoints.abstract(own_checkpoints.rest(0), mesh),
    )
  finally:
    checkpointer.close()


@pytest.fixture(scope="module")
def three_once(tmp_path_factory) -> pathlib.Path:
  return own_checkpoints.write_three(tmp_path_factory.mktemp("three"))


@pytest.fixture
def three(three_once, tmp_path) -> pathlib.Path:
  """Checkpoints 1, 2, 3 whose parameters are their step."""
  return shutil.copytree(three_once, tmp_path / "run")


def test_a_round_trip_on_another_mesh_is_exact(three):
  mesh = meshes.MeshConfig(4, 2).build(jax.devices()[:8])
  step, params, rest, metadata = _restore(three, mesh)
  assert (step, int(rest["step"]), metadata) == (3, 3, {"note": 3})
  embedding = params["token_embedder"]["embedding"]
  assert embedding.sharding.spec == jax.sharding.PartitionSpec("model", "data")
  for a, b in zip(
    jax.tree.leaves(params), jax.tree.leaves(own_checkpoints.params(3))
  ):
    np.testing.assert_array_equal(a, b)


def test_an_empty_directory_has_no_checkpoint(tmp_path):
  assert _restore(tmp_path / "new") is None


def test_g19_a_flipped_bit_is_set_aside_and_the_older_one_used(three, capsys):
  name = own_checkpoints.damage(three / "checkpoint_3")
  step, params, _, _ = _restore(three)
  assert step == 2
  assert float(params["encoder"]["encoder_norm"]["scale"][0]) == 2.5
  assert (three / "checkpoint_3.damaged").is_dir()
  (line,) = capsys.readouterr().out.splitlines()
  assert name in line and "checkpoint_3.damaged" in line


def test_g19_none_left_is_an_error_and_stays_one(three):
  for step in (1, 2, 3):
    own_checkpoints.damage(three / f"checkpoint_{step}")
  for _ in range(2):  # the second start must not begin from nothing either
    with pytest.raises(
      checkpoint_errors.CheckpointError, match="no good checkpoint"
    ):
      _restore(three)


def test_g18_an_unfinished_checkpoint_is_removed(three, capsys):
  (three / "checkpoint_3" / manifest.NAME).unlink()
  (three / "checkpoint_9" / "params.orbax-checkpoint-tmp").mkdir(parents=True)
  assert _restore(three)[0] == 2
  assert native.steps(three) == [1, 2]
  assert capsys.readouterr().out.count("was not finished; removed") == 2


def test_the_newest_and_the_best_are_kept(tmp_path):
  checkpointer = run_checkpoints.Checkpointer(tmp_path, keep=2)
  best = {"step": 1, "metric": "m", "value": 0.5}
  for step in (1, 2, 3, 4):
    checkpointer.save(
      step,
      own_checkpoints.params(step),
      own_checkpoints.rest(step),
      {},
      best=best,
    )
  checkpointer.close()
  assert native.steps(tmp_path) == [1, 3, 4]
  assert native.best_step(tmp_path) == 1
  with pytest.raises(ValueError, match="keep 0"):
    run_checkpoints.Checkpointer(tmp_path, keep=0)


def test_a_mounted_bucket_renames_no_folder(tmp_path, monkeypatch):
  """It would copy every object; and its folders go with their last file."""
  renamed = []

  def watched(function):
    def call(source, *rest, **options):
      renamed.extend([source] if os.path.isdir(source) else [])
      return function(source, *rest, **options)

    return call

  def remove(path, **options):
    real(path, **options)
    if not options.get("ignore_errors"):
      raise FileNotFoundError(path)

  for name in ("rename", "replace"):
    monkeypatch.setattr(os, name, watched(getattr(os, name)))
  real = shutil.rmtree
  monkeypatch.setattr(shutil, "rmtree", remove)
  checkpointer = run_checkpoints.Checkpointer(tmp_path, keep=1)
  for step in (1, 2):
    checkpointer.save(
      step, own_checkpoints.params(step), own_checkpoints.rest(step), {}
    )
  checkpointer.close()
  assert native.steps(tmp_path) == [2]
  assert not renamed


def test_metadata_is_that_of_the_moment_of_saving(tmp_path):
  """The run goes on while the checkpoint is being written."""
  metadata = {"sums": {"loss": [1.0, 2.0]}}
  checkpointer = run_checkpoints.Checkpointer(tmp_path)
  checkpointer.save(
    1, own_checkpoints.params(), own_checkpoints.rest(1), metadata
  )
  metadata["sums"]["loss"][0] = 9.0
  checkpointer.close()
  assert _restore(tmp_path)[3] == {"sums": {"loss": [1.0, 2.0]}}


def test_arrays_are_those_of_the_moment_of_saving(tmp_path):
  """Donated to the next step while the checkpoint is being written."""
  add = jax.jit(lambda x: x + 1, donate_argnums=0)
  big = jax.block_until_ready(add(jnp.zeros((1024, 1024))))
  checkpointer = run_checkpoints.Checkpointer(tmp_path)
  checkpointer.save(1, {"w": big}, own_checkpoints.rest(1), {})
  for _ in range(20):
    big = add(big)
  assert float(big[0, 0]) == 21
  checkpointer.close()
  shape = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
  loaded = native.load_params(tmp_path, {"w": shape})
  assert np.unique(loaded["w"]) == [1.0]


def test_an_error_of_the_writer_is_raised(tmp_path, monkeypatch):
  def fail(*_):
    raise OSError("disk full")

  checkpointer = run_checkpoints.Checkpointer(tmp_path)
  monkeypatch.setattr(manifest, "write", fail)
  checkpointer.save(1, own_checkpoints.params(), own_checkpoints.rest(1), {})
  with pytest.raises(OSError, match="disk full"):
    checkpointer.wait()
  checkpointer.close()
  assert native.steps(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
  """A file system of 2 MiB."""
  folder = tmp_path / "small"
  folder.mkdir()
  mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
  try:
    done = subprocess.run(mount, capture_output=True, text=True)
  except FileNotFoundError:
    pytest.skip("mount is not here")
  if done.returncode:
    pytest.skip(f"a small file system cannot be mounted: {done.stderr.strip()}")
  yield folder
  subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_one_message_and_leaves_the_last_good_state(small_disk):
  noise = np.random.default_rng(0).random((200, 1000), np.float32)
  params = {"w": jax.device_put(noise)}  # 0.8 MB, and not to be compressed
  checkpointer = run_checkpoints.Checkpointer(small_disk, keep=1)
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="step 1 is intact"
  ) as error:
    for step in (1, 2, 3):
      checkpointer.save(step, params, {"step": np.int32(step)}, {})
      checkpointer.wait()
      (small_disk / f"in_the_way_{step}").write_bytes(bytes(600_000))
  assert str(small_disk) in str(error.value)
  checkpointer.close()
  assert native.steps(small_disk) == [1]

  (small_disk / "in_the_way_1").unlink()
  checkpointer = run_checkpoints.Checkpointer(small_disk, keep=1)
  abstract = own_checkpoints.abstract(
    {"params": params, "rest": {"step": np.int32(0)}}
  )
  step, restored, _, _ = checkpointer.restore_latest(
    abstract["params"], abstract["rest"]
  )
  assert step == 1
  np.testing.assert_array_equal(restored["w"], noise)
  checkpointer.save(2, params, {"step": np.int32(2)}, {})
  checkpointer.close()
  assert native.steps(small_disk) == [2]


def test_what_went_wrong_is_told_before_the_next_save(tmp_path, monkeypatch):
  def broken(*arguments):
    raise OSError("broken")

  checkpointer = run_checkpoints.Checkpointer(tmp_path)
  checkpointer.check()
  monkeypatch.setattr(manifest, "write", broken)
  checkpointer.save(1, own_checkpoints.params(), own_checkpoints.rest(1), {})
  checkpointer._pending.join()
  with pytest.raises(OSError, match="broken"):
    checkpointer.check()
  checkpointer.check()  # once
  checkpointer.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_other_errors(number, tmp_path, monkeypatch):
  def full(*arguments):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(manifest, "write", full)
  checkpointer = run_checkpoints.Checkpointer(tmp_path)
  checkpointer.save(1, own_checkpoints.params(), own_checkpoints.rest(1), {})
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="no step was kept"
  ):
    checkpointer.close()


def test_g20_a_missing_leaf_is_an_error(three):
  checkpointer = run_checkpoints.Checkpointer(three)
  params = own_checkpoints.params()
  params["encoder"]["encoder_norm"]["bias"] = jnp.ones((16,))
  with pytest.raises(
    checkpoint_errors.CheckpointError,
    match="lacks encoder.encoder_norm.bias; nearest there: encoder.encoder_no",
  ):
    checkpointer.restore_latest(
      own_checkpoints.abstract(params),
      own_checkpoints.abstract(own_checkpoints.rest(0)),
    )
  checkpointer.close()
  assert native.steps(three) == [1, 2, 3]  # an error of the caller, no damage
