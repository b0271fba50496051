"""Answers survive what happens to databases."""

import contextlib
import shutil
import sqlite3

import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import answers
from xlrm.annotation import store as store_lib


@pytest.fixture
def store(folder, monkeypatch):
  monkeypatch.setattr(store_lib, "BUSY_SECONDS", 0.05)
  with annotation_study.opened(folder) as opened:
    yield opened


def answer(store, choice="left"):
  item = store.state("ana").task.item
  store.answer("ana", item, choice, 1.0)
  return item


def test_tasks_come_in_order_and_undo_goes_back(store):
  order = [task.item for task in store.tasks("ana")]
  given = [answer(store) for _ in range(3)]
  assert given == order[:3]
  for i in (2, 1):
    assert store.undo("ana", given[i]).task.item == given[i]
  state = store.undo("ana", given[1])  # once more: a request that was repeated
  assert (state.task.item, state.done, state.last) == (given[1], 1, given[0])
  with pytest.raises(answers.Conflict, match="not the last"):
    answer(store)
    store.undo("ana", given[0])


def test_an_answer_twice_is_one_and_another_is_refused(store):
  item = answer(store)
  assert store.answer("ana", item, "left", 9.0).done == 1
  with pytest.raises(answers.Conflict, match="'left'"):
    store.answer("ana", item, "right", 1.0)
  with pytest.raises(answers.Conflict, match="ben has no item"):
    store.answer("ben", item, "left", 1.0)
  assert [x.choice for x in store.answers().values()] == ["left"]
  assert store.answers()[item].seconds == 1.0


def test_skipped_tasks_come_again_when_asked_for(store):
  skipped = {answer(store, "skip"), answer(store, "skip")}
  while store.state("ana").task:
    answer(store, "tie")
  state = store.again("ana")
  assert state.task.item in skipped and state.done == state.total - 2
  assert {answer(store), answer(store)} == skipped
  assert store.state("ana").task is None
  last = store.state("ana").last
  assert store.undo("ana", last).task.item == last


def test_events_are_kept(store, folder):
  item = answer(store)
  store.undo("ana", item)
  answer(store, "right")
  with contextlib.closing(
    sqlite3.connect(folder / annotation_study.ANSWERS)
  ) as raw:
    rows = raw.execute("SELECT choice FROM events ORDER BY number").fetchall()
  assert [row[0] for row in rows] == ["left", "undo", "right"]


def test_a_locked_database_is_one_message_and_loses_nothing(store, folder):
  item = answer(store)
  with contextlib.closing(
    sqlite3.connect(folder / annotation_study.ANSWERS)
  ) as other:
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(answers.Unavailable, match="locked by") as error:
      answer(store)
    assert error.value.reason == "locked"
  assert list(store.answers()) == [item]
  assert answer(store) in store.answers()


def test_a_full_disk_is_one_message_and_loses_nothing(store):
  """SQLite's own limit on pages gives the error that a full disk does."""
  connection = store._connection
  pages = connection.execute("PRAGMA page_count").fetchone()[0]
  connection.execute(f"PRAGMA max_page_count = {pages}")
  stored = 0
  with pytest.raises(answers.Unavailable, match="make room") as error:
    while True:
      store.undo("ana", answer(store))
      stored += 2
  assert error.value.reason == "full" and stored
  events = store._events(connection, "ana")
  assert len(events) in (stored, stored + 1)  # all but the one that failed
  before = list(store.answers())
  connection.execute("PRAGMA max_page_count = 100000")
  assert [*before, answer(store)] == list(store.answers())


def test_a_file_that_is_no_database(folder, tmp_path):
  other = tmp_path / "other"
  shutil.copytree(folder, other)
  (other / annotation_study.ANSWERS).write_bytes(
    b"not a database, but long enough " * 40
  )
  with pytest.raises(answers.Unavailable, match="no database of answers"):
    with annotation_study.opened(other):
      pass


def test_imported_answers_are_all_or_none(store):
  tasks = store.tasks("ana")
  first = answer(store)
  rows = [answers.Answer("ana", t.item, "right", None) for t in tasks]
  with pytest.raises(answers.Conflict, match=first):
    store.add(rows)
  assert len(store.answers()) == 1
  assert store.add(rows[1:]) == len(tasks) - 1
  assert store.add(rows[1:]) == 0
