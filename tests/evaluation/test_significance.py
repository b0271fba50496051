"""Paired tests against enumeration; p-values against their distribution."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from xlrm.evaluation import significance


def enumerated(first, second):
  """Share of all exchanges with a mean difference at least as far from 0."""
  differences = [a - b for a, b in zip(first, second)]
  seen = abs(sum(differences))
  signs = list(itertools.product((1, -1), repeat=len(differences)))
  hits = sum(
    abs(sum(s * d for s, d in zip(row, differences))) >= seen - 1e-9
    for row in signs
  )
  return hits / len(signs)


@pytest.mark.parametrize("seed", range(5))
def test_permutation_test_is_the_share_of_all_exchanges(seed):
  rng = np.random.default_rng(seed)
  first, second = rng.choice([0.0, 0.5, 1.0], (2, 9))
  found = significance.permutation_test(first, second)
  assert found.p == pytest.approx(enumerated(first, second))
  assert found.difference == pytest.approx(np.mean(first - second))


def test_sampled_permutations_come_close_and_repeat():
  rng = np.random.default_rng(0)
  second = rng.choice([0.0, 1.0], 12)
  first = np.where(rng.random(12) < 0.4, 1.0, second)
  exact = enumerated(first, second)
  few = significance.permutation_test(first, second, resamples=200)
  assert few == significance.permutation_test(first, second, resamples=200)
  many = rng.choice([0.0, 0.5, 1.0], (2, 40), p=[0.4, 0.1, 0.5])
  p = [
    significance.permutation_test(*many, seed=seed, resamples=2000).p
    for seed in (0, 1)
  ]
  assert abs(few.p - exact) < 0.1 and abs(p[0] - p[1]) < 0.05


def test_g27_permutation_p_values_are_uniform_under_the_null():
  rng = np.random.default_rng(1)
  found = []
  for i in range(300):
    quality = rng.normal(size=30)  # of the prompt: both sides share it
    first, second = quality + rng.normal(size=(2, 30))
    tested = significance.permutation_test(first, second, seed=i, resamples=499)
    found.append(tested.p)
  assert stats.kstest(found, "uniform").pvalue > 0.01
  assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.09


@pytest.mark.parametrize("better, worse", [(9, 1), (5, 5), (0, 6), (1, 0)])
def test_sign_test_counts_coins(better, worse):
  first = np.repeat([1.0, 0.0, 1.0], [better, worse, 4])
  second = np.repeat([0.0, 1.0, 1.0], [better, worse, 4])
  n, far = better + worse, abs(better - worse)
  exact = (
    sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= far) / 2**n
  )
  found = significance.sign_test(first, second)
  assert found.p == pytest.approx(exact)
  assert (found.better, found.worse, found.n) == (better, worse, n + 4)


def test_outcomes_that_never_differ_prove_nothing():
  same = [1.0, 0.5, 0.0]
  assert significance.sign_test(same, same).p == 1
  assert significance.permutation_test(same, same).p == 1
  assert significance.permutation_test([1.0, 0.5], [0.0, 0.5]).p == 1


def test_corrections_by_their_definition():
  rng = np.random.default_rng(2)
  p = rng.random(12) ** 3
  order = sorted(range(12), key=lambda i: p[i])
  step_down, step_up = {}, {}
  for rank, i in enumerate(order):
    later = [12 / (r + 1) * p[j] for r, j in enumerate(order) if r >= rank]
    step_up[i] = min(1.0, *later)
    earlier = [(12 - r) * p[j] for r, j in enumerate(order) if r <= rank]
    step_down[i] = min(1.0, max(earlier))
  holm, hochberg = significance.holm(p), significance.benjamini_hochberg(p)
  assert holm == pytest.approx([step_down[i] for i in range(12)])
  assert hochberg == pytest.approx([step_up[i] for i in range(12)])
  bonferroni = significance.bonferroni(p)
  assert (hochberg <= holm + 1e-12).all() and (holm <= bonferroni + 1e-12).all()
  assert significance.bonferroni([0.01], family=20) == pytest.approx([0.2])


@pytest.mark.parametrize(
  "call, message",
  [
    (lambda: significance.sign_test([1.0], [1.0, 0.0]), "1 outcomes .* 2"),
    (lambda: significance.sign_test([], []), "0 outcomes"),
    (lambda: significance.permutation_test([math.nan], [1.0]), "prompt 0"),
    (
      lambda: significance.permutation_test([1.0], [0.0], resamples=0),
      "resamples 0",
    ),
    (lambda: significance.holm([0.5, 1.5]), "one is 1.5"),
    (lambda: significance.bonferroni([]), "there is none"),
    (lambda: significance.bonferroni([0.1] * 3, family=2), "a family of 2"),
  ],
)
def test_g28_wrong_comparisons_are_refused(call, message):
  with pytest.raises(ValueError, match=message):
    call()
