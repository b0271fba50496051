"""The choices of reward models as records, drawn as their weights say."""

import dataclasses
import json
import math

import example_pools
import numpy as np
import pytest

from xlrm.best_of_n import estimators
from xlrm.best_of_n import pool_records
from xlrm.evaluation import records

CHOICE = pool_records.Choice(study="s", policy="p", seed=0)


def test_records_of_a_pool():
  found = list(CHOICE.records(example_pools.pool()))
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
      for x in choice.records(example_pools.pool())
      if (x.method, x.source) == ("soft_best_of_n", "en")
    ]
    assert "kl_estimate" not in record.pool
    counts[record.sample] += 1
    ranks.append((record.sample, record.rank))
  deviation = np.sqrt(expected * (1 - expected) / 400)
  assert (abs(counts / 400 - expected) < 4 * deviation).all()
  assert set(ranks) == {(0, 2), (1, 0), (2, 0)}
  again = list(dataclasses.replace(soft, seed=7).records(example_pools.pool()))
  assert again == list(
    dataclasses.replace(soft, seed=7).records(example_pools.pool())
  )


def test_no_kl_estimate_where_draws_were_restricted():
  choice = dataclasses.replace(CHOICE, restricted=True)
  for record in choice.records(example_pools.pool()):
    assert "kl_estimate" not in record.pool


def test_alpaca_eval_files(tmp_path):
  made = [example_pools.pool("a"), example_pools.pool("b")]
  found = [record for x in made for record in CHOICE.records(x)]
  pool_records.write_alpaca_eval(tmp_path / "out", found, made)
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


def test_records_of_pools_can_be_written(tmp_path):
  found = list(CHOICE.records(example_pools.pool()))
  records.write(tmp_path / "r.jsonl", found)
  assert list(records.read(tmp_path / "r.jsonl")) == found
