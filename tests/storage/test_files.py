"""Files by name, read and written; see test_temporary_files for kills."""

import gzip
import os
import pathlib
import re
import stat
import subprocess
import threading

import numpy as np
import pytest

from xlrm.storage import files


@pytest.mark.parametrize(
  ("name", "remote"),
  [
    ("a/b.txt", False),
    ("/a/b.txt", False),
    ("~/x", False),
    ("gs://bucket/a", True),
    ("s3://bucket/a", True),
  ],
)
def test_a_scheme_stays_a_scheme(name, remote):
  for given in (name, files.path(name)):
    assert os.fspath(files.path(given)) == name
    assert files.is_remote(given) == remote
  assert os.fspath(files.path(name) / "y") == f"{name}/y"


@pytest.mark.parametrize(
  "name",
  [
    "gs:/bucket/a",
    "gs:bucket",
    pathlib.Path("gs://bucket/a"),
    "http://host/a",
    "file:///a",
    "gS://bucket/a",
  ],
)
def test_what_is_neither_a_folder_nor_a_bucket_is_refused(name):
  for function in (files.path, files.local, files.listing, files.opened):
    with pytest.raises(ValueError, match="two slashes|no folder") as caught:
      function(name)
    assert str(name) in str(caught.value)


def test_a_folder_of_this_machine_is_asked_for(tmp_path):
  assert files.local(str(tmp_path)) == tmp_path
  with pytest.raises(ValueError, match="^gs://b/x: a folder .*gcsfuse BUCKET"):
    files.local("gs://b/x")


def test_globs_are_sorted_and_variables_replaced(tmp_path, monkeypatch):
  for name in ("b.txt", "a.txt"):
    (tmp_path / name).write_text(name)
  monkeypatch.setenv("XLRM_TEST_FOLDER", str(tmp_path))
  found = files.expand("$XLRM_TEST_FOLDER/*.txt")
  assert found == [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]


def test_g28_no_file_and_no_variable_are_named(tmp_path, monkeypatch):
  monkeypatch.delenv("XLRM_NO_SUCH", raising=False)
  with pytest.raises(ValueError, match="variable XLRM_NO_SUCH is not set"):
    files.expand("$XLRM_NO_SUCH/x.jsonl")
  (tmp_path / "gane.jsonl").touch()
  name = str(tmp_path / "gone.jsonl")
  for function in (files.expand, files.read_bytes, files.read_text):
    with pytest.raises(FileNotFoundError, match="no file .*gone.jsonl; .*gane"):
      function(name)


def test_packed_text_and_a_byte_order_mark(tmp_path):
  path = tmp_path / "x.gz"
  path.write_bytes(gzip.compress("\ufeffначало ı\r\n\u2028\n".encode()))
  assert files.read_text(path) == "начало ı\r\n\u2028\n"
  places = [place for place, _ in files.text_lines(path)]
  assert places == [f"{path}:1", f"{path}:2"]


def test_g28_a_truncated_gzip_names_the_last_line(tmp_path):
  path = tmp_path / "x.jsonl.gz"
  whole = gzip.compress("".join(f"line {i * i}\n" for i in range(500)).encode())
  path.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(ValueError, match="truncated") as caught:
    files.read_text(str(path))
  line = int(re.search(r"x.jsonl.gz:(\d+): ", str(caught.value))[1])
  assert 100 < line < 500
  path.write_bytes(b"no gzip at all")
  with pytest.raises(ValueError, match="x.jsonl.gz:1: a truncated or damaged"):
    files.read_text(str(path))


def test_g28_other_encodings_name_the_line(tmp_path):
  path = tmp_path / "x.txt"
  path.write_bytes("año\n".encode() + "año\n".encode("latin-1"))
  with pytest.raises(ValueError, match="x.txt:2: UTF-8 was expected"):
    files.read_text(str(path))


