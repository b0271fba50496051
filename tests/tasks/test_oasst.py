"""OpenAssistant's trees as four tasks of every language."""

import json

import pytest

from xlrm.data import registry
from xlrm.data import seqio_source
from xlrm.data import splits
import xlrm.tasks.oasst

LENGTHS = {"inputs": 24, "targets": 12}


def message(name, role, replies=(), rank=None):
  return {
    "message_id": name,
    "text": name,
    "role": role,
    "lang": "es",
    "rank": rank,
    "replies": list(replies),
  }


@pytest.fixture
def file(tmp_path):
  """A question with three ranked replies in each of 40 trees."""
  rows = []
  for i in range(40):
    replies = [message(f"r{i}{j}", "assistant", rank=j) for j in range(3)]
    root = message(f"q{i}", "prompter", replies)
    rows.append({"message_tree_id": f"t{i}", "prompt": root})
  path = tmp_path / "x_tree.jsonl"
  path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
  yield path
  for name in registry.names():
    if name.startswith("here"):
      registry.remove(name)


def test_a_tree_is_four_kinds_of_rows(file):
  xlrm.tasks.oasst.register("here", str(file), ["es"])
  counts = {}
  for name, (kind, _) in xlrm.tasks.oasst.READERS.items():
    task = f"here_{name}.es"
    assert registry.kind_of(task) == kind
    made = seqio_source.SeqioSource(task, LENGTHS, 2)
    assert made.truncate_inputs_from_left
    rows = [row for x in splits.SPLITS for row in made.examples(x)]
    counts[name] = len(rows)
  assert counts == {
    "sft": 40,
    "preference": 40 * 3,  # pairs of three
    "ranking": 40,
    "prompt": 40,
  }
  sft = seqio_source.SeqioSource("here_sft.es", LENGTHS, 2).examples("train")
  assert all(x["targets_pretokenized"].endswith("0") for x in sft)
  ranked = seqio_source.SeqioSource("here_ranking.es", LENGTHS, 2)
  assert next(ranked.train_batches(0)).ranks.shape == (2, 3)


def test_languages_are_mixed_under_the_bare_name(file):
  xlrm.tasks.oasst.register("here", str(file), ["es", "de"])
  rates = registry.rates_of(registry.get("here_sft"))
  assert set(rates) == {"here_sft.es", "here_sft.de"}
  with pytest.raises(ValueError, match="nothing is left of OpenAssistant de"):
    seqio_source.SeqioSource("here_sft.de", LENGTHS, 2).examples("train")
