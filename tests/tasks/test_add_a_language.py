"""docs/add_a_language.md: its files are run as a reader would run them."""

import gzip
import json
import pathlib
import re

import pytest

from xlrm.batches import batch_sources
from xlrm.data import registry
from xlrm.data import seqio_source

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "add_a_language.md"
LENGTHS = {"inputs": 72, "targets": 32}
ROW = {"key": 17, "body": "El ple va aprovar el pressupost.", "headline": "Nou"}


@pytest.fixture
def page(tmp_path, monkeypatch):
  """The page's programs, in a folder with the data that it speaks of."""
  before = set(registry.names())
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("GAZETTE", str(tmp_path))
  rated = json.dumps({**ROW, "liked": 1}) + "\n"
  line = json.dumps(ROW) + "\n"
  packed = gzip.compress((line * 3).encode())
  (tmp_path / "train-0.jsonl.gz").write_bytes(packed)
  (tmp_path / "train-1.jsonl.gz").write_bytes(packed)
  for name in ("validation", "test"):
    (tmp_path / f"{name}.jsonl").write_text(line)
    (tmp_path / f"ratings.{name}.jsonl").write_text(rated)
  (tmp_path / "ratings.train.jsonl").write_text(rated * 2)
  programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
  (tmp_path / "catalan.py").write_text(programs[0], encoding="utf-8")
  yield programs
  for name in set(registry.names()) - before:
    registry.remove(name)


def test_the_file_of_the_page_registers_its_tasks(page):
  made = seqio_source.SeqioSource(
    "gazette_summary.ca", LENGTHS, 4, module="catalan.py"
  )
  assert next(made.train_batches(0)).inputs.shape == (4, 72)
  assert len(made.examples("train")) == 6
  row = made.examples("test")[0]
  start = "Summarize the following text in Catalan: "
  assert row["inputs_pretokenized"] == start + ROW["body"]
  assert (row["id"], row["language"]) == ("17", "ca")
  rated = seqio_source.SeqioSource("gazette_rating.ca", LENGTHS, 2)
  assert next(rated.train_batches(0)).ratings.tolist() == [[1.0], [1.0]]


def test_the_other_programs_of_the_page_run(page):
  seqio_source.import_module("catalan.py")
  registry.register(
    "gazette_summary.oc", lambda split: [], kind="summary", splits=("train",)
  )
  scope = {"__name__": "__main__"}
  for program in page[1:]:
    exec(compile(program, str(PAGE), "exec"), scope)
  assert "proverbs_summary.ca" in registry.names()
  assert registry.rates_of(registry.get("gazette")) == {
    "gazette_summary.ca": 2.0,
    "gazette_summary.oc": 1.0,
  }
  read = scope["read_there"]
  assert isinstance(read, batch_sources.ArraySource)
  assert read.examples("test")[0]["targets_pretokenized"] == "Nou"