def test_what_is_written_is_read_and_its_folder_made(tmp_path):
  text = "начало\n\u2028 ı"
  for name in ("a/b/x.txt", "a/b/x.txt.gz"):
    files.write_text(tmp_path / name, text)
    assert files.read_text(tmp_path / name) == text
    before = (tmp_path / name).read_bytes()
    files.write_text(str(tmp_path / name), text)
    assert (tmp_path / name).read_bytes() == before
  assert gzip.decompress(before).decode() == text
  files.write_bytes(tmp_path / "x", b"\0\xff")
  assert (tmp_path / "x").read_bytes() == b"\0\xff"
  with files.writing(tmp_path / "x.npz") as file:
    np.savez(file, a=np.arange(3))
  with np.load(tmp_path / "x.npz") as arrays:
    assert arrays["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_are_the_umasks(tmp_path, mask):
  before = os.umask(mask)
  try:
    files.write_text(tmp_path / "text", "x")
    files.write_bytes(tmp_path / "private", b"x", mode=0o600)
    (tmp_path / "plain").write_text("x")
  finally:
    os.umask(before)
  modes = {x.name: stat.S_IMODE(x.stat().st_mode) for x in tmp_path.iterdir()}
  assert modes["text"] == modes["plain"] == 0o666 & ~mask
  assert modes["private"] == 0o600


def test_what_fails_leaves_what_was_there(tmp_path):
  files.write_text(tmp_path / "x", "old")
  for write in (files.writing, files.writing_text):
    with pytest.raises(KeyboardInterrupt):
      with write(tmp_path / "x") as file:
        file.write(b"half" if write is files.writing else "half")
        raise KeyboardInterrupt
  with pytest.raises(UnicodeEncodeError):
    files.write_text(tmp_path / "x", "half \ud800")
  assert (tmp_path / "x").read_text() == "old"
  assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_leaves_what_was_there(tmp_path):
  folder = tmp_path / "small"
  folder.mkdir()
  mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
  try:
    done = subprocess.run(mount, capture_output=True, text=True)
  except FileNotFoundError:
    pytest.skip("mount is not here")
  if done.returncode:
    pytest.skip(f"a small file system cannot be mounted: {done.stderr.strip()}")
  try:
    files.write_text(folder / "x", "old")
    with pytest.raises(OSError, match="No space left"):
      files.write_bytes(folder / "x", bytes(10**6))
    assert (folder / "x").read_text() == "old"
    assert os.listdir(folder) == ["x"]
    files.write_bytes(folder / "x", bytes(10**4))
  finally:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_concurrent_writers_leave_one_whole_file(tmp_path):
  path, length = tmp_path / "x", 2**20
  seen, writers = set(), []

  def write(number: int):
    for _ in range(10):
      files.write_bytes(path, bytes([number]) * length)
      content = path.read_bytes()
      seen.add((len(content), len(set(content))))

  for number in range(8):
    writers.append(threading.Thread(target=write, args=(number,)))
    writers[-1].start()
  for writer in writers:
    writer.join()
  assert seen == {(length, 1)}
  assert os.listdir(tmp_path) == ["x"]


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path):
  with files.writing_folder(tmp_path / "a" / "made") as folder:
    files.write_text(folder / "x", "new")
    assert not (tmp_path / "a" / "made").exists()
  assert files.read_text(tmp_path / "a" / "made" / "x") == "new"
  with pytest.raises(FileExistsError, match="choose another place"):
    with files.writing_folder(tmp_path / "a" / "made"):
      pass
  with pytest.raises(KeyboardInterrupt):
    with files.writing_folder(tmp_path / "a" / "other") as folder:
      (folder / "x").write_text("half")
      raise KeyboardInterrupt
  assert os.listdir(tmp_path / "a") == ["made"]


def test_two_writers_of_a_folder_leave_that_of_the_first(tmp_path):
  with pytest.raises(FileExistsError, match="exists already"):
    with files.writing_folder(tmp_path / "x") as one:
      (one / "one").touch()
      with files.writing_folder(tmp_path / "x") as other:
        (other / "other").touch()
  assert os.listdir(tmp_path) == ["x"]
  assert os.listdir(tmp_path / "x") == ["other"]


def test_a_listing_has_neither_what_is_written_nor_an_order_of_its_own(
  tmp_path,
):
  assert files.listing(tmp_path / "none") == []
  for name in ("b.json", "a.json", ".hidden", "c.txt"):
    (tmp_path / name).touch()
  with files.writing(tmp_path / "new.json"):
    names = [x.name for x in files.listing(tmp_path)]
    assert names == [".hidden", "a.json", "b.json", "c.txt"]
    found = files.listing(tmp_path, "*.json")
    assert [x.name for x in found] == ["a.json", "b.json"]


def test_removing_what_is_not_there_is_no_error(tmp_path):
  (tmp_path / "folder" / "x").mkdir(parents=True)
  (tmp_path / "file").touch()
  files.remove(tmp_path / "file")
  files.remove(tmp_path / "file")
  with pytest.raises(OSError):
    files.remove(tmp_path / "folder" / "x")
  assert os.listdir(tmp_path) == ["folder"]


def test_a_bucket_is_read_and_written(bucket):
  files.write_text("gs://bucket/runs/a.txt", "ı")
  files.write_text("gs://bucket/runs/b.txt.gz", "ı")
  files.write_bytes(files.path("gs://bucket/runs") / "c", b"\0")
  assert (bucket / "runs" / "a.txt").read_text() == "ı"
  assert files.read_text("gs://bucket/runs/b.txt.gz") == "ı"
  assert files.read_bytes("gs://bucket/runs/c") == b"\0"
  found = files.expand("gs://bucket/runs/*.txt*")
  assert found == [f"gs://bucket/runs/{x}" for x in ("a.txt", "b.txt.gz")]
  assert files.expand("gs://bucket/runs/c") == ["gs://bucket/runs/c"]
  for function in (files.expand, files.read_text):
    with pytest.raises(FileNotFoundError, match="gs://bucket/runs/a.tx; .*a.t"):
      function("gs://bucket/runs/a.tx")
  files.remove("gs://bucket/runs/c")
  files.remove("gs://bucket/runs/c")
  names = [str(x) for x in files.listing("gs://bucket/runs")]
  assert names == found
  with pytest.raises(KeyboardInterrupt):
    with files.writing("gs://bucket/runs/a.txt") as file:
      file.write(b"half")
      raise KeyboardInterrupt
  assert (bucket / "runs" / "a.txt").read_text() == "ı"
  assert not os.listdir()


def test_a_folder_of_a_bucket_takes_its_name_when_it_is_whole(bucket):
  with pytest.raises(KeyboardInterrupt):
    with files.writing_folder("gs://bucket/m") as folder:
      files.write_text(folder / "left", "half")
      raise KeyboardInterrupt
  assert not files.path("gs://bucket/m").exists()
  with files.writing_folder("gs://bucket/m") as folder:
    files.write_text(folder / "x", "new")
  assert [x.name for x in bucket.iterdir()] == ["m"]
  assert [x.name for x in (bucket / "m").iterdir()] == ["x"]
  with pytest.raises(FileExistsError, match="gs://bucket/m exists already"):
    with files.writing_folder("gs://bucket/m"):
      pass
  assert not os.listdir()
