"""How answers stand after undos, and what SQLite's errors mean."""

import pathlib
import sqlite3

import pytest

from xlrm.annotation import answers

PATH = pathlib.Path("people/answers.sqlite")


def event(item: str, choice: str) -> answers.Answer:
  return answers.Answer("ana", item, choice, 1.0)


@pytest.mark.parametrize(
  ("events", "expected"),
  [
    ([], {}),
    ([("a", "left"), ("b", "tie")], {"a": "left", "b": "tie"}),
    ([("a", "left"), ("a", "undo")], {}),
    ([("a", "left"), ("a", "undo"), ("a", "right")], {"a": "right"}),
    ([("a", "skip"), ("b", "left"), ("a", "again")], {"b": "left"}),
  ],
)
def test_the_last_event_of_an_item_decides(events, expected):
  found = answers.standing([event(*x) for x in events])
  assert {item: x.choice for item, x in found.items()} == expected


def test_the_latest_answer_is_the_last():
  """So that an undo withdraws it, also where it was given anew."""
  events = [("a", "left"), ("b", "left"), ("a", "undo"), ("a", "tie")]
  assert list(answers.standing([event(*x) for x in events])) == ["b", "a"]


@pytest.mark.parametrize(
  ("name", "reason", "said"),
  [
    ("SQLITE_BUSY", "locked", "close what has it open"),
    ("SQLITE_LOCKED_SHAREDCACHE", "locked", "locked by another program"),
    ("SQLITE_FULL", "full", "make room on the disk"),
    ("SQLITE_IOERR_WRITE", "full", "make room on the disk"),
    ("SQLITE_READONLY", "full", "cannot be written"),
    ("SQLITE_CORRUPT", "broken", "no database of answers"),
    (None, "broken", "no database of answers"),
  ],
)
def test_errors_of_the_database_say_what_to_do(name, reason, said):
  error = sqlite3.OperationalError("it failed")
  if name is not None:
    error.sqlite_errorname = name
  found = answers.unavailable(PATH, error)
  assert found.reason == reason
  assert str(found).startswith(str(PATH)) and said in str(found)
