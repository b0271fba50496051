"""Whole jobs, started as users start them, killed and started again."""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from xlrm.checkpoints import pretrained

COMMAND = [sys.executable, "-m", "xlrm.launch.main", "run"]
JOBS = {
  "sft": ("demo_sft.gin", "miniworld_summary.es"),
  "reward": ("demo_reward.gin", "miniworld_rating.en"),
}
LOADERS = {
  "sft": pretrained.load_language_model,
  "reward": pretrained.load_scorer,
}
STEPS = 12


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
  """One compilation cache for all; the devices of an ordinary start."""
  cache = tmp_path_factory.mktemp("cache")
  flags = {
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
    "XDG_CACHE_HOME": str(cache),
  }
  return {**os.environ, **flags, "TF_CPP_MIN_LOG_LEVEL": "3"}


def start(job: str, folder: pathlib.Path, environment) -> subprocess.Popen:
  gin_file, task = JOBS[job]
  bindings = {
    "MODEL_DIR": str(folder),
    "MIXTURE_OR_TASK_NAME": task,
    "TRAIN_STEPS": STEPS,
    "EVAL_PERIOD": 4,
    "BATCH_SIZE": 8,
    "TrainConfig.log_period": 1,
    "TrainConfig.checkpoint_period": 4,
  }
  if job == "sft":
    bindings["GenerationEvaluation.num_examples"] = 4
  flags = [f"--gin.{name}={value!r}" for name, value in bindings.items()]
  return subprocess.Popen(
    [*COMMAND, f"--gin_file={gin_file}", *flags],
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finish(job: str, folder: pathlib.Path, environment) -> None:
  process = start(job, folder, environment)
  said, _ = process.communicate(timeout=300)
  assert process.returncode == 0, said


def lines(folder: pathlib.Path) -> list[dict]:
  """The complete lines of metrics.jsonl; it holds no clock."""
  path = folder / "metrics.jsonl"
  text = path.read_text(encoding="utf-8") if path.exists() else ""
  return [json.loads(x) for x in text[: text.rfind("\n") + 1].splitlines()]


def kill_at(job: str, step: int, folder: pathlib.Path, environment) -> None:
  """Starts the job and kills it once metrics of `step` are on disk."""
  process = start(job, folder, environment)
  limit = time.monotonic() + 300
  while process.poll() is None and time.monotonic() < limit:
    if any(line.get("step", 0) >= step for line in lines(folder)):
      process.send_signal(signal.SIGKILL)
      break
    time.sleep(0.002)
  said, _ = process.communicate(timeout=60)
  assert process.returncode == -signal.SIGKILL, said


def parameters(job: str, folder: pathlib.Path) -> list[np.ndarray]:
  import jax

  return [np.asarray(x) for x in jax.tree.leaves(LOADERS[job](folder).params)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, environment):
  """whole(job): a run that nothing disturbs."""

  @functools.cache
  def folder(job):
    made = tmp_path_factory.mktemp(job)
    finish(job, made, environment)
    return made

  return folder


def check(job, step, whole, folder, environment):
  undisturbed = whole(job)
  kill_at(job, step, folder, environment)
  assert len(lines(folder)) < len(lines(undisturbed))
  finish(job, folder, environment)
  assert lines(folder) == lines(undisturbed)
  for ours, theirs in zip(
    parameters(job, folder), parameters(job, undisturbed), strict=True
  ):
    np.testing.assert_array_equal(ours, theirs)


def test_g18_a_killed_job_ends_bit_equal(whole, tmp_path, environment):
  """Of a reward model quickly: `jobs/test_reward.py`."""
  check("sft", 6, whole, tmp_path / "run", environment)


@pytest.mark.slow
@pytest.mark.parametrize("job", list(JOBS))
@pytest.mark.parametrize("step", [1, 4, 5, 8, 11])
def test_g18_killed_at_many_steps(job, step, whole, tmp_path, environment):
  check(job, step, whole, tmp_path / "run", environment)
