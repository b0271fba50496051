"""SIGTERM asks a run to save and leave; the same command continues it later.

Clusters send it before they take a machine away.
"""

import signal
import threading

PREEMPTED_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later


class Preempted(SystemExit):
  """The state is saved and the process ends with PREEMPTED_EXIT_CODE."""

  def __init__(self):
    super().__init__(PREEMPTED_EXIT_CODE)


class Watch:
  """Notes a SIGTERM while it is entered, then restores the old handler.

  Outside the main thread, where Python handles no signals, it notes nothing.
  """

  def __enter__(self) -> "Watch":
    self.received = False
    self._main = threading.current_thread() is threading.main_thread()
    if self._main:
      self._old = signal.signal(signal.SIGTERM, self._note)
    return self

  def _note(self, number, frame) -> None:
    del number, frame
    self.received = True

  def __exit__(self, *error) -> None:
    if self._main:
      # None is a handler that is not Python's, which cannot be put back.
      signal.signal(signal.SIGTERM, self._old or signal.SIG_DFL)
