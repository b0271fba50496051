"""Curves against all subsets of a pool."""

import itertools

import numpy as np
import pytest

from xlrm.analysis import pool_curves


def brute_force(pool, k):
  """Mean win rate and score over all subsets of size k and all others."""
  indices = range(len(pool.proxy))
  wins, scores = [], []
  for subset in itertools.combinations(indices, k):
    # max takes the first drawn of equals
    best = max(subset, key=lambda i: pool.proxy[i])
    scores.append(pool.judged[best])
    for other in set(indices) - set(subset):
      margin = pool.judged[best] - pool.judged[other]
      wins.append(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0)
  return np.mean(wins), np.mean(scores)


@pytest.mark.parametrize("ties", [False, True])
def test_curve_is_the_mean_over_all_subsets(ties):
  rng = np.random.default_rng(0)
  draw = (
    (lambda: rng.integers(0, 3, 6).astype(float))
    if ties
    else (lambda: rng.normal(size=6))
  )
  pools = [pool_curves.Pool(draw(), draw()) for _ in range(7)]
  line = pool_curves.win_rate_curve(pools)
  assert [p.k for p in line] == [1, 2, 4, 5]
  for point in line:
    slow = np.array([brute_force(pool, point.k) for pool in pools])
    assert point.win_rate == pytest.approx(slow[:, 0].mean())
    assert point.score == pytest.approx(slow[:, 1].mean())
    half = 1.959964 * slow[:, 1].std(ddof=1) / np.sqrt(7)
    assert point.score_high - point.score == pytest.approx(half)
    assert point.n == 7


def test_one_sample_is_even_with_another():
  rng = np.random.default_rng(1)
  pools = [
    pool_curves.Pool(rng.normal(size=5), rng.normal(size=5)) for _ in range(9)
  ]
  first = pool_curves.win_rate_curve(pools)[0]
  assert (first.k, first.win_rate) == (1, pytest.approx(0.5))
  assert first.high - first.low == pytest.approx(0.0, abs=1e-12)


def test_a_perfect_judge_reaches_the_bound():
  scores = np.arange(17.0)
  for point in pool_curves.win_rate_curve(
    [pool_curves.Pool(scores, scores)] * 2
  ):
    assert point.win_rate == pytest.approx(point.k / (point.k + 1))


def test_one_prompt_has_no_interval():
  pool = pool_curves.Pool(np.arange(3.0), np.arange(3.0))
  point = pool_curves.win_rate_curve([pool])[-1]
  assert (point.low, point.high) == (0.0, 1.0)


def test_sizes():
  assert pool_curves.sizes(15) == [1, 2, 4, 8, 15]
  assert pool_curves.sizes(16) == [1, 2, 4, 8, 16]
  assert pool_curves.sizes(1) == [1]


def test_g28_pools_that_do_not_fit():
  one, two = np.zeros(3), np.zeros(4)
  with pytest.raises(ValueError, match="no pools"):
    pool_curves.win_rate_curve([])
  with pytest.raises(ValueError, match="several sizes"):
    pool_curves.win_rate_curve(
      [pool_curves.Pool(one, one), pool_curves.Pool(two, two)]
    )
