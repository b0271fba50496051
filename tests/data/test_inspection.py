"""xlrm inspect: numbers against a slow loop, text and page."""

import json

import numpy as np
import pytest

from xlrm.analysis.reports import inspection_page
from xlrm.checkpoints import pretrained
from xlrm.data import file_tasks
from xlrm.data import inspection
from xlrm.data import seqio_source

LENGTHS = {"inputs": 12, "targets": 6}


@pytest.fixture
def made(tmp_path, registry):
  rows = [
    {"document": "35 houses burned in Hanoi.", "summary": "Fire.", "rating": 1},
    {"document": "35 houses burned in Hanoi.", "summary": "Fire.", "rating": 0},
    {"document": "A", "summary": "<b>Ω</b> " * 9, "rating": 0.5},
  ]
  path = tmp_path / "x.jsonl"
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  file_tasks.register_ratings("look_rating.en", {"train": str(path)}, "en")
  return seqio_source.SeqioSource(
    "look_rating.en", LENGTHS, 1, tokenizer=pretrained.load_tokenizer("nano")
  )


def test_numbers_equal_a_slow_loop(made):
  (part,) = inspection.inspect(made, "train")
  tokenizer = made.tokenizer
  rows = made.examples("train")
  inputs = [len(tokenizer.encode(x["reward_inputs"])) + 1 for x in rows]
  targets = [len(tokenizer.encode(x["targets_pretokenized"])) + 1 for x in rows]
  assert (part.rows, part.looked_at, part.duplicates) == (3, 3, 1)
  assert part.inputs.mean == pytest.approx(np.mean(inputs))
  assert part.targets.longest == max(targets)
  assert part.targets.cut == pytest.approx(1 / 3)
  kept = sum(min(x, 6) for x in targets) / sum(targets)
  assert part.targets.kept == pytest.approx(kept)
  texts = [
    x[c] for x in rows for c in ("reward_inputs", "targets_pretokenized")
  ]
  ids = [i for text in texts for i in tokenizer.encode(text)]
  unknown = sum(i == tokenizer.unk_id for i in ids) / len(ids)
  assert part.unknown == pytest.approx(unknown) and unknown > 0
  assert part.agreement.n == 1 and part.agreement.rate == 0
  assert "1 of 3 between yes and no" in part.balance


def test_text_and_page_show_what_the_model_reads(made):
  parts = inspection.inspect(made, "train", num_samples=2)
  said = inspection_page.text("look", parts)
  assert "33.3% over 6" in said and "agreement 0.0%" in said
  assert "rated 0.5" in said and "35 houses burned" in said
  page = inspection_page.render("look", "nano", parts)
  assert "<b>" not in page.partition("<main")[2]  # texts are escaped
  assert 'lang="en"' in page and "33.3%" in page


def test_rankings_and_every_language_are_parts(tmp_path, registry):
  rows = [{"prompt": "a", "responses": ["b", "c d"], "ranks": [1, 0]}]
  path = tmp_path / "x.jsonl"
  path.write_text(json.dumps(rows[0]) + "\n")
  names = [
    file_tasks.register_preferences(
      f"p_preference.{x}", {"train": str(path)}, x
    )
    for x in ("en", "tr")
  ]
  found = seqio_source.SeqioSource(
    names, LENGTHS, 1, tokenizer=pretrained.load_tokenizer("nano")
  )
  parts = inspection.inspect(found, "train")
  assert [part.language for part in parts] == ["en", "tr"]
  (sample,) = parts[0].samples
  assert [judgment for _, judgment in sample.responses] == ["rank 1", "rank 0"]
  with pytest.raises(ValueError, match="max_rows 0"):
    inspection.inspect(found, "train", max_rows=0)
