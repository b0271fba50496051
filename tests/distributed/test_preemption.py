"""A real SIGTERM is noted, and the old handler comes back."""

import os
import signal
import threading

from xlrm.distributed import preemption


def test_a_signal_is_noted_and_the_handler_restored():
  noted = []
  old = signal.signal(signal.SIGTERM, lambda *_: noted.append("outer"))
  try:
    with preemption.Watch() as watch:
      assert not watch.received
      os.kill(os.getpid(), signal.SIGTERM)
      assert watch.received and not noted
    os.kill(os.getpid(), signal.SIGTERM)
    assert noted == ["outer"]
  finally:
    signal.signal(signal.SIGTERM, old)


def test_another_thread_notes_nothing_and_does_not_fail():
  received = []

  def enter():
    with preemption.Watch() as watch:
      received.append(watch.received)

  thread = threading.Thread(target=enter)
  thread.start()
  thread.join()
  assert received == [False]


def test_the_exit_code_is_that_of_a_temporary_failure():
  assert preemption.Preempted().code == 75
