"""The loop: logs, checkpoints, best, patience, NaN, preemption, real kills."""

import filecmp
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_run

from xlrm.batches import batch_feed
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import native
from xlrm.distributed import meshes
from xlrm.training import fit
from xlrm.training import metric_writer
from xlrm.training import optimizers


def _assert_equal(one, two):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
    np.testing.assert_array_equal(a, b)


def _command(directory, *arguments):
  script = pathlib.Path(tiny_run.__file__)
  root = str(script.parents[1])
  path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
  return subprocess.run(
    [sys.executable, str(script), str(directory), *arguments],
    env={**os.environ, "PYTHONPATH": path},
    capture_output=True,
    text=True,
    timeout=300,
  )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A run that nobody interrupts."""
  directory = tmp_path_factory.mktemp("whole")
  return directory, tiny_run.run_for_signals(directory)


def _assert_same_end(directory, result, whole):
  expected_directory, expected = whole
  assert (result.step, result.best_step) == (expected.step, expected.best_step)
  assert result.history == expected.history
  _assert_equal(result.params, expected.params)
  for name in (metric_writer.METRICS, native.BEST):
    assert filecmp.cmp(directory / name, expected_directory / name, False), name
  assert native.steps(directory) == native.steps(expected_directory)


def test_a_run_leaves_metrics_and_checkpoints(whole):
  directory, result = whole
  train = [row["step"] for row in result.history if "train/loss" in row]
  judged = {
    row["step"]: row["validation/rouge_l"]
    for row in result.history
    if "validation/rouge_l" in row
  }
  assert train == [2, 4, 6, 8, 10, 12]
  assert list(judged) == [5, 10, 12]
  assert result.best_step == max(judged, key=judged.get)
  assert native.steps(directory) == sorted({result.best_step, 12})
  first = result.history[0]
  assert 0 < first["train/filled"] < 1 and first["train/skipped"] == 0
  assert first["train/loss"] > result.history[-1]["validation/loss"] > 0
  timing = metric_writer.read(directory / metric_writer.TIMING)
  assert [row["step"] for row in timing] == train
  best = native.load_params(directory, jax.eval_shape(tiny_run.new_params))
  metrics = tiny_run.evaluate(best, 0)
  assert metrics["validation/rouge_l"] == max(judged.values())


def test_a_finished_run_started_again_changes_nothing(whole):
  directory, _ = whole
  before = (directory / metric_writer.METRICS).read_bytes()
  result = tiny_run.run_for_signals(directory)
  _assert_same_end(directory, result, whole)
  assert (directory / metric_writer.METRICS).read_bytes() == before


def test_g18_killed_in_mid_training_ends_bit_equal(whole, tmp_path):
  """A real process and a real SIGKILL, between two checkpoints."""
  killed = _command(tmp_path, "step:8")
  assert killed.returncode == -signal.SIGKILL, killed.stderr
  result = tiny_run.run_for_signals(tmp_path)
  _assert_same_end(tmp_path, result, whole)


def test_g18_sigterm_saves_and_exits_with_the_documented_code(whole, tmp_path):
  ended = _command(tmp_path, "term:7")
  assert ended.returncode == fit.PREEMPTED_EXIT_CODE, ended.stderr
  assert "SIGTERM, saved at step 8" in ended.stdout
  assert native.steps(tmp_path)[-1] == 8
  result = tiny_run.run_for_signals(tmp_path)
  _assert_same_end(tmp_path, result, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
  "point",
  ["step:0", "step:5", "step:11", "orbax:3", "orbax:6", "orbax:12"]
  + ["manifest:3", "manifest:9", "best:0", "prune:3", "prune:9"]
  + ["evaluate:5", "evaluate:12"],
)
def test_g18_killed_anywhere_ends_bit_equal(whole, tmp_path, point):
  killed = _command(tmp_path, point)
  assert killed.returncode == -signal.SIGKILL, killed.stderr
  resumed = _command(tmp_path)
  assert resumed.returncode == 0, resumed.stderr
  _assert_same_end(tmp_path, tiny_run.run_for_signals(tmp_path), whole)


@pytest.mark.slow
def test_g18_killed_again_and_again_ends_bit_equal(whole, tmp_path):
  for point in ("step:4", "manifest:6", "step:7", "best:0", "orbax:12"):
    killed = _command(tmp_path, point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
  _assert_same_end(tmp_path, tiny_run.run_for_signals(tmp_path), whole)


def test_g19_a_damaged_checkpoint_is_trained_again(tmp_path, capsys):
  first = tiny_run.run(tmp_path, train_steps=6)
  path = max(
    (tmp_path / "checkpoint_6" / "params").rglob("*"),
    key=lambda p: p.stat().st_size if p.is_file() else 0,
  )
  content = bytearray(path.read_bytes())
  content[-20] ^= 4
  path.write_bytes(bytes(content))
  second = tiny_run.run(tmp_path, train_steps=6)
  assert "set aside as checkpoint_6.damaged" in capsys.readouterr().out
  _assert_equal(first.params, second.params)
  assert first.history == second.history


def test_g20_another_optimizer_on_resume_is_an_error(tmp_path):
  tiny_run.run(tmp_path, train_steps=1)
  with pytest.raises(checkpoint_errors.CheckpointError, match="opt_state"):
    tiny_run.run(tmp_path, train_steps=2, optimizer=optimizers.adafactor(1e-2))
  assert native.steps(tmp_path) == [1]


def test_other_data_on_resume_is_an_error(tmp_path):
  tiny_run.run(tmp_path, train_steps=1)
  with pytest.raises(
    checkpoint_errors.CheckpointError,
    match="other data .* choose another MODEL_DIR",
  ):
    tiny_run.run(tmp_path, train_steps=2, source=tiny_run.Source(rows=8))


def test_a_best_metric_that_does_not_exist_is_named_before_training(tmp_path):
  with pytest.raises(ValueError, match="nearest: validation/loss"):
    tiny_run.run(tmp_path / "new", best_metric="validation/lost")
  assert not (tmp_path / "new").exists()


def test_a_batch_that_does_not_divide_is_an_error(tmp_path):
  with pytest.raises(ValueError, match="nearest valid: 15, 18"):
    tiny_run.run(tmp_path, num_microbatches=3)


def test_rows_of_several_processes_do_not_outlive_an_error(
  tmp_path, monkeypatch
):
  rows = tmp_path / "rows.npz"

  def shared(source, mesh, size, directory):
    rows.touch()
    return batch_feed.Feed(source, mesh, size, path=rows)

  monkeypatch.setattr(batch_feed, "open_feed", shared)
  with pytest.raises(fit.NonFiniteError):
    tiny_run.run(
      tmp_path / "run",
      source=tiny_run.Source(bad_from=1),
      max_nonfinite_steps=1,
    )
  assert not rows.exists()


def test_a_plan_says_what_a_step_takes_and_writes_nothing(tmp_path):
  plan = fit.plan(tiny_run.training(tmp_path / "new"))
  assert plan.compiled.keys() == {"argument", "temp"}
  printed = plan.text()
  assert f"parameters: {512 * 16 + 16 * 256 + 256 * 512:,}" in printed
  assert "batch targets: (16, 1, 6) int32" in printed
  assert "temp memory per device" in printed
  assert not (tmp_path / "new").exists()


def test_g07_a_run_on_eight_devices_ends_like_one(tmp_path):
  # Not Adam, which makes whole steps of gradients that are all rounding.
  options = dict(
    train_steps=5,
    optimizer=optimizers.adafactor(1e-2),
  )
  one = tiny_run.run(tmp_path / "one", **options)
  mesh = meshes.MeshConfig(4, 2).build(jax.devices()[:8])
  eight = tiny_run.run(tmp_path / "eight", mesh=mesh, **options)
  for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(eight.params)):
    np.testing.assert_allclose(a, b, atol=1e-5, rtol=0)
  for a, b in zip(one.history, eight.history, strict=True):
    assert a == pytest.approx(b, rel=1e-4)
