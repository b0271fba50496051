"""Tasks from JSONL: fields, kinds, and every kind of broken file."""

import gzip
import json
import re

import pytest

from xlrm.data import file_tasks
from xlrm.data import seqio_source

LENGTHS = {"inputs": 32, "targets": 8}


def write(path, rows):
  text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
  if path.suffix == ".gz":
    path.write_bytes(gzip.compress(text.encode()))
  else:
    path.write_text(text, encoding="utf-8")
  return {"train": str(path)}


def rows_of(name):
  return seqio_source.SeqioSource(name, LENGTHS, 2).examples("train")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_summaries_with_fields_of_their_own(tmp_path, registry, suffix):
  paths = write(
    tmp_path / f"x{suffix}",
    [{"text": "Ve ılık gün.", "title": "gün", "key": 7, "other": [1]}],
  )
  fields = {"document": "text", "summary": "title", "id": "key"}
  file_tasks.register_summaries("x_summary.tr", paths, "tr", fields=fields)
  (row,) = rows_of("x_summary.tr")
  assert row["inputs_pretokenized"] == (
    "Summarize the following text in Turkish: Ve ılık gün."
  )
  assert row["reward_inputs"] == "Ve ılık gün."
  assert row["targets_pretokenized"] == "gün"
  assert (row["id"], row["language"], row["dataset"]) == ("7", "tr", "x")
  assert row["task"] == "x_summary.tr"


def test_rows_without_text_are_left_out_and_counted(tmp_path, registry, capsys):
  rows = [{"document": "a", "summary": " "}, {"document": "b", "summary": "c"}]
  paths = write(tmp_path / "x.jsonl", rows)
  fields = {"document": "document", "summary": "summary"}
  file_tasks.register_summaries("x_summary.es", paths, "es", fields=fields)
  (row,) = rows_of("x_summary.es")
  assert row["id"] == "x_summary.es/train/1"
  told = capsys.readouterr().out
  assert "x_summary.es train\n  rows kept" in told
  assert " 1  " in told and "without text" in told and "x.jsonl:1" in told


def test_bare_summaries_give_the_reward_model_no_document(tmp_path, registry):
  rows = [{"id": "1", "document": "a", "summary": "b"}]
  paths = write(tmp_path / "x.jsonl", rows)
  file_tasks.register_summaries("x_bare.es", paths, "es", bare=True)
  (row,) = rows_of("x_bare.es")
  assert row["reward_inputs"] == "" and row["inputs_pretokenized"].endswith("a")


def test_ratings(tmp_path, registry):
  rows = [{"id": "1", "document": "a", "summary": "b", "rating": 0.25}]
  paths = write(tmp_path / "x.jsonl", rows)
  file_tasks.register_ratings("x_rating.es", paths, "es")
  made = seqio_source.SeqioSource("x_rating.es", LENGTHS, 1)
  assert next(made.train_batches(0)).ratings.tolist() == [[0.25]]
  fields = {"summary": "summary", "rating": "rating"}
  file_tasks.register_ratings("x_alone.es", paths, "es", fields=fields)
  assert rows_of("x_alone.es")[0]["reward_inputs"] == ""


def test_rankings(tmp_path, registry):
  rows = [
    {
      "id": "1",
      "prompt": "a",
      "responses": ["b", "c", "d"],
      "ranks": [2, 0, 1],
    },
    {"id": "2", "prompt": "a", "responses": ["b", "c"], "ranks": [0, 1]},
    {"id": "3", "prompt": "a", "responses": ["b"], "ranks": [0]},
  ]
  paths = write(tmp_path / "x.jsonl", rows)
  file_tasks.register_preferences("x_preference.es", paths, "es")
  assert rows_of("x_preference.es")[0]["targets_pretokenized"] == "c"
  made = seqio_source.SeqioSource("x_preference.es", LENGTHS, 2)
  batch = next(made.train_batches(0))
  assert sorted(batch.ranks.tolist()) == [[0, 1, -1], [2, 0, 1]]
  assert batch.batch.targets.shape == (2, 3, 8)
  assert sorted(batch.margins.tolist()) == [0.0, 0.0]


GOOD = '{"id": "1", "document": "a", "summary": "b"}\n'
BROKEN = {
  "": "x.jsonl:1: the file is empty",
  "\n\n": "x.jsonl:1: the file is empty",
  GOOD + '{"id": "2", "docu\n': "x.jsonl:2: one JSON object was expected",
  GOOD + "[1, 2]\n": "x.jsonl:2: a JSON object was expected, not list",
  '{"id": "1", "documnt": "a", "summary": "b"}\n': (
    "x.jsonl:1: no column 'document'; it has id, documnt, summary; nearest: "
    "'documnt'"
  ),
  '{"id": "1", "document": null, "summary": "b"}\n': (
    "x.jsonl:1: text was expected in 'document', not None"
  ),
}


@pytest.mark.parametrize("content", list(BROKEN))
def test_g28_a_broken_file_is_one_error_with_its_line(
  tmp_path, registry, content
):
  path = tmp_path / "x.jsonl"
  path.write_text(content)
  file_tasks.register_summaries("x_summary.es", {"train": str(path)}, "es")
  with pytest.raises(ValueError, match=re.escape(BROKEN[content])):
    rows_of("x_summary.es")


@pytest.mark.parametrize("rating", [1.5, -1, "Yes", None, float("nan")])
def test_g28_a_rating_out_of_range_names_its_line(tmp_path, registry, rating):
  row = {"id": "1", "document": "a", "summary": "b", "rating": rating}
  paths = write(tmp_path / "x.jsonl", [row])
  file_tasks.register_ratings("x_rating.es", paths, "es")
  known = r"x.jsonl:1: (a number was expected|the rating .* is not in \[0, 1\])"
  with pytest.raises(ValueError, match=known):
    rows_of("x_rating.es")


@pytest.mark.parametrize(
  "change", [{"ranks": [0]}, {"ranks": [0, None]}, {"responses": "b"}]
)
def test_g28_rankings_that_do_not_fit_name_their_line(
  tmp_path, registry, change
):
  row = {"id": "1", "prompt": "a", "responses": ["b", "c"], "ranks": [0, 1]}
  paths = write(tmp_path / "x.jsonl", [{**row, **change}])
  file_tasks.register_preferences("x_preference.es", paths, "es")
  wrong = "x.jsonl:1: (a list of texts|2 responses need as many whole ranks)"
  with pytest.raises(ValueError, match=wrong):
    rows_of("x_preference.es")


def test_g28_wrong_fields_and_languages_are_named(registry):
  with pytest.raises(
    ValueError, match=r"lacks \['document'\], unknown \['doc'\]"
  ):
    file_tasks.register_summaries(
      "x.es", {"train": "x"}, "es", fields={"doc": "x", "summary": "y"}
    )
  with pytest.raises(ValueError, match="'sp' has no English name"):
    file_tasks.register_summaries("x.sp", {"train": "x"}, "sp")
