"""Trials, agreement of people, and a diagnosis row, against small loops."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from xlrm.evaluation import accuracy
from xlrm.evaluation import agreement
from xlrm.evaluation import diagnosis
from xlrm.evaluation import judgments
from xlrm.evaluation import trials


def test_rankings_become_pairs_that_do_not_know_which_is_better():
  scores = [[3.0, 1.0, 2.0], [5.0, 4.0]]
  ranks = [[0, 1, 1], [1, 0]]
  texts = [["b b", "a", "c c c"], ["x", "y y"]]
  found = trials.from_rankings(scores, ranks, texts)
  # Alphabetical: (a, b b), (b b, c c c) of the first, (x, y y) of the second.
  assert found.scores.tolist() == [-2.0, 1.0, 1.0]
  assert found.ratings.tolist() == [0.0, 1.0, 0.0]
  assert found.lengths.tolist() == [-1.0, -1.0, -1.0]
  assert found.prompts.tolist() == [0, 0, 1]
  with pytest.raises(ValueError, match="1 rankings compare nothing"):
    trials.from_rankings([[1.0, 2.0]], [[0, 0]], [["a", "b"]])


def test_g10_accuracy_of_rankings_is_a_mean_over_prompts():
  scores = [[3.0, 1.0, 0.0, 0.0], [5.0, 4.0]]
  ranks = [[0, 1, 2, 2], [1, 0]]
  texts = [["a", "b", "c", "d"], ["longer text", "y"]]
  found = trials.from_rankings(scores, ranks, texts)
  baseline = accuracy.fit_length_baseline(
    found.lengths, found.ratings, pairs=True
  )
  assert baseline == accuracy.LengthBaseline(0.0, longer_is_better=False)
  row = accuracy.accuracy_row(
    "en",
    "es",
    scores=found.scores,
    ratings=found.ratings,
    lengths=found.lengths,
    baseline=baseline,
    prompts=found.prompts,
  )
  assert row.n == 2
  assert row.accuracy == pytest.approx(0.5)  # all right, and one wrong
  # Differences 2, 3, 3, 1, 1 right and 1 wrong, against the same negated.
  right, wrong = [2, 3, 3, 1, 1, -1], [-2, -3, -3, -1, -1, 1]
  above = [(a > b) + 0.5 * (a == b) for a in right for b in wrong]
  assert row.auc == pytest.approx(np.mean(above))
  assert row.majority == 0.5
  assert row.length == pytest.approx((0.5 + 1.0) / 2)  # equal lengths: a half


def test_g10_the_majority_is_chosen_on_training_ratings():
  row = accuracy.accuracy_row(
    "en",
    "es",
    scores=[1.0, 1.0, -1.0, 1.0],
    ratings=[1.0, 1.0, 0.0, 1.0],
    lengths=[1, 2, 3, 4],
    baseline=accuracy.LengthBaseline(2.0, True),
    majority_good=accuracy.majority_class([0.0, 0.0, 1.0]),
  )
  assert row.majority == 0.25 and row.accuracy == 1.0


def test_agreement_of_people_equals_a_loop_over_pairs():
  keys = ["a", "b", "a", "c", "a", "c"]
  ratings = [1.0, 0.0, 0.0, 1.0, 1.0, 0.8]
  found = agreement.of_duplicates(keys, ratings)
  shares = []
  for key in ("a", "c"):
    own = [r > 0.5 for k, r in zip(keys, ratings) if k == key]
    pairs = list(itertools.combinations(own, 2))
    shares.append(np.mean([x == y for x, y in pairs]))
  assert found.n == 2 and found.rate == pytest.approx(np.mean(shares))
  assert found.low < found.rate < found.high
  assert agreement.of_duplicates(["a", "b"], [1.0, 0.0]) is None


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
