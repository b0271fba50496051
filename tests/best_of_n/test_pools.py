import csv
import dataclasses
import json
import math

import numpy as np
import pytest

from xlrm.best_of_n import distillation
from xlrm.best_of_n import estimators
from xlrm.best_of_n import pools
from xlrm.evaluation import records
from xlrm.text import tokenizer


def pool(name="a", scores=(1.0, 3.0, 3.0, 0.0), language="es"):
  """Three samples, the baseline behind them, and the greedy output."""
  row = {
    "id": name,
    "language": language,
    "dataset": "d",
    "task": "t",
    "inputs_pretokenized": f"Resume: {name}",
    "reward_inputs": name,
    "targets_pretokenized": "r",
  }
  samples = {
    "example_id": name,
    "texts": ["x", "y", "y", "z"],
    "logprobs": [-1.0, -2.0, -2.0, -3.0],
  }
  greedy = {"example_id": name, "texts": ["g"], "logprobs": [-0.5]}
  by_reward = {"en": [*scores, 9.0], "es": [5.0, 4.0, 4.0, 1.0, 2.0]}
  return pools.Pool.of(row, samples, greedy, by_reward)


CHOICE = pools.Choice(study="s", policy="p", seed=0)


def test_records_of_a_pool():
  found = list(CHOICE.records(pool()))
  by_method = {(x.method, x.source): x for x in found}
  assert len(by_method) == len(found) == 4
  sample, greedy = by_method["sample", ""], by_method["greedy", ""]
  assert (sample.output, sample.sample, sample.rank) == ("z", 3, None)
  assert (greedy.output, greedy.logprob) == ("g", -0.5)
  assert greedy.scores == {"reward/en": 9.0, "reward/es": 2.0}
  best = by_method["best_of_n", "en"]
  assert (best.output, best.sample, best.rank) == ("y", 1, 0)
  assert best.scores == {"reward/en": 3.0, "reward/es": 4.0}
  assert best.pool["n"] == 3 and best.pool["distinct"] == 2
  assert best.pool["mean"] == pytest.approx(7 / 3)
  assert best.pool["kl_bound"] == pytest.approx(math.log(3) - 2 / 3)
  estimate = float(estimators.kl_estimate(np.array(-2.0), 3))
  assert best.pool["kl_estimate"] == estimate < best.pool["kl_bound"]
  assert by_method["best_of_n", "es"].output == "x"


def test_soft_best_of_n_draws_by_its_own_probabilities():
  soft = dataclasses.replace(CHOICE, soft_scale=1.5)
  expected = estimators.soft_best_of_n(np.array([1.0, 3.0, 3.0]), 1.5)
  counts, ranks = np.zeros(3), []
  for seed in range(400):
    choice = dataclasses.replace(soft, seed=seed)
    (record,) = [
      x
      for x in choice.records(pool())
      if (x.method, x.source) == ("soft_best_of_n", "en")
    ]
    assert "kl_estimate" not in record.pool
    counts[record.sample] += 1
    ranks.append((record.sample, record.rank))
  deviation = np.sqrt(expected * (1 - expected) / 400)
  assert (abs(counts / 400 - expected) < 4 * deviation).all()
  assert set(ranks) == {(0, 2), (1, 0), (2, 0)}
  again = list(dataclasses.replace(soft, seed=7).records(pool()))
  assert again == list(dataclasses.replace(soft, seed=7).records(pool()))


def test_no_kl_estimate_where_draws_were_restricted():
  choice = dataclasses.replace(CHOICE, restricted=True)
  for record in choice.records(pool()):
    assert "kl_estimate" not in record.pool


def test_pools_come_back_as_they_were(tmp_path):
  made = [pool("a"), pool("Ж", language="ru")]
  pools.write(tmp_path / "[x].jsonl", made)
  assert pools.read(tmp_path / "[x].jsonl") == made
  row = dataclasses.asdict(made[0])
  del row["logprobs"]
  (tmp_path / "y.jsonl").write_text(json.dumps(row) + "\n")
  with pytest.raises(ValueError, match="y.jsonl:1: no column 'logprobs'"):
    pools.read(tmp_path / "y.jsonl")


def test_curves_are_those_of_every_k(tmp_path):
  made = [pool("a"), pool("b", scores=(0.0, -1.0, 2.0, 1.0))]
  pools.write_curves(tmp_path / "curves.csv", made)
  with open(tmp_path / "curves.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 2 * 2 * 3  # choosers, judges, k
  first = rows[2]
  assert (first["reward"], first["judge"], first["k"]) == (
    "en",
    "reward/en",
    "3",
  )
  # All four subsets of three of each pool.
  assert float(first["score"]) == pytest.approx((3 + (2 + 2 + 2 + 1) / 4) / 2)
  assert float(first["kl_bound"]) == pytest.approx(
    math.log(3) - 2 / 3, abs=1e-6
  )
  assert 0 < float(first["kl_estimate"]) < float(first["kl_bound"])
  pools.write_curves(tmp_path / "r.csv", made, restricted=True)
  assert ",\n" in (tmp_path / "r.csv").read_text()


def test_alpaca_eval_files(tmp_path):
  made = [pool("a"), pool("b")]
  found = [record for x in made for record in CHOICE.records(x)]
  pools.write_alpaca_eval(tmp_path / "out", found, made)
  names = sorted(path.name for path in (tmp_path / "out").iterdir())
  assert names == [
    "best_of_n.en.json",
    "best_of_n.es.json",
    "greedy.json",
    "sample.json",
  ]
  rows = json.loads((tmp_path / "out" / "best_of_n.en.json").read_text())
  assert [row["instruction"] for row in rows] == ["Resume: a", "Resume: b"]
  assert {"dataset", "instruction", "output", "generator"} == set(rows[0])


def test_texts_of_another_prompt_are_refused():
  row = {"id": "a"}
  with pytest.raises(ValueError, match="texts of 'b' stand where those of 'a'"):
    pools.Pool.of(row, {"example_id": "b"}, {"example_id": "a"}, {})


class Words(tokenizer.Tokenizer):
  """Every letter is an id."""

  def encode(self, text):
    return [ord(x) for x in text]


def test_winners_become_sft_examples(tmp_path):
  made = [pool(f"{i}", scores=(i % 2, 0.5, 0.5, 9.0)) for i in range(40)]
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


def test_records_of_pools_can_be_written(tmp_path):
  found = list(CHOICE.records(pool()))
  records.write(tmp_path / "r.jsonl", found)
  assert list(records.read(tmp_path / "r.jsonl")) == found
