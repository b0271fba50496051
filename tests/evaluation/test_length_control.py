"""Length control against what made the outcomes."""

import math

import numpy as np
import pytest
from scipy import optimize

from xlrm.evaluation import length_control
from xlrm.evaluation import win_rates


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def drawn(seed, n, intercept, slope, ties=0.0):
  """Outcomes whose log odds grow with tanh of the standardised difference."""
  rng = np.random.default_rng(seed)
  ours, theirs = rng.poisson(30, (2, n)) + np.array([[6], [0]])
  difference = (ours - theirs).astype(float)
  scale = math.sqrt(np.mean(difference**2))
  odds = intercept + slope * np.tanh(difference / scale)
  outcomes = (rng.random(n) < sigmoid(odds)).astype(float)
  outcomes[rng.random(n) < ties] = 0.5
  return outcomes, ours, theirs


def test_the_effect_of_length_is_taken_off():
  outcomes, ours, theirs = drawn(0, 20000, 0.3, 2.0)
  found = length_control.length_controlled(outcomes, ours, theirs)
  assert found.raw > sigmoid(0.3) + 0.08
  assert found.rate == pytest.approx(sigmoid(0.3), abs=0.015)
  assert found.slope == pytest.approx(2.0, abs=0.15)
  assert found.mean_difference == pytest.approx(6, abs=0.3)


def test_fit_is_the_maximum_that_another_optimiser_finds():
  outcomes, ours, theirs = drawn(1, 80, -0.5, 1.0, ties=0.2)
  found = length_control.length_controlled(outcomes, ours, theirs)
  difference = np.tanh((ours - theirs) / np.sqrt(np.mean((ours - theirs) ** 2)))

  def loss(w):
    p = sigmoid(w[0] + w[1] * difference)
    fit = outcomes * np.log(p) + (1 - outcomes) * np.log(1 - p)
    return -fit.sum() + length_control.PRIOR * (w[0] ** 2 + w[1] ** 2) / 2

  best = optimize.minimize(loss, [0.0, 0.0], method="Nelder-Mead")
  assert found.rate == pytest.approx(sigmoid(best.x[0]), abs=1e-4)
  assert found.slope == pytest.approx(best.x[1], abs=1e-3)


def test_exchanging_the_sides_mirrors_the_rate():
  outcomes, ours, theirs = drawn(2, 120, 0.4, 1.5, ties=0.1)
  one = length_control.length_controlled(outcomes, ours, theirs)
  other = length_control.length_controlled(1 - outcomes, theirs, ours)
  assert (one.rate, one.low) == pytest.approx((1 - other.rate, 1 - other.high))
  assert one.slope == pytest.approx(other.slope)


def test_equal_lengths_leave_the_win_rate_alone():
  outcomes = np.repeat([1.0, 0.5, 0.0], [60, 20, 20])
  plain = win_rates.win_rate(outcomes)
  found = length_control.length_controlled(outcomes, [7] * 100, [7] * 100)
  assert found.rate == pytest.approx(plain.rate, abs=1e-3)
  assert (found.low, found.high) == pytest.approx(
    (plain.low, plain.high), abs=3e-3
  )


@pytest.mark.parametrize(
  "n, intercept, slope, ties",
  [(50, 0.3, 1.0, 0.0), (250, 1.0, 2.0, 0.0), (250, 0.3, 1.0, 0.4)],
)
def test_g27_length_controlled_coverage(n, intercept, slope, ties):
  truth = (1 - ties) * sigmoid(intercept) + ties / 2
  hits = 0
  for seed in range(400):
    sample = drawn(seed, n, intercept, slope, ties)
    found = length_control.length_controlled(*sample)
    hits += found.low <= truth <= found.high
  assert 0.92 <= hits / 400 <= 0.98


@pytest.mark.parametrize("outcome", [0.0, 0.5, 1.0])
def test_outcomes_that_are_all_the_same_stay_finite(outcome):
  rng = np.random.default_rng(0)
  lengths = rng.integers(1, 50, (2, 30))
  found = length_control.length_controlled([outcome] * 30, *lengths)
  assert found.rate == pytest.approx(outcome, abs=0.02)
  assert 0 <= found.low < found.high <= 1


@pytest.mark.parametrize(
  "arguments, message",
  [
    (([1.0], [1], [1, 2]), "1 outcomes, 1 lengths and 2 baseline"),
    (([1.0, 2.0], [1, 2], [1, 2]), "an outcome is 2.0"),
    (([], [], []), "none to average"),
    (([1.0], [math.inf], [1]), "a length of prompt 0"),
  ],
)
def test_g28_wrong_lengths_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    length_control.length_controlled(*arguments)
