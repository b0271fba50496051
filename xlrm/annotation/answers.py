"""Answers, how they stand after undos, and why one may not be stored."""

from collections.abc import Sequence
import dataclasses
import pathlib
import sqlite3

from xlrm.annotation import design

CHOICES = (*design.SIDES, "tie", "skip")
UNDO, AGAIN = "undo", "again"  # events that withdraw an answer


class Unavailable(OSError):
  """An error of the database, which changed nothing.

  Attributes:
    reason: `locked`, `full` or `broken`.
  """

  def __init__(self, message: str, reason: str):
    super().__init__(message)
    self.reason = reason


def unavailable(path: pathlib.Path, error: sqlite3.Error) -> Unavailable:
  """The error that says what SQLite's means, and what to do."""
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
  """An error of a page that shows what is no longer so: a second tab."""


@dataclasses.dataclass(frozen=True)
class Page:
  """The settings of the page, beside its tasks; see `design.Settings`."""

  study: str  # the id that the key carries, too
  language: str
  kind: str
  ties: bool
  instructions: str


@dataclasses.dataclass(frozen=True)
class Answer:
  """An answer to a task."""

  annotator: str
  item: str
  choice: str
  seconds: float | None


@dataclasses.dataclass(frozen=True)
class AnnotatorState:
  """The place in the study where an annotator stands.

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
  """The answer to each item that no later event withdrew, the oldest first."""
  answers: dict[str, Answer] = {}
  for event in events:
    answers.pop(event.item, None)
    if event.choice not in (UNDO, AGAIN):
      answers[event.item] = event
  return answers
