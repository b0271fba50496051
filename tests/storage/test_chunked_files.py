import json

import pytest

from xlrm.storage import chunked_files

ROWS = [{"n": i, "text": "é" * i} for i in range(5)]


def write(path, identity="job", stop=None, keep=False):
  """Writes ROWS two by two; stops by an error before row `stop`."""
  with chunked_files.ChunkedFile(path, identity, 5, keep) as file:
    for chunk in file.chunks(2):
      if stop is not None and chunk.start >= stop:
        raise KeyboardInterrupt
      file.append(ROWS[chunk])
  return file


def test_an_interrupted_file_goes_on_and_ends_with_the_same_bytes(tmp_path):
  whole = write(tmp_path / "whole.jsonl")
  with pytest.raises(KeyboardInterrupt):
    write(tmp_path / "a" / "x.jsonl", stop=2)
  names = {path.name for path in (tmp_path / "a").iterdir()}
  assert names == {"x.jsonl.partial", "x.jsonl.partial.json"}
  with open(tmp_path / "a" / "x.jsonl.partial", "ab") as file:
    file.write(b'{"n": 2, "te')  # what a kill leaves
  assert (
    chunked_files.ChunkedFile(tmp_path / "a" / "x.jsonl", "job", 5).done == 2
  )
  again = write(tmp_path / "a" / "x.jsonl")
  assert again.rows() == whole.rows() == ROWS
  assert again.path.read_bytes() == whole.path.read_bytes()
  assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.jsonl"]


def test_another_job_does_not_continue_it(tmp_path):
  with pytest.raises(KeyboardInterrupt):
    write(tmp_path / "x.jsonl", stop=4)
  before = (tmp_path / "x.jsonl.partial").read_bytes()
  with pytest.raises(ValueError, match="another model, other options"):
    write(tmp_path / "x.jsonl", identity="other")
  assert (tmp_path / "x.jsonl.partial").read_bytes() == before


def test_a_kept_file_is_not_written_again(tmp_path):
  first = write(tmp_path / "x.jsonl", keep=True)
  time = first.path.stat().st_mtime_ns
  again = write(tmp_path / "x.jsonl", keep=True)
  assert again.complete and again.path.stat().st_mtime_ns == time
  with pytest.raises(ValueError, match="other options"):
    write(tmp_path / "x.jsonl", identity="other", keep=True)
  assert not list(again.chunks(2))


def test_a_file_that_is_not_full_takes_no_name(tmp_path):
  with pytest.raises(ValueError, match="1 of 5 lines"):
    with chunked_files.ChunkedFile(tmp_path / "x.jsonl", "job", 5) as file:
      file.append(ROWS[:1])
  assert not (tmp_path / "x.jsonl").exists()
  state = json.loads((tmp_path / "x.jsonl.partial.json").read_text())
  assert state["rows"] == 1


def test_parts_of_a_file_are_joined_in_order(tmp_path):
  def file():
    return chunked_files.ChunkedFile(tmp_path / "x.jsonl", "job", 5, keep=True)

  sizes = [3, 2]
  for number, first in ((1, 3), (0, 0)):
    with file().part(number, 2, sizes[number]) as part:
      part.append([{"n": first + i} for i in range(sizes[number])])
  parts = [file().part(i, 2, n) for i, n in enumerate(sizes)]
  assert all(part.complete for part in parts)
  made = file()
  made.join(parts)
  assert [row["n"] for row in made.rows()] == list(range(5))
  assert file().complete
  assert {x.name for x in tmp_path.iterdir()} == {"x.jsonl", "x.jsonl.json"}
  with pytest.raises(ValueError, match="another model"):
    chunked_files.ChunkedFile(tmp_path / "x.jsonl", "other", 5, keep=True)
