"""Two processes of a job, for tests: started, stopped, and what they said."""

import dataclasses
import os
import pathlib
import random
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import process_jobs
import pytest

from xlrm.training import metric_writer

LIMIT = 600  # seconds that no test waits longer than


@dataclasses.dataclass
class Pair:
  """Two processes of four devices each, with their outputs in files."""

  started: list[subprocess.Popen]
  logs: list[pathlib.Path]

  @classmethod
  def start(cls, place: pathlib.Path, cache: pathlib.Path, *jobs: str):
    script = pathlib.Path(process_jobs.__file__)
    path = os.pathsep.join(
      [str(script.parent), os.environ.get("PYTHONPATH", "")]
    )
    environment = {
      **os.environ,
      "PYTHONPATH": path,
      "JAX_PLATFORMS": "cpu",
      "JAX_COMPILATION_CACHE_DIR": str(cache),
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    with socket.socket() as free:
      free.bind(("127.0.0.1", 0))
      address = f"127.0.0.1:{free.getsockname()[1]}"
    name = "_".join(jobs).replace(":", "_")
    logs = [place / f"{name}.{i}.log" for i in range(2)]
    started = []
    for i, log in enumerate(logs):
      with open(log, "wb") as file:
        command = [sys.executable, "-u", str(script), str(place), address]
        started.append(
          subprocess.Popen(
            [*command, "2", str(i), *jobs],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
          )
        )
    return cls(started, logs)

  def said(self) -> str:
    texts = [x.read_text(encoding="utf-8", errors="replace") for x in self.logs]
    return "\n---- the other ----\n".join(text[-4000:] for text in texts)

  def wait(self, seconds: float = LIMIT) -> list[int]:
    """Exit codes; after `seconds` both are killed and the test fails."""
    limit = time.monotonic() + seconds
    try:
      for process in self.started:
        process.wait(max(0.1, limit - time.monotonic()))
    except subprocess.TimeoutExpired:
      self.stop()
      pytest.fail(f"still there after {seconds} seconds: {self.said()}")
    return [process.returncode for process in self.started]

  def stop(self) -> None:
    for process in self.started:
      process.kill()
      process.wait()

  def finish(self, seconds: float = LIMIT) -> None:
    assert self.wait(seconds) == [0, 0], self.said()

  def signal_at(self, folder, step: int, victim: int, number: int) -> None:
    """Signals one of the two soon after the metrics of a step are there."""
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit and self.started[victim].poll() is None:
      rows = metric_writer.read(folder / metric_writer.METRICS)
      if any(row["step"] >= step for row in rows):
        time.sleep(random.random() / 20)
        self.started[victim].send_signal(number)
        return
      time.sleep(0.005)
    self.stop()
    pytest.fail(f"no step {step}: {self.said()}")


def assert_close(one, two, tolerance=1e-5):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
    np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance)


def lines(folder: pathlib.Path) -> list:
  return metric_writer.read(folder / metric_writer.METRICS)
