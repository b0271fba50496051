"""How processes find each other: arguments, the environment, who answers."""

import socket

import pytest

from xlrm.distributed import process_start
from xlrm.distributed import processes


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (("host:1", None, None), "not given: process_count, process_id"),
    (("host:1", 2, 2), "process_id 2 of process_count 2"),
    (("host", 2, 0), "'host' is not HOST:PORT"),
    ((":80", 2, 0), "':80' is not HOST:PORT"),
  ],
)
def test_arguments_that_do_not_fit_are_named(arguments, message):
  with pytest.raises(ValueError, match=message):
    process_start.initialize(*arguments)


def test_a_coordinator_that_does_not_answer_is_named(monkeypatch):
  monkeypatch.setenv(process_start.TIMEOUT, "1")
  with socket.socket() as taken:  # bound, but nobody listens
    taken.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ValueError, match=f"nobody answers at {address}"):
      process_start.initialize(address, 2, 1)


def test_the_environment_is_read_and_checked(monkeypatch):
  monkeypatch.setenv(process_start.ADDRESS, "host:1")
  monkeypatch.setenv(process_start.COUNT, "two")
  with pytest.raises(ValueError, match="XLRM_PROCESS_COUNT='two'"):
    process_start.initialize()
  monkeypatch.setenv(process_start.COUNT, "1")
  monkeypatch.setenv(process_start.INDEX, "0")
  process_start.initialize()  # one process: nothing to join
  assert processes.count() == 1
