"""Files to text: globs, environment variables, damaged files."""

import gzip
import re

import pytest

from xlrm.storage import files


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
  with pytest.raises(FileNotFoundError, match="no file .*gone.jsonl"):
    files.expand(str(tmp_path / "gone.jsonl"))


def test_packed_text_and_a_byte_order_mark(tmp_path):
  path = tmp_path / "x.gz"
  path.write_bytes(gzip.compress("\ufeffначало ı".encode()))
  assert files.read_text(str(path)) == "начало ı"


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
