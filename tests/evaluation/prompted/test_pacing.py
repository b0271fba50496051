"""Limits hold in every minute; waits grow, and end."""

import threading
import time

import numpy as np
import pytest

from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import pacing


class Clock:
  """Time that passes when somebody waits."""

  def __init__(self):
    self.now = 100.0

  def __call__(self):
    return self.now


def starts(pace, sizes, clock=None):
  """When requests of these sizes start, one after another."""
  clock = clock or Clock()
  limiter = pacing.Limiter(pace, threading.Event(), clock)
  found = []
  for size in sizes:
    clock.now = max(clock.now, limiter.start_time(size))
    found.append(clock.now)
  return np.array(found)


def busiest_minute(times, sizes):
  """Slowly: the largest sum in any window of 60 seconds."""
  return max(
    sum(size for time, size in zip(times, sizes) if first <= time < first + 60)
    for first in times
  )


def test_no_minute_holds_more_than_the_limits():
  rng = np.random.default_rng(0)
  sizes = rng.integers(10, 400, 300).tolist()
  pace = pacing.Pace(requests_per_minute=50.0, tokens_per_minute=12_000.0)
  times = starts(pace, sizes)
  assert busiest_minute(times, [1] * 300) <= 50
  # A window may end within a request's own share.
  assert busiest_minute(times, sizes) <= 12_000 + max(sizes)
  # And the limits are used: the slower of the two, for each request.
  needed = np.maximum(60 / 50, 60 * np.array(sizes) / 12_000)[:-1].sum()
  assert times[-1] - times[0] == pytest.approx(needed)


def test_without_limits_nobody_waits():
  assert np.ptp(starts(pacing.Pace(), [1000] * 20)) == 0


def test_a_pause_holds_everybody():
  clock = Clock()
  limiter = pacing.Limiter(pacing.Pace(), threading.Event(), clock)
  limiter.pause(30.0)
  assert limiter.start_time(1) == 130 == limiter.start_time(1)


def test_stop_ends_a_wait():
  stop = threading.Event()
  limiter = pacing.Limiter(pacing.Pace(), stop)
  limiter.pause(60.0)
  threading.Timer(0.05, stop.set).start()
  start = time.monotonic()
  limiter.wait(1)
  assert time.monotonic() - start < 5


def test_waits_double_and_end():
  pace = pacing.Pace(first_wait_seconds=2.0, longest_wait_seconds=10.0)
  failure = completions.TemporaryError("HTTP 500")
  found = [pace.wait_seconds(n, failure, 0.0) for n in range(5)]
  assert found == [1, 2, 4, 5, 5]
  found = [pace.wait_seconds(n, failure, 1.0) for n in range(5)]
  assert found == [2, 4, 8, 10, 10]


def test_the_server_says_how_long():
  pace = pacing.Pace(first_wait_seconds=2.0, longest_wait_seconds=10.0)
  asked = completions.TemporaryError("HTTP 429", retry_after=7.0)
  assert pace.wait_seconds(0, asked, 0.0) == 7
  assert 7 < pace.wait_seconds(4, asked, 0.9) < 9
  too_long = completions.TemporaryError("a day's quota", retry_after=86400.0)
  with pytest.raises(completions.BackendError, match="86400 seconds.*quota"):
    pace.wait_seconds(0, too_long, 0.0)


@pytest.mark.parametrize(
  "fields",
  [
    {"concurrency": 0},
    {"max_attempts": 0},
    {"requests_per_minute": 0.0},
    {"tokens_per_minute": -1.0},
    {"longest_wait_seconds": 0.0},
  ],
)
def test_g28_senseless_limits_are_named(fields):
  with pytest.raises(ValueError, match=next(iter(fields))):
    pacing.Pace(**fields)
