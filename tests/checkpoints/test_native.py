"""Checkpoints: round trips, damage, what is kept."""

import errno
import json
import os
import pathlib
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.checkpoints import manifest
from xlrm.checkpoints import native
from xlrm.distributed import meshes
from xlrm.distributed import sharding


def _params(value: float = 0.0):
  return {
    "token_embedder": {"embedding": jnp.full((512, 16), float(value))},
    "encoder": {"encoder_norm": {"scale": jnp.full((16,), value + 0.5)}},
  }


def _rest(step: int):
  return {"step": jnp.int32(step), "opt_state": [jnp.ones((2,))]}


def _abstract(tree, mesh=None):
  mesh = mesh or meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    tree,
    sharding.tree_shardings(tree, mesh),
  )


def _restore(directory, mesh=None, keep=2):
  checkpointer = native.Checkpointer(directory, keep=keep)
  try:
    return checkpointer.restore_latest(
      _abstract(_params(), mesh), _abstract(_rest(0), mesh)
    )
  finally:
    checkpointer.close()


@pytest.fixture
def three(tmp_path) -> pathlib.Path:
  """Checkpoints 1, 2, 3 whose parameters are their step."""
  checkpointer = native.Checkpointer(tmp_path, keep=3)
  for step in (1, 2, 3):
    checkpointer.save(step, _params(step), _rest(step), {"note": step})
  checkpointer.close()
  return tmp_path


def _damage(path: pathlib.Path) -> str:
  """Flips one bit in the largest file; returns its name."""
  files = [p for p in path.rglob("*") if p.is_file()]
  largest = max(
    (p for p in files if p.name != manifest.NAME),
    key=lambda p: p.stat().st_size,
  )
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 1
  largest.write_bytes(bytes(content))
  return largest.name


def test_a_round_trip_on_another_mesh_is_exact(three):
  mesh = meshes.MeshConfig(4, 2).build(jax.devices()[:8])
  step, params, rest, metadata = _restore(three, mesh)
  assert (step, int(rest["step"]), metadata) == (3, 3, {"note": 3})
  embedding = params["token_embedder"]["embedding"]
  assert embedding.sharding.spec == jax.sharding.PartitionSpec("model", "data")
  for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(_params(3))):
    np.testing.assert_array_equal(a, b)


def test_an_empty_directory_has_no_checkpoint(tmp_path):
  assert _restore(tmp_path / "new") is None


def test_g19_a_flipped_bit_is_set_aside_and_the_older_one_used(three, capsys):
  name = _damage(three / "checkpoint_3")
  step, params, _, _ = _restore(three)
  assert step == 2
  assert float(params["encoder"]["encoder_norm"]["scale"][0]) == 2.5
  assert (three / "checkpoint_3.damaged").is_dir()
  (line,) = capsys.readouterr().out.splitlines()
  assert name in line and "checkpoint_3.damaged" in line


def test_g19_none_left_is_an_error_and_stays_one(three):
  for step in (1, 2, 3):
    _damage(three / f"checkpoint_{step}")
  for _ in range(2):  # the second start must not begin from nothing either
    with pytest.raises(manifest.CheckpointError, match="no good checkpoint"):
      _restore(three)


def test_g18_an_unfinished_checkpoint_is_removed(three, capsys):
  (three / "checkpoint_3" / manifest.NAME).unlink()
  (three / "checkpoint_9" / "params.orbax-checkpoint-tmp").mkdir(parents=True)
  assert _restore(three)[0] == 2
  assert native.steps(three) == [1, 2]
  assert capsys.readouterr().out.count("was not finished; removed") == 2


def test_the_newest_and_the_best_are_kept(tmp_path):
  checkpointer = native.Checkpointer(tmp_path, keep=2)
  best = {"step": 1, "metric": "m", "value": 0.5}
  for step in (1, 2, 3, 4):
    checkpointer.save(step, _params(step), _rest(step), {}, best=best)
  checkpointer.close()
  assert native.steps(tmp_path) == [1, 3, 4]
  assert native.best_step(tmp_path) == 1
  with pytest.raises(ValueError, match="keep 0"):
    native.Checkpointer(tmp_path, keep=0)


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
  checkpointer = native.Checkpointer(tmp_path, keep=1)
  for step in (1, 2):
    checkpointer.save(step, _params(step), _rest(step), {})
  checkpointer.close()
  assert native.steps(tmp_path) == [2]
  assert not renamed


