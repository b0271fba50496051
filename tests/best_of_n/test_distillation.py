"""Winners of best-of-n as examples of SFT."""

import example_pools
import pytest

from xlrm.best_of_n import distillation
from xlrm.best_of_n import pools
from xlrm.text import tokenizer


class Words(tokenizer.Tokenizer):
  """Every letter is an id."""

  def encode(self, text):
    return [ord(x) for x in text]


def test_winners_become_sft_examples(tmp_path):
  made = [
    example_pools.pool(f"{i}", scores=(i % 2, 0.5, 0.5, 9.0)) for i in range(40)
  ]
  pools.write(tmp_path / "pools.jsonl", made)
  source = distillation.winners_source(
    str(tmp_path), "en", {"inputs": 16, "targets": 4}, 8, Words("x"), 0.25
  )
  train, validation = source.examples("train"), source.examples("validation")
  assert len(train) + len(validation) == 40 and 2 < len(validation) < 20
  for row in (*train, *validation):
    winner = "x" if int(row["id"]) % 2 else "y"
    assert row["targets_pretokenized"] == winner
    assert row["inputs_pretokenized"] == f"Resume: {row['id']}"
  batch = next(source.train_batches(0))
  assert batch.targets.shape == (8, 1, 4)
  assert set(batch.targets[:, 0, 0]) == {ord("x"), ord("y")}
  assert (batch.targets[:, 0, 1] == 1).all()
  with pytest.raises(
    ValueError, match="no scores of a reward model 'fr'; .*en"
  ):
    distillation.winners_source(str(tmp_path), "fr", {}, 8, Words("x"))
  with pytest.raises(FileNotFoundError, match="holds no pools.jsonl"):
    distillation.winners_source(str(tmp_path / "z"), "en", {}, 8, Words("x"))
