"""Rankings against counting pairs."""

import itertools
import math

import numpy as np
import pytest

from xlrm.evaluation import rankings


def counted(first, second):
  agreed = tied = disagreed = 0
  for (a, b), (c, d) in itertools.combinations(zip(first, second), 2):
    if a == c or b == d:
      tied += 1
    elif (a > c) == (b > d):
      agreed += 1
    else:
      disagreed += 1
  return agreed, tied, disagreed


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_counted(seed):
  rng = np.random.default_rng(seed)
  first, second = rng.integers(0, 5, (2, 9)).astype(float)
  found = rankings.pair_agreement(first, second)
  agreed, tied, disagreed = counted(first, second)
  assert (found.agreed, found.tied, found.disagreed) == (
    agreed,
    tied,
    disagreed,
  )
  assert found.n == 36
  assert found.rate == pytest.approx((agreed + tied / 2) / 36)
  assert found.strict == pytest.approx(agreed / 36)
  assert (found + found).n == 72


@pytest.mark.parametrize("seed", range(4))
def test_tau_b_by_its_definition(seed):
  rng = np.random.default_rng(seed)
  first, second = rng.integers(0, 4, (2, 8)).astype(float)
  agreed, _, disagreed = counted(first, second)
  free = [
    sum(a != b for a, b in itertools.combinations(values, 2))
    for values in (first, second)
  ]
  expected = (agreed - disagreed) / math.sqrt(free[0] * free[1])
  assert rankings.kendall_tau_b(first, second) == pytest.approx(expected)


def test_p_of_tau_is_the_share_of_orders():
  first, second = [1.0, 2, 3, 4], [1.0, 2, 4, 3]
  seen = abs(rankings.kendall_tau_b(first, second))
  taus = [
    abs(rankings.kendall_tau_b(first, list(order)))
    for order in itertools.permutations(second)
  ]
  share = np.mean([tau >= seen - 1e-9 for tau in taus])
  assert rankings.kendall_p(first, second) == pytest.approx(share)


def test_ranks():
  assert rankings.ranks([5.0, 7.0, 5.0]).tolist() == [2.5, 1.0, 2.5]


@pytest.mark.parametrize(
  "values, message",
  [
    (([1.0], [1.0]), "two or more"),
    (([1.0, 2.0], [1.0]), "2 and 1 values"),
    (([1.0, math.nan], [1.0, 2.0]), "value 1 is missing"),
  ],
)
def test_g28_values_that_cannot_be_ranked(values, message):
  with pytest.raises(ValueError, match=message):
    rankings.pair_agreement(*values)