def test_metadata_is_that_of_the_moment_of_saving(tmp_path):
  """The run goes on while the checkpoint is being written."""
  metadata = {"sums": {"loss": [1.0, 2.0]}}
  checkpointer = native.Checkpointer(tmp_path)
  checkpointer.save(1, _params(), _rest(1), metadata)
  metadata["sums"]["loss"][0] = 9.0
  checkpointer.close()
  assert _restore(tmp_path)[3] == {"sums": {"loss": [1.0, 2.0]}}


def test_arrays_are_those_of_the_moment_of_saving(tmp_path):
  """Donated to the next step while the checkpoint is being written."""
  add = jax.jit(lambda x: x + 1, donate_argnums=0)
  big = jax.block_until_ready(add(jnp.zeros((1024, 1024))))
  checkpointer = native.Checkpointer(tmp_path)
  checkpointer.save(1, {"w": big}, _rest(1), {})
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

  checkpointer = native.Checkpointer(tmp_path)
  monkeypatch.setattr(manifest, "write", fail)
  checkpointer.save(1, _params(), _rest(1), {})
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
  checkpointer = native.Checkpointer(small_disk, keep=1)
  with pytest.raises(native.CheckpointError, match="step 1 is intact") as error:
    for step in (1, 2, 3):
      checkpointer.save(step, params, {"step": np.int32(step)}, {})
      checkpointer.wait()
      (small_disk / f"in_the_way_{step}").write_bytes(bytes(600_000))
  assert str(small_disk) in str(error.value)
  checkpointer.close()
  assert native.steps(small_disk) == [1]

  (small_disk / "in_the_way_1").unlink()
  checkpointer = native.Checkpointer(small_disk, keep=1)
  abstract = _abstract({"params": params, "rest": {"step": np.int32(0)}})
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

  checkpointer = native.Checkpointer(tmp_path)
  checkpointer.check()
  monkeypatch.setattr(native.manifest, "write", broken)
  checkpointer.save(1, _params(), _rest(1), {})
  checkpointer._pending.join()
  with pytest.raises(OSError, match="broken"):
    checkpointer.check()
  checkpointer.check()  # once
  checkpointer.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_other_errors(number, tmp_path, monkeypatch):
  def full(*arguments):
    raise OSError(number, os.strerror(number))

  monkeypatch.setattr(native.manifest, "write", full)
  checkpointer = native.Checkpointer(tmp_path)
  checkpointer.save(1, _params(), _rest(1), {})
  with pytest.raises(native.CheckpointError, match="no step was kept"):
    checkpointer.close()


def test_g20_a_missing_leaf_is_an_error(three):
  checkpointer = native.Checkpointer(three)
  params = _params()
  params["encoder"]["encoder_norm"]["bias"] = jnp.ones((16,))
  with pytest.raises(
    manifest.CheckpointError,
    match="lacks encoder.encoder_norm.bias; nearest there: encoder.encoder_no",
  ):
    checkpointer.restore_latest(_abstract(params), _abstract(_rest(0)))
  checkpointer.close()
  assert native.steps(three) == [1, 2, 3]  # an error of the caller, no damage


def test_load_params_prefers_the_best(three):
  abstract = jax.eval_shape(_params)

  def scale(path):
    loaded = native.load_params(path, abstract)
    return float(loaded["encoder"]["encoder_norm"]["scale"][0])

  assert scale(three) == 3.5
  assert scale(three / "checkpoint_1") == 1.5
  (three / native.BEST).write_text(json.dumps({"step": 2}))
  assert scale(str(three)) == 2.5


def test_g19_load_params_passes_over_a_damaged_checkpoint(three, capsys):
  (three / native.BEST).write_text(json.dumps({"step": 2}))
  _damage(three / "checkpoint_2" / "params")
  _damage(three / "checkpoint_3" / "rest")  # not read
  loaded = native.load_params(three, jax.eval_shape(_params))
  assert float(loaded["encoder"]["encoder_norm"]["scale"][0]) == 3.5
  assert "checkpoint_2 is damaged" in capsys.readouterr().out
  with pytest.raises(manifest.DamagedError, match="checkpoint_2 is damaged"):
    native.load_params(three / "checkpoint_2", jax.eval_shape(_params))


def test_load_params_says_what_a_folder_holds(tmp_path):
  (tmp_path / "spiece.model").touch()
  with pytest.raises(manifest.CheckpointError, match="spiece.model"):
    native.load_params(tmp_path, jax.eval_shape(_params))


def test_a_broken_best_json_is_named(three):
  (three / native.BEST).write_text("{}")
  with pytest.raises(manifest.CheckpointError, match="best.json is not"):
    native.load_params(three, jax.eval_shape(_params))
