"""Curves over k, against all subsets counted by hand."""

import csv
import math

import example_pools
import pytest

from xlrm.best_of_n import best_of_k


def test_curves_are_those_of_every_k(tmp_path):
  made = [
    example_pools.pool("a"),
    example_pools.pool("b", scores=(0.0, -1.0, 2.0, 1.0)),
  ]
  best_of_k.write_curves(tmp_path / "curves.csv", made)
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
  best_of_k.write_curves(tmp_path / "r.csv", made, restricted=True)
  assert ",\n" in (tmp_path / "r.csv").read_text()


def test_the_summary_has_a_line_per_reward_model():
  made = [example_pools.pool("a"), example_pools.pool("b")]
  first, english, spanish = best_of_k.summary(made).splitlines()
  assert first.startswith("best of 3, 2 prompts")
  assert "en: score 2.333 -> 3.000" in english
  assert "es: score 4.333 -> 5.000" in spanish
