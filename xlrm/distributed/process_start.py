"""How several processes find each other, and what ends them."""

from collections.abc import Callable, Mapping
import functools
import os
import socket
import sys
import time

import jax
from jax.sharding import Mesh
import numpy as np

from xlrm.distributed import processes

# A process that is silent for this long is dead, and the others end.
HEARTBEAT_SECONDS = 20
SHUTDOWN_SECONDS = 20  # until all have come to their end
ADDRESS = "XLRM_COORDINATOR_ADDRESS"
COUNT = "XLRM_PROCESS_COUNT"
INDEX = "XLRM_PROCESS_ID"
TIMEOUT = "XLRM_START_TIMEOUT"


def _number(name: str, environment: Mapping[str, str]) -> int | None:
  text = environment.get(name)
  if not text:
    return None
  try:
    return int(text)
  except ValueError:
    raise ValueError(f"{name}={text!r} is not a number") from None


def _check(address: str | None, number: int | None, index: int | None) -> None:
  given = {
    "coordinator_address": address,
    "process_count": number,
    "process_id": index,
  }
  missing = [name for name, value in given.items() if value is None]
  if missing and len(missing) < len(given):
    raise ValueError(
      f"{', '.join(given)} belong together; not given: {', '.join(missing)}"
    )
  if missing:
    return
  if number < 1 or not 0 <= index < number:
    raise ValueError(
      f"process_id {index} of process_count {number}: ids go from 0 to "
      "process_count - 1"
    )
  if not address.rpartition(":")[2].isdigit() or address.startswith(":"):
    raise ValueError(f"coordinator_address {address!r} is not HOST:PORT")


def _await_coordinator(address: str, index: int, number: int, seconds: float):
  """JAX would end the program without a word of what was wrong."""
  host, _, port = address.rpartition(":")
  limit = time.monotonic() + seconds
  while True:
    try:
      socket.create_connection((host.strip("[]"), int(port)), 5).close()
      return
    except OSError as error:
      if time.monotonic() > limit:
        raise ValueError(
          f"process {index} of {number}: nobody answers at {address} after "
          f"{seconds} seconds ({error}); process 0 must run there, and this "
          "machine must be able to reach it"
        ) from error
    time.sleep(0.2)


def initialize(
  address: str | None = None,
  number: int | None = None,
  index: int | None = None,
) -> None:
  """Joins the other processes, before anything else touches a device.

  Without arguments those of the environment (XLRM_COORDINATOR_ADDRESS,
  XLRM_PROCESS_COUNT, XLRM_PROCESS_ID); without these what JAX knows of TPU
  pods, SLURM and Kubernetes; elsewhere there is one process.

  Args:
    address: HOST:PORT, where process 0 listens.
    number: of processes.
    index: of this one, from 0.

  Raises:
    ValueError: arguments that do not fit, or nobody answers within
      XLRM_START_TIMEOUT seconds (300). Where others than process 0 are
      missing then, JAX ends all of them and says how many came.
  """
  if address is None and number is None and index is None:
    address = os.environ.get(ADDRESS) or None
    number = _number(COUNT, os.environ)
    index = _number(INDEX, os.environ)
  _check(address, number, index)
  if number == 1:
    return
  seconds = _number(TIMEOUT, os.environ) or processes.START_SECONDS
  if index == 0:
    print(
      f"process 0 of {number} waits at {address} for the others, at most "
      f"{seconds} seconds",
      file=sys.stderr,
      flush=True,
    )
  elif address is not None:
    _await_coordinator(address, index, number, seconds)
  _join(address, number, index, seconds)
  if processes.count() > 1:
    sys.excepthook = functools.partial(_report, sys.excepthook)
    devices = np.asarray(jax.devices()).reshape(processes.count(), -1)
    processes.warm(Mesh(devices, ("processes", "devices")))


def _join(
  address: str | None, number: int | None, index: int | None, seconds: int
) -> None:
  # SIGTERM is ours, see `preemption`.
  jax.config.update("jax_enable_preemption_service", False)
  try:
    jax.distributed.initialize(
      coordinator_address=address,
      num_processes=number,
      process_id=index,
      initialization_timeout=seconds,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      shutdown_timeout_seconds=SHUTDOWN_SECONDS,
    )
  except ValueError as error:
    # JAX found no cluster: one process.
    if "coordinator_address should be defined" not in str(error):
      raise
  except RuntimeError as error:
    # JAX already runs, in a notebook, and nobody asked for others.
    if address is None and jax.process_count() == 1:
      return
    raise ValueError(
      f"process {index} of {number} cannot join at {address}: "
      f"{str(error).splitlines()[0]}"
    ) from error


def _report(report: Callable, kind, error, trace) -> None:
  """An error that nobody caught ends the process for good."""
  report(kind, error, trace)
  lost = isinstance(error, jax.errors.JaxRuntimeError)
  if lost and "RESOURCE_EXHAUSTED" not in str(error):
    # A collective fails at once where another process died. JAX ends this one
    # as soon as it misses the heartbeats of that one, and says which it was.
    time.sleep(HEARTBEAT_SECONDS + 10)
  processes.leave(1)
