"""Calibration: hand-made bins, a known temperature, a grid search."""

import numpy as np
import pytest

from xlrm.evaluation import calibration


def test_a_hand_made_case():
  # Probabilities .5, .5 (one bin), sigmoid(2) = .8808 (another).
  found = calibration.calibration([0.0, 0.0, 2.0], [1.0, 0.0, 1.0])
  high = 1 / (1 + np.exp(-2))
  assert [(x.observed, x.n) for x in found.bins] == [(0.5, 2), (1.0, 1)]
  assert found.bins[1].predicted == pytest.approx(high)
  assert found.ece == pytest.approx((1 - high) / 3)
  assert found.brier == pytest.approx((0.25 + 0.25 + (1 - high) ** 2) / 3)
  by_hand = (2 * np.log(2) - np.log(high)) / 3
  assert found.log_loss == pytest.approx(by_hand)


def test_the_temperature_that_made_the_ratings_is_found():
  rng = np.random.default_rng(0)
  scores = rng.normal(size=40_000) * 6
  ratings = rng.random(scores.size) < calibration.probabilities(scores / 3)
  fitted = calibration.fit_temperature(scores, ratings.astype(float))
  assert fitted == pytest.approx(3.0, rel=0.03)
  plain = calibration.calibration(scores, ratings.astype(float))
  better = calibration.calibration(scores, ratings.astype(float), fitted)
  assert better.ece < 0.01 < plain.ece
  assert better.brier < plain.brier and better.log_loss < plain.log_loss


def test_the_temperature_is_that_of_a_grid():
  rng = np.random.default_rng(1)
  scores, ratings = rng.normal(size=60), rng.random(60)
  fitted = calibration.fit_temperature(scores, ratings)
  grid = np.exp(np.linspace(-4, 9, 4000))
  losses = [calibration.log_loss(scores / t, ratings) for t in grid]
  best = calibration.log_loss(scores / fitted, ratings)
  assert best <= min(losses) + 1e-9


def test_scores_that_say_the_opposite_are_cooled_to_nothing():
  fitted = calibration.fit_temperature([3.0, -3.0], [0.0, 1.0])
  assert fitted == pytest.approx(calibration.HOTTEST, rel=1e-3)


def test_huge_scores_stay_finite():
  found = calibration.calibration([1e4, -1e4], [1.0, 1.0])
  assert np.isfinite(found.log_loss) and found.brier == pytest.approx(0.5)
  with pytest.raises(ValueError, match="2 scores for 1 ratings"):
    calibration.calibration([1.0, 2.0], [1.0])
