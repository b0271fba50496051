"""N processes on this machine, each with CPU devices of its own.

It shows a job as a pod runs it, before it costs anything:

  xlrm launch local --processes=2 --cpu_devices=4 --gin_file=... --go

The first process that fails ends the others. Ctrl-C and SIGTERM let the job
save; the same command continues it. GPUs need no such launch: one process
drives all of a machine's.
"""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from xlrm.launch.targets import launch_plan

GRACE_SECONDS = 30  # from SIGTERM to SIGKILL
NOISE = "[Gloo] Rank "  # every group of devices greets its members


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the options of this target."""
  parser.add_argument("--processes", type=int, default=2, help="default 2")
  parser.add_argument(
    "--cpu_devices", type=int, default=1, help="of each process; default 1"
  )


def check(options: argparse.Namespace) -> None:
  """Raises ValueError for numbers below 1."""
  launch_plan.at_least("--processes", options.processes, 1)
  launch_plan.at_least("--cpu_devices", options.cpu_devices, 1)


def _free_port() -> int:
  with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    return listener.getsockname()[1]


def plan(
  options: argparse.Namespace, job: launch_plan.LaunchJob
) -> launch_plan.LaunchPlan:
  """The plan of one command per process, which run at the same time."""
  if job.bucket is not None:
    raise ValueError(
      f"MODEL_DIR {job.model_dir} is a bucket; processes of this machine keep "
      "their files in a folder of it: --gin.MODEL_DIR=runs/try"
    )
  folder = job.folder()
  program = (sys.executable, "-m", "xlrm.launch.main")
  shared = {
    **job.environment,
    "JAX_PLATFORMS": "cpu",
    "JAX_NUM_CPU_DEVICES": str(options.cpu_devices),
    "XLRM_COORDINATOR_ADDRESS": f"127.0.0.1:{_free_port()}",
    "XLRM_PROCESS_COUNT": str(options.processes),
  }
  commands = tuple(
    launch_plan.Command(
      (*program, *job.run(folder)),
      {**shared, "XLRM_PROCESS_ID": str(number)},
    )
    for number in range(options.processes)
  )
  return launch_plan.LaunchPlan(folder, job.gin_files, commands)


def go(plan: launch_plan.LaunchPlan) -> int:
  """Runs the processes of a plan, see `run_together`."""
  return run_together(plan.commands)


def _copy_lines(number: int, process: subprocess.Popen) -> None:
  for line in process.stdout:
    if not line.startswith(NOISE):
      print(f"[{number}] {line}", end="", flush=True)


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
  """Collects SIGINT and SIGTERM instead of dying of them."""
  received: list[int] = []
  note = lambda number, frame: received.append(number)
  numbers = (signal.SIGINT, signal.SIGTERM)
  old = {number: signal.signal(number, note) for number in numbers}
  try:
    yield received
  finally:
    for number, handler in old.items():
      signal.signal(number, handler)


def _start(command: launch_plan.Command) -> subprocess.Popen:
  return subprocess.Popen(
    command.arguments,
    env={**os.environ, **command.environment, "PYTHONUNBUFFERED": "1"},
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    errors="replace",
    start_new_session=True,  # Ctrl-C reaches us alone, and we pass it on
  )


def _said(code: int) -> str:
  if code >= 0:
    return f"ended with exit status {code}"
  return f"was killed by {signal.Signals(-code).name}"


def _send(processes: Sequence[subprocess.Popen], number: int) -> None:
  for process in processes:
    if process.poll() is None:
      process.send_signal(number)


def run_together(
  commands: Sequence[launch_plan.Command],
  grace_seconds: float = GRACE_SECONDS,
) -> int:
  """Runs commands at the same time; their lines begin with [process].

  When one fails, or SIGINT or SIGTERM arrives, the others are sent SIGTERM,
  upon which a job saves and leaves, and SIGKILL `grace_seconds` later or at the
  second signal.

  Returns:
    The exit status of the first that failed, 128 + signal if one killed it.
  """
  with _stop_signals() as received:
    processes = [_start(command) for command in commands]
    readers = [
      threading.Thread(target=_copy_lines, args=item, daemon=True)
      for item in enumerate(processes)
    ]
    for reader in readers:
      reader.start()
    code = _wait(processes, received, grace_seconds)
    for reader in readers:
      reader.join(timeout=5)  # a grandchild may hold the pipe
  return code


def _wait(
  processes: Sequence[subprocess.Popen],
  received: Sequence[int],
  grace_seconds: float,
) -> int:
  first, deadline = 0, None
  while None in [process.poll() for process in processes]:
    failed = [i for i, x in enumerate(processes) if x.returncode]
    if deadline is None and (failed or received):
      if failed:
        first = processes[failed[0]].returncode
        print(
          f"process {failed[0]} {_said(first)}; ending the others", flush=True
        )
      else:
        print("ending all processes; once more kills them", flush=True)
      _send(processes, signal.SIGTERM)
      deadline = time.monotonic() + grace_seconds
    if deadline is not None and (
      time.monotonic() > deadline or len(received) > 1
    ):
      _send(processes, signal.SIGKILL)
    time.sleep(0.05)
  first = first or next((x.returncode for x in processes if x.returncode), 0)
  return 128 - first if first < 0 else first
