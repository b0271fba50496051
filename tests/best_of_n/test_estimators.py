import itertools
import math

import numpy as np
import pytest

from xlrm.best_of_n import estimators

POOL = np.array([0.3, -1.0, 2.5, 0.3, 2.5, 7.0])
OTHER = np.array([1.0, 0.0, -2.0, 4.0, 0.5, 1.0])


def choose(scores, subset):
  """The first drawn of the best, as `select` does, in plain Python."""
  return max(subset, key=lambda i: (scores[i], -i))


def outcome(first, second):
  return 1.0 if first > second else 0.5 if first == second else 0.0


def test_select_takes_the_first_drawn_of_equals():
  assert estimators.select(np.array([0.1, 0.7, 0.7])) == 1
  assert estimators.select(np.array([4.0])) == 0
  table = np.array([[1.0, 2.0], [3.0, 3.0]])
  np.testing.assert_array_equal(estimators.select(table), [1, 0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_select_refuses_a_score_that_is_no_number(bad):
  with pytest.raises(ValueError, match=r"score at \(1, 0\) is (nan|inf)"):
    estimators.select(np.array([[0.0, 1.0], [bad, 1.0]]))
  with pytest.raises(ValueError, match="no pool"):
    estimators.select(np.zeros((3, 0)))


@pytest.mark.parametrize("judged", [None, OTHER])
def test_best_of_k_equals_brute_force_over_all_subsets(judged):
  values = POOL if judged is None else judged
  expected = [
    np.mean(
      [
        values[choose(POOL, subset)]
        for subset in itertools.combinations(range(6), k)
      ]
    )
    for k in range(1, 7)
  ]
  found = estimators.expected_best_of_k(POOL, judged)
  np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("judged", [None, OTHER])
def test_win_rate_equals_brute_force_over_subsets_and_opponents(judged):
  values = POOL if judged is None else judged
  expected = []
  for k in range(1, 6):
    outcomes = [
      outcome(values[choose(POOL, subset)], values[opponent])
      for subset in itertools.combinations(range(6), k)
      for opponent in set(range(6)) - set(subset)
    ]
    expected.append(np.mean(outcomes))
  found = estimators.best_of_k_win_rate(POOL, judged)
  np.testing.assert_allclose(found, expected, rtol=1e-13)
  np.testing.assert_allclose(found[0], 0.5, rtol=1e-13)


def test_distinct_scores_reach_the_win_rate_bound():
  pool = np.random.default_rng(0).permutation(64.0 * np.arange(64)[None])
  found = estimators.best_of_k_win_rate(pool)
  bounds = [estimators.win_rate_bound(k) for k in range(1, 64)]
  np.testing.assert_allclose(found[0], bounds, rtol=1e-12)


def test_curves_of_large_pools_and_of_many_prompts():
  scores = np.random.default_rng(1).normal(size=(3, 2, 512))
  curve = estimators.expected_best_of_k(scores)
  assert curve.shape == (3, 2, 512)
  assert estimators.best_of_k_win_rate(scores).shape == (3, 2, 511)
  np.testing.assert_allclose(curve[..., 0], scores.mean(-1), rtol=1e-11)
  np.testing.assert_allclose(curve[..., -1], scores.max(-1), rtol=1e-11)
  assert (np.diff(curve, axis=-1) >= 0).all()
  # Against binomial coefficients in integers of any size.
  ordered, n, k = np.sort(scores[0, 0]), 512, 200
  weights = [math.comb(i, k - 1) / math.comb(n, k) for i in range(n)]
  np.testing.assert_allclose(curve[0, 0, k - 1], ordered @ weights, rtol=1e-11)


def test_a_pool_of_one():
  np.testing.assert_array_equal(
    estimators.expected_best_of_k(np.array([3.0])), [3.0]
  )
  with pytest.raises(ValueError, match="at least 2"):
    estimators.best_of_k_win_rate(np.array([3.0]))


def exact_kl(num_outputs, n):
  """KL of pi_n(y) = F^n - F-^n against a uniform policy without ties."""
  upper = np.arange(1, num_outputs + 1) / num_outputs
  best = upper**n - (upper - 1 / num_outputs) ** n
  best = best[best > 0]
  return float(np.sum(best * np.log(best * num_outputs)))


@pytest.mark.parametrize(
  ("num_outputs", "n", "exact", "estimate"),
  [(2, 64, 0.6931, 0.6931), (10, 16, 1.733, 1.756)],
)
def test_kl_of_a_uniform_policy(num_outputs, n, exact, estimate):
  assert exact_kl(num_outputs, n) == pytest.approx(exact, abs=5e-4)
  found = estimators.kl_estimate(np.array(-math.log(num_outputs)), n)
  assert float(found) == pytest.approx(estimate, abs=5e-4)
  assert exact_kl(num_outputs, n) <= found + 1e-9 <= estimators.kl_bound(n)


def test_kl_bound():
  assert estimators.kl_bound(64) == pytest.approx(3.1745, abs=5e-5)
  assert estimators.kl_bound(16) == pytest.approx(1.835, abs=5e-4)
  assert estimators.kl_bound(1) == 0


def test_kl_estimate_at_the_ends():
  logprobs = np.array([-1e4, -800.0, -700.0, -40.0, -1e-30, 0.0, 1e-6])
  found = estimators.kl_estimate(logprobs, 64)
  bound = estimators.kl_bound(64)
  np.testing.assert_allclose(found[:4], bound, rtol=1e-12)
  np.testing.assert_allclose(found[4:], 0, atol=1e-25)
  np.testing.assert_array_equal(estimators.kl_estimate(logprobs, 1), 0)
  grid = estimators.kl_estimate(np.linspace(-60, 0, 999), 64)
  assert (grid >= 0).all() and (grid <= bound).all()
  assert (np.diff(grid) <= 1e-12).all()


def test_soft_best_of_n():
  found = estimators.soft_best_of_n(np.array([[0.0, 2 * math.log(3)]]), 2.0)
  np.testing.assert_allclose(found, [[0.25, 0.75]], rtol=1e-13)
  hard = estimators.soft_best_of_n(np.array([1e4, -1e4]), 1e-3)
  np.testing.assert_array_equal(hard, [1, 0])
  with pytest.raises(ValueError, match="scale 0.0"):
    estimators.soft_best_of_n(POOL, 0.0)


@pytest.mark.parametrize(
  "bound", [estimators.kl_bound, estimators.win_rate_bound]
)
def test_bounds_refuse_n_below_1(bound):
  with pytest.raises(ValueError, match="n 0 is below 1"):
    bound(0)


def test_kl_estimate_of_best_of_k_equals_brute_force():
  logprobs = np.array([-0.5, -1.0, -3.0, -0.5, -20.0, -800.0])
  expected = [
    np.mean(
      [
        estimators.kl_estimate(logprobs[choose(POOL, subset)], k)
        for subset in itertools.combinations(range(6), k)
      ]
    )
    for k in range(1, 7)
  ]
  found = estimators.expected_kl_estimate(POOL, logprobs)
  np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
  both = estimators.expected_kl_estimate(
    np.stack([POOL, OTHER]), np.stack([logprobs, logprobs])
  )
  np.testing.assert_allclose(both[0], found)
