"""The table of what was kept and what was not."""

import pytest

from xlrm.data import row_counts


def counted():
  counts = row_counts.RowCounts("news train", unit="articles")
  for name in ("f:1", "f:2", "f:3", "f:4"):
    counts.drop("too long", name)
  counts.drop("blank", "f:9")
  counts.drop("absent", "f:7")
  counts.count("pairs", 1500)
  counts.count("pairs")
  return counts


def test_reasons_are_sorted_by_size_then_by_name(capsys):
  counts, rows = counted(), [{"id": 1}, {"id": 2}]
  assert counts.close(rows) is rows
  title, *lines = capsys.readouterr().out.splitlines()
  assert title == "news train"
  assert [line.split(maxsplit=2) for line in lines] == [
    ["articles", "kept", "2"],
    ["pairs", "1,501"],
    ["too", "long", "4  f:1, f:2, f:3, .."],
    ["absent", "1", "f:7"],
    ["blank", "1", "f:9"],
  ]
  assert counts.by_reason() == {"too long": 4, "blank": 1, "absent": 1}


def test_g28_nothing_left_is_an_error_with_the_table(capsys):
  with pytest.raises(ValueError) as caught:
    counted().close([])
  assert str(caught.value).startswith("nothing is left of news train\n")
  assert "too long" in str(caught.value)
  assert capsys.readouterr().out == ""
