"""Options of every command that may run as several processes."""

import argparse
import os
import socket
import sys

from xlrm.distributed import machine

NAMES = ("coordinator_address", "process_count", "process_id")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  group = parser.add_argument_group(
    "several processes",
    "found out on TPU pods, SLURM and Kubernetes; elsewhere given to each "
    "process here or as XLRM_COORDINATOR_ADDRESS, XLRM_PROCESS_COUNT and "
    "XLRM_PROCESS_ID",
  )
  group.add_argument(
    "--coordinator_address", metavar="HOST:PORT", help="of process 0"
  )
  group.add_argument("--process_count", type=int, metavar="N")
  group.add_argument(
    "--process_id",
    "--process_index",
    type=int,
    metavar="I",
    help="of this process, from 0",
  )


def check_versions(of_processes: list[dict[str, str]]) -> None:
  """Raises ValueError, with both versions, where a process differs from 0."""
  first = of_processes[0]
  for number, other in enumerate(of_processes[1:], 1):
    differing = [
      f"{name} {first[name]} and {other.get(name)}"
      for name in first
      if first[name] != other.get(name)
    ]
    if differing:
      raise ValueError(
        f"processes 0 and {number} have other versions: {', '.join(differing)};"
        " install the same on every machine"
      )


def start(options: argparse.Namespace) -> None:
  """Joins the other processes, if there are any; only the first one talks.

  Raises:
    ValueError: a missing option, no coordinator, or other versions elsewhere.
  """
  from xlrm.distributed import process_start
  from xlrm.distributed import processes as processes_lib

  process_start.initialize(
    options.coordinator_address, options.process_count, options.process_id
  )
  if processes_lib.count() == 1:
    return
  name = f"{socket.gethostname()}, pid {os.getpid()}"
  names, found = zip(*processes_lib.gather((name, machine.versions())))
  check_versions(list(found))
  if processes_lib.is_first():
    for number, name in enumerate(names):
      print(f"process {number} of {len(names)}: {name}", flush=True)
  else:
    sys.stdout.flush()
    sys.stdout = open(os.devnull, "w", encoding="utf-8")


def _started():
  """`xlrm.distributed.processes`, or None if JAX is not there yet."""
  return sys.modules.get("xlrm.distributed.processes")


def who() -> str:
  """'process 1 of 2: ', before an error; nothing for one process."""
  processes = _started()
  if processes is None or processes.count() == 1:
    return ""
  return f"process {processes.index()} of {processes.count()}: "


def leave(code: int) -> None:
  """After an error; see `processes.leave`."""
  processes = _started()
  if processes is not None:
    processes.leave(code)


def finish() -> None:
  """Waits for those who still write."""
  from xlrm.distributed import processes as processes_lib

  processes_lib.barrier()
