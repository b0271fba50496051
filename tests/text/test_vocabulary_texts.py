"""Texts that vocabularies are trained from."""

import gzip
import json

import pytest

from xlrm.miniworld import world_rows
from xlrm.text import vocabulary_texts


def test_files_are_read_in_the_order_of_their_names(tmp_path):
  (tmp_path / "b.txt").write_text("third\n\n  fourth \n")
  with gzip.open(tmp_path / "a.txt.gz", "wt") as file:
    file.write("first\nsecond\n")
  found = vocabulary_texts.sentences([str(tmp_path / "*")], [])
  assert list(found) == ["first", "second", "third", "fourth"]


def test_fields_of_rows_are_texts_of_their_own(tmp_path):
  path = tmp_path / "rows.jsonl"
  rows = [{"a": "x", "b": "y"}, {"b": "Z", "a": "хлеб"}]
  path.write_text("".join(json.dumps(x) + "\n" for x in rows))
  found = vocabulary_texts.sentences([str(path)], ["a", "b"])
  assert list(found) == ["x", "y", "хлеб", "Z"]


@pytest.mark.parametrize("content", ['{"a": "x"}\n{broken\n', '{"c": 1}\n'])
def test_g28_a_broken_line_is_named(tmp_path, content):
  path = tmp_path / "rows.jsonl"
  path.write_text(content)
  line = content.count("\n")
  with pytest.raises(ValueError, match=f"rows.jsonl:{line}"):
    list(vocabulary_texts.sentences([str(path)], ["a"]))


def test_g28_no_file_is_an_error(tmp_path):
  with pytest.raises(FileNotFoundError, match="nothing.txt"):
    list(vocabulary_texts.sentences([str(tmp_path / "nothing.txt")], []))


def test_the_worlds_languages_keep_their_tags():
  found = vocabulary_texts.miniworld()
  assert set(found.symbols) == set(world_rows.LANGUAGE_TAGS.values())
  assert isinstance(next(iter(found.texts)), str)
