"""A writer that is killed leaves the old file, and nothing that stays."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from xlrm.storage import files
from xlrm.storage import temporary_files

# Writes half of a file or folder, says so, and waits to be killed.
HALF = """
import sys, time
from xlrm.storage import files
name, kind = sys.argv[1:]
if kind == "file":
  with files.writing(name) as file:
    file.write(bytes(10**6))
    file.flush()
    print("half", flush=True)
    time.sleep(600)
with files.writing_folder(name) as folder:
  files.write_text(folder / "x", "half")
  print("half", flush=True)
  time.sleep(600)
"""
# Replaces a file again and again by one of the same byte.
AGAIN = """
import itertools, sys
from xlrm.storage import files
for number in itertools.count():
  files.write_bytes(sys.argv[1], bytes([number % 256]) * 10**6)
  if not number:
    print("begun", flush=True)
"""


def start(program: str, *arguments) -> subprocess.Popen:
  """Once it has said a word."""
  process = subprocess.Popen(
    [sys.executable, "-c", program, *map(str, arguments)],
    stdout=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline()
  return process


def kill(process: subprocess.Popen) -> None:
  process.send_signal(signal.SIGKILL)
  assert process.wait() == -signal.SIGKILL


@pytest.fixture
def living():
  """Processes that end with the test."""
  made = []
  yield made.append
  for process in made:
    process.kill()
    process.wait()


def test_a_kill_leaves_the_old_file_and_the_next_writer_cleans_up(
  tmp_path, living
):
  path = tmp_path / "x.json"
  files.write_text(path, "old")
  process = start(HALF, path, "file")
  living(process)
  (left,) = (x for x in tmp_path.iterdir() if x != path)
  assert temporary_files.is_temporary(left.name)
  assert left.stat().st_size == 10**6
  files.write_text(path, "of one who lives")
  assert left.exists()  # its writer lives, too
  kill(process)
  assert path.read_text() == "of one who lives" and left.exists()
  assert files.listing(tmp_path, "*") == [files.path(path)]
  files.write_text(tmp_path / "x", "another name")
  assert left.exists()
  files.write_text(path, "new")
  assert sorted(os.listdir(tmp_path)) == ["x", "x.json"]


def test_a_kill_leaves_no_folder_and_the_next_writer_cleans_up(
  tmp_path, living
):
  path = tmp_path / "made"
  process = start(HALF, path, "folder")
  living(process)
  (left,) = tmp_path.iterdir()
  kill(process)
  assert temporary_files.is_temporary(left.name) and not path.exists()
  with files.writing_folder(path) as folder:
    files.write_text(folder / "y", "new")
  assert os.listdir(tmp_path) == ["made"] and os.listdir(path) == ["y"]


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path, living):
  path = tmp_path / "x"
  for _ in range(5):
    process = start(AGAIN, path)
    living(process)
    kill(process)
    content = path.read_bytes()
    assert len(content) == 10**6 and len(set(content)) == 1
  files.write_text(path, "new")
  assert os.listdir(tmp_path) == ["x"]


def test_names_of_temporary_files_are_told_from_others():
  assert temporary_files.is_temporary(".a.jsonl.0123abcd.partial")
  for name in ("a.partial", ".a.partial", "a.0123abcd.partial", ".a.0123abcd"):
    assert not temporary_files.is_temporary(name)


def test_where_nothing_can_be_locked_files_are_written_and_left(
  tmp_path, monkeypatch
):
  """As on file systems that know no flock."""

  def refused(*_):
    raise OSError("no locks available")

  left = tmp_path / ".x.0123abcd.partial"
  left.touch()
  monkeypatch.setattr(temporary_files.fcntl, "flock", refused)
  files.write_text(tmp_path / "x", "new")
  with files.writing_folder(tmp_path / "y") as folder:
    pathlib.Path(folder, "z").touch()
  assert sorted(os.listdir(tmp_path)) == [left.name, "x", "y"]


@pytest.mark.parametrize("locked", [True, False])
def test_one_that_was_taken_for_dead_is_claimed_again(
  locked, tmp_path, monkeypatch
):
  """Another writer cleans up between the making and the locking."""
  real, taken = temporary_files._lock, []

  def lock(descriptor):
    if not taken:
      (path,) = tmp_path.iterdir()
      taken.append(os.open(path, os.O_RDWR))
      if locked:  # and will remove it
        real(taken[0])
      else:
        path.unlink()
    real(descriptor)

  monkeypatch.setattr(temporary_files, "_lock", lock)
  with files.writing(tmp_path / "x") as file:
    file.write(b"new")
    if locked:
      os.close(taken[0])
      temporary_files._remove_left(tmp_path / "x")
  assert (tmp_path / "x").read_bytes() == b"new"
  assert os.listdir(tmp_path) == ["x"]
