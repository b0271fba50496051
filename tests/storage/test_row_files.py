"""Rows by line: JSON, packed, Parquet; damage has one message with its line."""

import gzip
import json

import pytest

from xlrm.storage import row_files

ROWS = [{"n": 1, "text": "ı\u2028"}, {"n": 2, "text": "é"}]
TEXT = "".join(f"{json.dumps(x, ensure_ascii=False)}\n\n" for x in ROWS)


def test_json_lines_packed_and_plain(tmp_path):
  (tmp_path / "a.jsonl").write_text(f"\ufeff{TEXT}", encoding="utf-8")
  packed = gzip.compress(TEXT.replace("\n", "\r\n").encode())
  (tmp_path / "b.jsonl.gz").write_bytes(packed)
  for name in ("a.jsonl", "b.jsonl.gz"):
    path = tmp_path / name
    expected = [(f"{path}:1", ROWS[0]), (f"{path}:3", ROWS[1])]
    assert list(row_files.read(path)) == expected
  both = [row for _, row in row_files.rows(f"{tmp_path}/*.jsonl*")]
  assert both == ROWS * 2


def test_parquet(tmp_path):
  pyarrow = pytest.importorskip("pyarrow")
  from pyarrow import parquet

  path = tmp_path / "x.parquet"
  parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
  assert list(row_files.read(path)) == [
    (f"{path}:1", ROWS[0]),
    (f"{path}:2", ROWS[1]),
  ]
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(ValueError, match="x.parquet:1: a truncated or damaged"):
    list(row_files.read(path))
  with pytest.raises(FileNotFoundError, match="no file .*y.parquet; .*x.parq"):
    list(row_files.read(tmp_path / "y.parquet"))


def test_a_name_is_taken_as_it_stands(tmp_path):
  folder = tmp_path / "run[1]"
  folder.mkdir()
  row_files.write(folder / "x.jsonl", map(json.dumps, ROWS))
  assert [row for _, row in row_files.read(folder / "x.jsonl")] == ROWS
  with pytest.raises(FileNotFoundError):
    list(row_files.rows(str(folder / "x.jsonl")))  # a pattern


@pytest.mark.parametrize(
  ("line", "said"),
  [
    ('{"n": 1,', r"one JSON object was expected; .* at column \d+ \("),
    ("[1]", "a JSON object was expected, not list"),
    ("3", "a JSON object was expected, not int"),
    (f'{{"n": {"9" * 5000}}}', "one JSON object was expected"),
    ('{"n": ' * 10**5, "one JSON object was expected"),
  ],
)
def test_g28_a_broken_line_is_named(tmp_path, line, said):
  path = tmp_path / "x.jsonl"
  path.write_text(f"{TEXT}{line}\n", encoding="utf-8")
  with pytest.raises(ValueError, match=f"x.jsonl:5: {said}") as caught:
    list(row_files.read(path))
  assert "\n" not in str(caught.value)


def test_g28_a_file_without_rows_is_an_error(tmp_path):
  (tmp_path / "x.jsonl").write_text("\n \n")
  with pytest.raises(ValueError, match="x.jsonl:1: the file is empty"):
    list(row_files.read(tmp_path / "x.jsonl"))


def test_lines_of_text_end_where_editors_say(tmp_path):
  path = tmp_path / "x.txt"
  path.write_text("a\u2028b\x0c\r\n\n c\n", newline="")
  assert list(row_files.lines(path)) == [
    (f"{path}:1", "a\u2028b\x0c"),
    (f"{path}:3", " c"),
  ]


def test_rows_are_written_whole_or_not_at_all(tmp_path):
  path = tmp_path / "new" / "x.jsonl.gz"
  row_files.write(path, map(json.dumps, ROWS))
  assert [row for _, row in row_files.read(path)] == ROWS
  before = path.read_bytes()

  def failing():
    yield "{}"
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    row_files.write(path, failing())
  assert path.read_bytes() == before
  assert [x.name for x in path.parent.iterdir()] == ["x.jsonl.gz"]


def test_rows_of_a_bucket(bucket):
  row_files.write("gs://bucket/a.jsonl", map(json.dumps, ROWS))
  row_files.write("gs://bucket/b.jsonl.gz", map(json.dumps, ROWS))
  found = list(row_files.rows("gs://bucket/*.jsonl*"))
  assert found[0] == ("gs://bucket/a.jsonl:1", ROWS[0])
  assert [row for _, row in found] == ROWS * 2


def test_g28_columns_are_asked_for_by_name():
  assert row_files.column("f:1", {"a": 1}, "a") == 1
  assert row_files.text("f:1", {"a": "x"}, "a") == "x"
  with pytest.raises(
    ValueError, match="f:1: no column 'txt'; it has text, n; nearest: 'text'"
  ):
    row_files.text("f:1", {"text": "x", "n": 1}, "txt")
  with pytest.raises(ValueError, match="f:1: text was expected in 'n', not 1"):
    row_files.text("f:1", {"n": 1}, "n")
  with pytest.raises(ValueError, match="it has none$"):
    row_files.column("f:1", {}, "n")
