"""KL against win rate: estimates of best-of-k, PPO's points."""

import dataclasses
import itertools

import numpy as np
import pytest

from xlrm.analysis import divergence
from xlrm.analysis import pool_curves
from xlrm.analysis import transfer_matrices
from xlrm.analysis.reports import divergence_section
from xlrm.best_of_n import estimators


def pools(count=5, size=5, seed=0):
  rng = np.random.default_rng(seed)
  return [
    pool_curves.Pool(
      rng.normal(size=size), rng.normal(size=size), -3 * rng.random(size)
    )
    for _ in range(count)
  ]


def test_the_estimate_is_the_mean_over_all_subsets():
  made = pools()
  for point in pool_curves.win_rate_curve(made):
    values = []
    for pool in made:
      for chosen in itertools.combinations(range(5), point.k):
        best = max(chosen, key=lambda i: pool.proxy[i])
        kl = estimators.kl_estimate(np.array(pool.logprobs[best]), point.k)
        values.append(float(kl))
    assert point.kl_estimate == pytest.approx(np.mean(values))
    assert 0 <= point.kl_estimate <= point.kl_bound + 1e-12
    assert point.kl_bound == pytest.approx(np.log(point.k) - 1 + 1 / point.k)


def test_without_log_probabilities_there_is_a_bound_only(study):
  made = [dataclasses.replace(x, logprobs=None) for x in pools()]
  line = pool_curves.win_rate_curve(made)
  assert all(p.kl_estimate is None for p in line)
  assert divergence.at_equal_divergence(line, 0.1) is None
  inputs = study.make_small_inputs(pool_curves={("en", "es"): line})
  page = divergence_section.section(inputs, ("gold",))
  assert "upper bound of KL" in page and "estimated KL</text>" not in page


def test_points_of_ppo_are_the_last_steps_and_the_cell(study, inputs):
  (point,) = divergence.ppo_points(inputs, "gold")
  history = inputs.ppo_training["ppo_es"]
  last = [row["objective/kl"] for row in history[-10:]]
  assert point.kl == pytest.approx(np.mean(last))
  assert (point.low, point.high) == (min(last), max(last))
  matrix = transfer_matrices.transfer_matrix(
    inputs.records, judge="gold", method="ppo"
  )
  assert point.win == matrix.get("en", "es").win
  unmeasured = [{"step": 1, "objective/kl": float("nan")}, {"step": 2}]
  blind = study.make_small_inputs(ppo_training={"ppo_es": unmeasured})
  assert list(divergence.ppo_points(blind, "gold")) == []


def test_two_policies_of_one_pair_are_two_points(study, inputs):
  again = [
    dataclasses.replace(x, seed=1, policy=x.policy + "_1")
    for x in inputs.records
  ]
  both = study.make_small_inputs(
    records=[*inputs.records, *again],
    ppo_training={
      f"ppo_es{suffix}": inputs.ppo_training["ppo_es"] for suffix in ("", "_1")
    },
  )
  found = list(divergence.ppo_points(both, "gold"))
  assert [(p.source, p.target, p.win.n) for p in found] == [
    ("en", "es", 60)
  ] * 2


def test_best_of_n_at_equal_divergence():
  line = pool_curves.win_rate_curve(pools(40, 9))
  first, second = line[1], line[2]
  middle = (first.kl_estimate + second.kl_estimate) / 2
  found = divergence.at_equal_divergence(line, middle)
  assert found == pytest.approx((first.win_rate + second.win_rate) / 2)
  assert divergence.at_equal_divergence(line, 99.0) is None
  assert divergence.at_equal_divergence((), 0.1) is None


def test_the_section_names_both_kinds_of_divergence(inputs):
  page = divergence_section.section(inputs, ("gold",))
  for word in ("upper bound of KL", "estimated KL", "PPO, KL of its rollouts"):
    assert f"{word}</text>" in page
  assert "PPO wins" in page and "best of 16" in page
  # No pools, no PPO, or not by the judge of the curves: no section
  bare = dataclasses.replace(inputs, pool_curves={}, ppo_training={})
  assert divergence_section.section(bare, ("gold",)) == ""
