"""Answers, how they stand after undos, and why one may not be stored."""

from collections.abc import Sequence
import dataclasses
import pathlib
import sqlite3

from xlrm.annotation import design

CHOICES = (*design.SIDES, "tie", "skip")
UNDO, AGAIN = "undo", "again"  # events that withdraw an answer


class Unavailable(OSError):
  """The database cannot be used now; nothing was changed.

  Attributes:
    reason: `locked`, `full` or `broken`.
  """

  def __init__(self, message: str, reason: str):
    super().__init__(message)
    self.reason = reason


def unavailable(path: pathlib.Path, error: sqlite3.Error) -> Unavailable:
  """What an error of SQLite means, and what to do."""
  name = getattr(error, "sqlite_errorname", "") or ""
  if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
    return Unavailable(
      f"{path} is locked by another program: close what has it open; nothing "
      "was changed",
      "locked",
    )
  if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")):
    return Unavailable(
      f"{path} cannot be written ({error}): make room on the disk, or the file "
      "writable; nothing was changed",
      "full",
    )
  return Unavailable(f"{path} is no database of answers ({error})", "broken")


class Conflict(ValueError):
  """The page shows what is no longer so, e.g. in a second tab."""


@dataclasses.dataclass(frozen=True)
class Page:
  """What the page needs to know beside the tasks; see `design.Settings`."""

  study: str  # the id that the key carries, too
  language: str
  kind: str
  ties: bool
  instructions: str


@dataclasses.dataclass(frozen=True)
class Answer:
  """The answer that stands."""

  annotator: str
  item: str
  choice: str
  seconds: float | None


@dataclasses.dataclass(frozen=True)
class State:
  """Where an annotator stands.

  Attributes:
    task: the next one; None at the end.
    done: tasks with an answer, skipped ones among them.
    skipped: tasks that were skipped.
    total: tasks.
    last: item of the answer that an undo withdraws.
  """

  task: design.Task | None
  done: int
  skipped: int
  total: int
  last: str | None


def standing(events: Sequence[Answer]) -> dict[str, Answer]:
  """Item -> the answer that no later event withdrew, the oldest first."""
  answers: dict[str, Answer] = {}
  for event in events:
    answers.pop(event.item, None)
    if event.choice not in (UNDO, AGAIN):
      answers[event.item] = event
  return answers
