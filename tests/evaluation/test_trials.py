"""Trials of ratings and of rankings."""

import pytest

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


def test_a_rating_is_a_trial_of_its_own():
  found = trials.from_ratings([0.5, -2.0], [1.0, 0.0], ["a  b", ""])
  assert found.scores.tolist() == [0.5, -2.0]
  assert found.ratings.tolist() == [1.0, 0.0]
  assert found.lengths.tolist() == [2.0, 0.0]
  assert found.prompts is None


def test_a_missing_response_is_in_no_trial():
  found = trials.from_rankings(
    [[1.0, 9.0, 2.0]], [[0, -1, 1]], [["a", "b", "c"]]
  )
  assert found.scores.tolist() == [-1.0] and found.ratings.tolist() == [1.0]
