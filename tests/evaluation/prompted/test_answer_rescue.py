"""Answers that were under way find a place beside a database that fails."""

import json
import pathlib

import pytest

from xlrm.evaluation.prompted import answer_rescue

ROW = ("key", "asked", '{"text": "Ж"}')


@pytest.fixture
def database(tmp_path) -> pathlib.Path:
  return tmp_path / "answers.sqlite"


def rescued(database) -> list:
  return [row for rows in answer_rescue.found(database) for row in rows]


def test_what_a_process_kept_is_found_when_it_has_ended(database):
  one, other = (answer_rescue.Rescue(database) for _ in range(2))
  one.reserve(100)
  one.keep(ROW)
  one.keep(ROW)
  other.keep(ROW)  # room or not, an answer is kept
  assert (one.rows, other.rows) == (2, 1)
  assert rescued(database) == []  # both still have theirs
  answer_rescue.remove(database)
  assert one.path.exists() and other.path.exists()
  one.close()
  assert rescued(database) == [list(ROW)] * 2
  other.close()
  assert rescued(database) == [list(ROW)] * 3
  answer_rescue.remove(database)
  assert list(database.parent.iterdir()) == []


def test_room_is_on_the_disk_before_it_is_needed(database):
  rescue = answer_rescue.Rescue(database)
  assert not rescue.path.exists()
  rescue.reserve(5000)
  assert rescue.path.stat().st_size == 5000
  rescue.keep(ROW)
  assert rescue.path.stat().st_size == 5000
  rescue.close()


def test_a_file_that_was_not_needed_goes(database):
  rescue = answer_rescue.Rescue(database)
  rescue.reserve(10)
  rescue.close()
  assert list(database.parent.iterdir()) == []
  answer_rescue.Rescue(database).close()  # one that reserved nothing


def test_a_half_written_line_is_left_out(database):
  path = database.with_name(f".{database.name}.0.rescued")
  line = json.dumps(ROW, ensure_ascii=False).encode()
  path.write_bytes(line + b"\n" + line[:9] + bytes(100))
  assert rescued(database) == [list(ROW)]


def test_files_of_another_database_are_left_alone(database):
  other = answer_rescue.Rescue(database.with_name("others.sqlite"))
  other.keep(ROW)
  other.close()
  assert rescued(database) == []
  answer_rescue.remove(database)
  assert other.path.exists()
