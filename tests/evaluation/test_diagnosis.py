"""A diagnosis row, and its rank correlation against SciPy's."""

import math

import numpy as np
import pytest
from scipy import stats

from xlrm.evaluation import diagnosis
from xlrm.evaluation import judgments


def test_spearman_equals_scipy_with_ties():
  rng = np.random.default_rng(0)
  a, b = rng.integers(0, 6, 80), rng.normal(size=80)
  expected = stats.spearmanr(a, b).statistic
  assert diagnosis.spearman(a, b) == pytest.approx(expected)
  assert math.isnan(diagnosis.spearman([1.0, 1.0], [1.0, 2.0]))


def rows_of(rng, count):
  return [
    {
      "id": str(i),
      "reward_inputs": f"document {i}",
      "targets_pretokenized": " ".join(["word"] * rng.integers(1, 9)),
      "rating": float(rng.integers(0, 2)),
    }
    for i in range(count)
  ]


def test_a_diagnosis_row_holds_what_its_scores_say():
  rng = np.random.default_rng(0)
  held_out, training = (
    judgments.Judgments.of_rows(rows_of(rng, n)) for n in (60, 80)
  )
  scored = [
    found.scored([[4 * (r - 0.5) + rng.normal()] for r in found.ratings])
    for found in (held_out, training)
  ]
  row = diagnosis.diagnosis_row("en", "es", *scored)
  scores = np.asarray(scored[0].scores)
  right = (scores > 0) == (np.asarray(held_out.ratings) > 0.5)
  assert row.n == 60 and row.accuracy == pytest.approx(right.mean())
  assert row.score_mean == pytest.approx(scores.mean())
  assert row.score_deviation == pytest.approx(scores.std())
  assert row.gap == pytest.approx(row.loss - row.training_loss)
  assert row.calibration.temperature == 1.0
  assert row.fitted.temperature != 1.0
  assert abs(row.length_correlation) < 0.4
  bare = diagnosis.diagnosis_row("en", "es", scored[0], None)
  assert math.isnan(bare.gap) and bare.fitted is None
