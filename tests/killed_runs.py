"""Jobs that are killed and started again; also as a command.

  python killed_runs.py PLACE FOLDER RUN SECONDS

does RUN in FOLDER, with what `specks.prepare` made in PLACE, and waits SECONDS
after every line of metrics: time to be killed in.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import ppo_runs
import process_jobs

from xlrm.checkpoints import native
from xlrm.training import metric_writer

RUNS = {
  "ppo": ppo_runs.train_all_weights,
  "ppo_lora": ppo_runs.train_adapters,
  "reward": process_jobs.run_reward,
}
LIMIT = 600  # seconds that no test waits longer than


def _start(place, folder, run: str, cache, seconds: float) -> subprocess.Popen:
  """On the suite's devices, so that both compile the same."""
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
  """SIGKILL once the metrics of `step` are there; what the restart says.

  Args:
    cache: of compiled programs.
  """
  process = _start(place, folder, run, cache, 0.4)
  limit = time.monotonic() + LIMIT
  while process.poll() is None and time.monotonic() < limit:
    history = metric_writer.read(folder / metric_writer.METRICS)
    if any(row["step"] >= step for row in history):
      process.send_signal(signal.SIGKILL)
      break
    time.sleep(0.01)
  said, _ = process.communicate(timeout=60)
  assert process.returncode == -signal.SIGKILL, said
  process = _start(place, folder, run, cache, 0)
  said, _ = process.communicate(timeout=LIMIT)
  assert process.returncode == 0, said
  return said


def arrays(checkpoint: pathlib.Path) -> dict[str, np.ndarray]:
  """Parameters and all the rest, by their paths."""
  found = {**native.read(checkpoint), **native.read_rest(checkpoint)[1]}
  return {name: array.whole() for name, array in found.items()}


def assert_same(one: pathlib.Path, two: pathlib.Path, *names: str) -> None:
  """Bit-equal metrics, files of these names, and last checkpoints."""
  for name in (metric_writer.METRICS, *names):
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
  RUNS[run](pathlib.Path(place), pathlib.Path(folder))


if __name__ == "__main__":
  main(*sys.argv[1:])
