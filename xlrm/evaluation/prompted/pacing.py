"""How fast a server is asked: limits per minute, and waiting after failures."""

from collections.abc import Callable
import dataclasses
import threading
import time

from xlrm.evaluation.prompted import completions
from xlrm.types import checks


@dataclasses.dataclass(frozen=True)
class Pace:
  """The limits of a server, and patience with it.

  Attributes:
    concurrency: requests under way together.
    requests_per_minute: None is no limit.
    tokens_per_minute: of prompts and answers, as estimated beforehand; None is
      no limit.
    max_attempts: requests for one answer.
    first_wait_seconds: after the first failure; each further one doubles it.
    longest_wait_seconds: a server that asks for more ends the job.
  """

  concurrency: int = 8
  requests_per_minute: float | None = None
  tokens_per_minute: float | None = None
  max_attempts: int = 6
  first_wait_seconds: float = 1.0
  longest_wait_seconds: float = 120.0

  def __post_init__(self):
    for name in ("concurrency", "max_attempts"):
      checks.at_least(name, getattr(self, name), 1)
    for name in (
      "requests_per_minute",
      "tokens_per_minute",
      "first_wait_seconds",
      "longest_wait_seconds",
    ):
      value = getattr(self, name)
      if value is not None:
        checks.positive(name, value)

  def wait_seconds(
    self, attempt: int, error: completions.TemporaryError, noise: float
  ) -> float:
    """The seconds to wait before the attempt after this one.

    first_wait 2^attempt (1 + noise) / 2, no longer than longest_wait; or what
    the server asked for, and a little more so that not all come at once.

    Args:
      attempt: that failed; 0 is the first.
      noise: uniform in [0, 1).

    Raises:
      BackendError: the server asks for more patience than there is.
    """
    if error.retry_after is not None:
      if error.retry_after > self.longest_wait_seconds:
        raise completions.BackendError(
          f"the server asks to wait {error.retry_after:.0f} seconds ({error}), "
          f"longer than longest_wait_seconds {self.longest_wait_seconds:g}"
        )
      return error.retry_after + noise * self.first_wait_seconds
    doubled = self.first_wait_seconds * 2**attempt
    return min(doubled, self.longest_wait_seconds) * (1 + noise) / 2


class Limiter:
  """A limiter that spaces requests so that no minute holds too many.

  Args:
    pace: its limits per minute.
    stop: ends every wait.
    clock: seconds.
  """

  def __init__(
    self,
    pace: Pace,
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._pace, self._stop, self._clock = pace, stop, clock
    self._lock = threading.Lock()
    self._free = clock()  # when the next request may start

  def start_time(self, tokens: int) -> float:
    """The next free moment for so many tokens, which is booked with it."""
    gaps = [0.0]
    if self._pace.requests_per_minute:
      gaps.append(60 / self._pace.requests_per_minute)
    if self._pace.tokens_per_minute:
      gaps.append(60 * tokens / self._pace.tokens_per_minute)
    with self._lock:
      start = max(self._clock(), self._free)
      self._free = start + max(gaps)
    return start

  def wait(self, tokens: int) -> None:
    """Waits until a request of so many tokens may start, or all must stop."""
    self.sleep(self.start_time(tokens) - self._clock())

  def pause(self, seconds: float) -> None:
    """Lets nobody start before so many seconds are over: all share limits."""
    with self._lock:
      self._free = max(self._free, self._clock() + seconds)

  def sleep(self, seconds: float) -> None:
    """Waits, but no longer than until all must stop."""
    if seconds > 0:
      self._stop.wait(seconds)
