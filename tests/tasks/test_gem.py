"""GEM's exported files as tasks: mixed evenly, articles left out."""

import gzip
import json

import pytest

from xlrm.data import registry
from xlrm.data import seqio_source
import xlrm.tasks.gem

LENGTHS = {"inputs": 72, "targets": 32}


@pytest.fixture
def folder(tmp_path):
  """Three rows of each source and split, as docs/export_articles.py writes."""
  for language, sources in xlrm.tasks.gem.SOURCES.items():
    for source in sources:
      for split in xlrm.tasks.gem.SPLITS:
        rows = [
          {
            "gem_id": f"{source}_{language}-{split}-{i}",
            "document": f"{source} {i}",
            "summary": "s",
          }
          for i in range(3)
        ]
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        name = f"{source}_{language}.{split}.jsonl.gz"
        (tmp_path / name).write_bytes(gzip.compress(lines.encode()))
  yield tmp_path
  for name in registry.names():
    if name.startswith("here"):
      registry.remove(name)


def files(folder):
  return f"{folder}/{{source}}_{{language}}.{{split}}.jsonl.gz"


def test_the_sources_of_a_language_are_mixed_evenly(folder):
  xlrm.tasks.gem.register("here_gem", files(folder))
  made = seqio_source.SeqioSource("here_gem.es", LENGTHS, 2)
  ids = [row["id"] for row in made.examples("train")]
  assert sorted(ids) == sorted(
    f"{source}_es-train-{i}"
    for source in ("xlsum", "mlsum", "wiki_lingua")
    for i in range(3)
  )
  rates = registry.rates_of(registry.get("here_gem.es"))
  assert len(rates) == 3 and len(set(rates.values())) == 1
  row = made.examples("test")[0]
  assert row["inputs_pretokenized"].endswith(row["reward_inputs"])
  assert "in Spanish" in row["inputs_pretokenized"]


def test_articles_of_a_reward_model_are_in_no_split(folder):
  left_out = {f"xsum_en-{x}-1" for x in xlrm.tasks.gem.SPLITS}
  lines = "".join(f"{x}\tother\n" for x in sorted(left_out))
  (folder / "train.tsv").write_text(f"gem_id\tsummary\n{lines}")
  xlrm.tasks.gem.register(
    "here_gem", files(folder), excluded=str(folder / "train.tsv")
  )
  made = seqio_source.SeqioSource("here_gem.en", LENGTHS, 2)
  for split in xlrm.tasks.gem.SPLITS:
    ids = {row["id"] for row in made.examples(split)}
    assert len(ids) == 8 and not ids & left_out


def test_the_shipped_names_are_those_of_the_paper():
  for language, sources in xlrm.tasks.gem.SOURCES.items():
    rates = registry.rates_of(registry.get(f"gem_summary.{language}"))
    assert sorted(rates) == sorted(f"{x}_summary.{language}" for x in sources)
