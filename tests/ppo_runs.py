"""PPO of the smallest models; also as a command.

  python ppo_runs.py PLACE FOLDER RUN SECONDS

trains in FOLDER as RUN says, from what `specks.prepare` made in PLACE, and
waits SECONDS after every line of metrics: time to be killed in.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import specks

from xlrm import lora
from xlrm import metric_writer
from xlrm import optimizers
from xlrm import ppo
from xlrm import pretrained
from xlrm import prompt_files
from xlrm import rollouts
from xlrm import sampling_config
from xlrm import sharding
from xlrm import training
from xlrm.checkpoints import native
from xlrm.jobs import ppo as ppo_job

LENGTHS = {"inputs": 48, "targets": 12}
# As many prompts everywhere: one shape is compiled.
ROLLOUT = rollouts.RolloutConfig(
  batch_size=8,
  num_scale_samples=8,
  num_validation_prompts=8,
  num_shown=2,
  debug=True,  # ratio 1 and KL 0 are checked
)
STEPS = 6
ONE_DEVICE = sharding.MeshConfig(1, 1)


def config(train_steps: int, **changes) -> training.TrainConfig:
  options = {
    "eval_period": 2,
    "log_period": 1,
    "best_metric": "validation/scores",
    "best_mode": "max",
    "max_nonfinite_steps": 1,
    **changes,
  }
  return training.TrainConfig(train_steps=train_steps, **options)


def _refused(model):
  raise AssertionError("PPO read the parameters of a model off the mesh")


def train(
  place, folder, mesh: sharding.MeshConfig = ONE_DEVICE, **options
) -> training.FitResult:
  """PPO as a job.

  Args:
    place: of models and prompts.
    folder: MODEL_DIR.
    mesh: over the first devices of what is there; data = -1 is all of them.
    options: of `ppo.train`; paths of models may be names in `place`.
  """
  options = {
    "policy": specks.POLICY,
    "rewards": specks.REWARD,
    "optimizer": optimizers.adafactor(1e-3),
    "config": config(3),
    "ppo_config": ppo.PPOConfig(policy_start_step=1),
    "rollout": ROLLOUT,
    "sampler": sampling_config.SamplingConfig(max_tokens=LENGTHS["targets"]),
    "lengths": LENGTHS,
    **options,
  }
  for name in ("policy", "rewards", "value", "reference", "heldout"):
    if options.get(name) is not None:
      options[name] = str(pathlib.Path(place) / options[name])
  with pytest.MonkeyPatch.context() as patch:
    build, count = sharding.MeshConfig.build, mesh.data * mesh.model
    devices = jax.devices()[: count if count > 0 else None]
    patch.setattr(sharding.MeshConfig, "build", lambda x: build(x, devices))
    # One more copy of a model, on one device, is in no plan.
    patch.setattr(pretrained.Pretrained, "params", property(_refused))
    return ppo_job.train(
      source=prompt_files.PromptFile(
        str(pathlib.Path(place) / specks.PROMPTS), instruction="<es> "
      ),
      model_dir=str(folder),
      mesh=mesh,
      **options,
    )


# What is killed, and what it must end as.
RUNS = {
  "all weights": {
    "value": specks.REWARD,
    "heldout": specks.REWARD,
    "config": config(STEPS, eval_period=3, checkpoint_period=1),
    "ppo_config": ppo.PPOConfig(
      policy_start_step=2, kl_target=1.0, num_minibatches=2, num_epochs=2
    ),
  },
  "adapters": {
    "value": specks.REWARD,
    "lora": lora.LoraConfig(rank=2, alpha=4.0),
    "optimizer": optimizers.adafactor(1e-2, multiply_by_parameter_scale=False),
    "config": config(4),
  },
}


def start(place, folder, run: str, cache, seconds: float) -> subprocess.Popen:
  """As a process of its own, on the suite's devices."""
  cached = {
    "JAX_COMPILATION_CACHE_DIR": str(cache),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  return subprocess.Popen(
    [sys.executable, __file__, str(place), str(folder), run, str(seconds)],
    env={**os.environ, **cached},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def kill_and_restart(place, folder, run: str, cache, step: int) -> str:
  """SIGKILL once the metrics of `step` are there; what the restart says."""
  process = start(place, folder, run, cache, 0.4)
  limit = time.monotonic() + 600
  while process.poll() is None and time.monotonic() < limit:
    history = metric_writer.read(folder / metric_writer.METRICS)
    if any(row["step"] >= step for row in history):
      process.send_signal(signal.SIGKILL)
      break
    time.sleep(0.01)
  said, _ = process.communicate(timeout=60)
  assert process.returncode == -signal.SIGKILL, said
  process = start(place, folder, run, cache, 0)
  said, _ = process.communicate(timeout=600)
  assert process.returncode == 0, said
  return said


def arrays(checkpoint: pathlib.Path) -> dict[str, np.ndarray]:
  """Parameters and the rest of a checkpoint, by their paths."""
  found = {**native.read(checkpoint), **native.read_rest(checkpoint)[1]}
  return {name: array.whole() for name, array in found.items()}


def assert_same(one: pathlib.Path, two: pathlib.Path, *names: str) -> None:
  """Bit-equal files and last checkpoints."""
  for name in (metric_writer.METRICS, "samples.jsonl", *names):
    assert (one / name).read_bytes() == (two / name).read_bytes(), name
  last = native.steps(two)[-1]
  ours, theirs = (arrays(x / f"checkpoint_{last}") for x in (one, two))
  assert ours.keys() == theirs.keys()
  for name, array in ours.items():
    np.testing.assert_array_equal(array, theirs[name])


def main(place: str, folder: str, run: str, seconds: str) -> None:
  write = metric_writer.MetricWriter.write

  def slow(self, *arguments):
    write(self, *arguments)
    time.sleep(float(seconds))

  metric_writer.MetricWriter.write = slow
  train(place, folder, **RUNS[run])


if __name__ == "__main__":
  main(*sys.argv[1:])
