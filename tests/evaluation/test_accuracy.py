"""Reward-model accuracy and its baselines (G10)."""

import dataclasses

import numpy as np
import pytest

from xlrm.evaluation import accuracy
from xlrm.evaluation import accuracy_files
from xlrm.evaluation import trials

SCORES = [2.0, -1.0, 0.5, -3.0, 1.0, -0.5]
RATINGS = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]
LENGTHS = [5, 4, 9, 8, 3, 2]
FAULTS = ["none", "none", "number", "name", "none", "number"]


def row(**changes):
  values = {
    "scores": SCORES,
    "ratings": RATINGS,
    "lengths": LENGTHS,
    "baseline": accuracy.LengthBaseline(5.0, longer_is_better=False),
    "faults": FAULTS,
  }
  return accuracy.accuracy_row("en", "ru", **{**values, **changes})


def test_g10_a_row_has_accuracy_n_and_both_baselines():
  result = row()
  assert result.n == 6
  assert result.accuracy == pytest.approx(4 / 6)
  assert result.low < result.accuracy < result.high
  assert result.majority == 0.5
  assert result.length == pytest.approx(5 / 6)
  assert result.gain == pytest.approx(4 / 6 - 5 / 6)
  # good 2, -1, 1 against bad .5, -3, -.5: 3 + 1 + 3 of 9
  assert result.auc == pytest.approx(7 / 9)


def test_g10_the_table_prints_accuracy_beside_its_baselines():
  lines = accuracy.table([row(), row()]).splitlines()
  assert len(lines) == 3
  for word in ("accuracy", "majority", "length", "95% interval", " n "):
    assert word in lines[0]
  for number in (" 6 ", "66.7%", "50.0%", "83.3%", "0.778"):
    assert number in lines[1]


def test_g10_by_fault():
  number, name = (row().by_fault[x] for x in ("number", "name"))
  assert list(row().by_fault) == ["name", "number"]
  assert (number.n, number.accuracy) == (2, 0.5)
  # good 2, -1, 1 against .5, -.5: 2 + 0 + 2 of 6
  assert number.auc == pytest.approx(4 / 6)
  assert (name.n, name.accuracy, name.auc) == (1, 1.0, 1.0)
  assert number.low < 0.5 < number.high
  assert row(faults=None).by_fault == {}


def test_majority_is_the_commoner_class_of_the_ratings():
  assert row(ratings=[0.0] * 5 + [1.0]).majority == pytest.approx(5 / 6)


def test_length_baseline_finds_threshold_and_direction():
  shorter = accuracy.fit_length_baseline([1, 2, 8, 9], [1.0, 1.0, 0.0, 0.0])
  assert shorter == accuracy.LengthBaseline(2.0, longer_is_better=False)
  longer = accuracy.fit_length_baseline([1, 2, 8, 9], [0.0, 0.0, 0.0, 1.0])
  assert longer == accuracy.LengthBaseline(8.0, longer_is_better=True)
  np.testing.assert_array_equal(longer.predict([8, 9]), [False, True])


def test_length_baseline_is_the_best_of_all_on_its_training_rows():
  rng = np.random.default_rng(0)
  lengths = rng.integers(3, 30, 80)
  ratings = (rng.random(80) < 0.2 + 0.02 * lengths).astype(float)
  fitted = accuracy.fit_length_baseline(lengths, ratings)
  best = max(
    (((lengths > t) == longer) == (ratings > 0.5)).mean()
    for t in range(31)
    for longer in (True, False)
  )
  assert (fitted.predict(lengths) == (ratings > 0.5)).mean() == best


def test_length_baseline_of_one_class_is_the_majority():
  fitted = accuracy.fit_length_baseline([3, 4], [1.0, 1.0])
  assert fitted.predict([1, 3, 4, 9]).sum() >= 3


def test_auc_against_counting():
  rng = np.random.default_rng(1)
  good, bad = rng.integers(0, 6, 40), rng.integers(0, 5, 30)
  slow = np.mean([(g > b) + 0.5 * (g == b) for g in good for b in bad])
  assert accuracy.auc(good, bad) == pytest.approx(slow)
  assert accuracy.auc([2, 3], [1, 2]) == pytest.approx(7 / 8)
  assert accuracy.auc([], [1.0]) == 0.5


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"scores": []}, "0 scores, 6 ratings"),
    ({"lengths": [1]}, "1 lengths of ru"),
    ({"scores": [np.nan] * 6}, "en gave ru"),
    ({"ratings": [2.0] * 6}, "rating is 2.0"),
  ],
)
def test_g28_wrong_rows_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    row(**changes)
  with pytest.raises(ValueError, match="2 lengths for 1"):
    accuracy.fit_length_baseline([1, 2], [1.0])


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


def test_the_mean_row_is_a_mean_over_heads_with_its_own_interval(tmp_path):
  rng = np.random.default_rng(0)
  ratings = rng.integers(0, 2, 200)
  baseline = accuracy.LengthBaseline(5.0, True)
  found = [
    accuracy.accuracy_row(
      "head",
      "es",
      scores=sign * (ratings - 0.5) + rng.normal(size=200),
      ratings=ratings,
      lengths=rng.integers(1, 10, 200),
      baseline=baseline,
      faults=["" if x else "number" for x in ratings],
    )
    for sign in (3, -3, 3, -3)
  ]
  values = [row.accuracy for row in found]
  mean = accuracy.mean_row(found)
  assert mean.heads == 4 and mean.accuracy == np.mean(values)
  error = 1.96 * np.std(values, ddof=1) / 2
  np.testing.assert_allclose(mean.low, max(0, mean.accuracy - error))
  assert mean.spread[0] < 0.2 and mean.spread[1] > 0.8
  assert "mean of 4 heads" in accuracy.table([mean])
  path = tmp_path / "accuracy.json"
  accuracy_files.write(path, [mean])
  assert accuracy_files.read(path) == [mean]
  trained = dataclasses.replace(mean, heads=1)
  assert "heads" not in accuracy.table([trained])
