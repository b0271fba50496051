"""Several processes that do one job: who they are and what they agree on.

Every process runs the same program. What leads to a collective (is there a
checkpoint, is the run to stop) must not be asked by each for itself: the first
one looks and tells the others. As one process, all of this costs nothing.
Only the main thread may call what communicates, in the same order everywhere.
"""

from collections.abc import Callable, Sequence
import os
import pickle
import sys
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

LONG_SECONDS = 14 * 24 * 3600  # of work that only one does
LEAVE_SECONDS = 3  # for an error that all have
START_SECONDS = 300  # until all have started


def leave(code: int) -> None:
  """Ends a process that has said its error, unless all have one.

  The others may be waiting for it. They miss its heartbeats, end, and say which
  one it was; JAX's own farewell would wait for them, and name these. Returns if
  there are no others, or if all leave.
  """
  if count() == 1:
    return
  for stream in (sys.stdout, sys.stderr):
    stream.flush()
  try:
    _meet("leave", LEAVE_SECONDS)
  except Exception:  # nobody else, or nobody is left
    os._exit(code)


def _meet(name: str, seconds: float) -> None:
  """Waits for all processes, off the devices; each name is met at once."""
  from orbax.checkpoint import multihost  # slow to import, and seldom needed

  meet = multihost.get_barrier_sync_fn()
  meet(key=name, timeout_ms=int(1000 * seconds))


def warm(mesh: Mesh) -> None:
  """Lets the groups of devices of a mesh meet, while all processes are here.

  On CPUs a group that meets for the first time has only 30 seconds to do so,
  less than one process may compile longer than another.
  """
  if count() == 1 or mesh.devices.flat[0].platform != "cpu":
    return
  whole = NamedSharding(mesh, PartitionSpec())
  ones = np.ones(mesh.size, np.float32)
  for axes in (*mesh.axis_names, mesh.axis_names):
    place = NamedSharding(mesh, PartitionSpec(axes))
    x = jax.make_array_from_callback(ones.shape, place, lambda i: ones[i])
    total = jax.jit(lambda x: x.sum(), out_shardings=whole).lower(x).compile()
    _meet(f"warm {axes}", START_SECONDS)
    total(x).block_until_ready()


def count() -> int:
  """The number of processes; touches no device if there is one."""
  return jax.process_count() if jax.distributed.is_initialized() else 1


def index() -> int:
  """The number of this process, from 0."""
  return jax.process_index() if jax.distributed.is_initialized() else 0


def is_first() -> bool:
  """Whether this process is the one that writes what is written once."""
  return index() == 0


def gather(value: Any) -> list[Any]:
  """The values of all processes (anything that can be pickled), in order."""
  if count() == 1:
    return [value]
  data = pickle.dumps(value)
  sizes = multihost_utils.process_allgather(np.int32(len(data)))
  sent = np.zeros(_room(int(sizes.max())), np.uint8)
  sent[: len(data)] = np.frombuffer(data, np.uint8)
  rows = multihost_utils.process_allgather(sent)
  return [pickle.loads(row[:n].tobytes()) for row, n in zip(rows, sizes)]


def broadcast(value: Any) -> Any:
  """The value of the first process; what the others pass is ignored."""
  if count() == 1:
    return value
  data = pickle.dumps(value) if is_first() else b""
  size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
  sent = np.zeros(_room(size), np.uint8)
  sent[: len(data)] = np.frombuffer(data, np.uint8)
  sent = multihost_utils.broadcast_one_to_all(sent)
  return pickle.loads(np.asarray(sent)[:size].tobytes())


def _room(size: int) -> int:
  """A power of two, so that few sizes are compiled."""
  return max(1024, 1 << (size - 1).bit_length())


def on_first(function: Callable, *arguments: Any) -> Any:
  """The result of a call by the first process, in all; they wait for it.

  Its ValueError or OSError is raised by all.
  """
  if count() == 1:
    return function(*arguments)
  value, error = broadcast(_tried(function, arguments))
  if error is not None:
    raise error
  return value


def alone_on_first(function: Callable, *arguments: Any) -> Any:
  """The result of `on_first`, for work that may take hours, and no device.

  The others wait for it where no collective can time out.
  """
  if count() == 1:
    return function(*arguments)
  tried = _tried(function, arguments)
  _meet("the first is done", LONG_SECONDS)
  return on_first(_given, *tried)


def _tried(
  function: Callable, arguments: Sequence[Any]
) -> tuple[Any, Exception | None]:
  """(value, error) of a call by the first process; elsewhere no call."""
  if not is_first():
    return None, None
  try:
    return function(*arguments), None
  except (ValueError, OSError) as error:
    return None, error


def _given(value: Any, error: Exception | None) -> Any:
  if error is not None:
    raise error
  return value


def raise_together(error: BaseException | None) -> None:
  """Raises, in all processes, what went wrong in one of them.

  Raises:
    RuntimeError: elsewhere than here.
  """
  said = gather(None if error is None else f"{type(error).__name__}: {error}")
  if error is not None:
    raise error
  for number, text in enumerate(said):
    if text is not None:
      raise RuntimeError(f"process {number} of {count()}: {text}")


def barrier() -> None:
  """Waits until all processes are here."""
  gather(None)


def row_shard(total: int, number: int | None = None) -> slice:
  """The block of rows, out of `total`, of process `number` (this one).

  10 rows of 4 processes -> [0, 3), [3, 6), [6, 8), [8, 10)
  """
  number = index() if number is None else number
  size, rest = divmod(total, count())
  first = number * size + min(number, rest)
  return slice(first, first + size + (number < rest))


def fetch(tree: Any) -> Any:
  """The tree with arrays of any process as NumPy arrays, whole in each."""

  def one(x):
    if isinstance(x, jax.Array) and not (
      x.is_fully_addressable or x.is_fully_replicated
    ):
      return multihost_utils.process_allgather(x, tiled=True)
    return jax.device_get(x)

  if count() == 1:
    return jax.device_get(tree)
  return jax.tree.map(one, tree)


def all_come(key: str, seconds: float) -> bool:
  """Whether all processes call this within so many seconds.

  It asks no device, so it may be called while others are still in the middle
  of what this one has left.

  Args:
    key: the name of this meeting, and of no other one.
    seconds: how long the others are waited for.
  """
  if count() == 1:
    return True
  try:
    _meet(key, seconds)
  except jax.errors.JaxRuntimeError:
    return False
  return True


class Vote:
  """Whether any process has said yes, a call later and without waiting.

  Every process learns it at the same call. One process alone learns it at once.
  """

  def __init__(self):
    self._cast: jax.Array | None = None
    if count() > 1:
      mesh = Mesh(np.asarray(jax.devices()), ("devices",))
      self._place = NamedSharding(mesh, PartitionSpec("devices"))
      whole = NamedSharding(mesh, PartitionSpec())
      self._any = jax.jit(lambda x: x.max(), out_shardings=whole)

  def any(self, yes: bool) -> bool:
    """Whether any process had said yes at the call before this one."""
    if count() == 1:
      return yes
    found = self._cast is not None and bool(self._cast)
    votes = jax.make_array_from_callback(
      (jax.device_count(),),
      self._place,
      lambda rows: np.full(len(range(jax.device_count())[rows[0]]), yes, "i4"),
    )
    self._cast = self._any(votes)
    return found
