"""Judgments of a split, and what they say without a model."""

import pytest

from xlrm.evaluation import accuracy
from xlrm.evaluation import judgments

RATED = [
  {
    "id": "1",
    "reward_inputs": "document",
    "targets_pretokenized": "a b c",
    "rating": 1.0,
    "gem_id": "xsum-1",
  },
  {
    "id": "2",
    "reward_inputs": "document",
    "targets_pretokenized": "a",
    "rating": 0.0,
    "fault": "wrong_number",
  },
  {
    "id": "3",
    "reward_inputs": "another",
    "targets_pretokenized": "a b",
    "rating": 0.0,
  },
]
RANKED = [
  {
    "id": "p",
    "reward_inputs": "question",
    "targets_pretokenized": "",
    "responses": ["short", "a longer one", "no"],
    "ranks": [1, 0, 1],
  }
]


def test_ratings_are_groups_of_one():
  found = judgments.Judgments.of_rows(RATED)
  assert len(found) == 3 and found.ids == ["1", "2", "3"]
  assert found.texts == [["a b c"], ["a"], ["a b"]]
  assert found.ratings == [1.0, 0.0, 0.0] and found.ranks == []
  assert found.faults == ["", "wrong_number", ""]
  # Two people who rated one summary of an article share its key.
  assert found.keys[0] == ("xsum-1", "a b c")
  assert found.keys[2] == ("another", "a b")


def test_scores_of_ratings_are_trials_of_their_own():
  scored = judgments.Judgments.of_rows(RATED).scored([[2.0], [-1.0], [0.5]])
  assert scored.scores == [2.0, -1.0, 0.5]
  assert scored.texts == ["a b c", "a", "a b"]
  assert scored.trials.lengths.tolist() == [3.0, 1.0, 2.0]
  assert scored.trials.prompts is None


def test_scores_of_rankings_are_compared_within_their_prompt():
  found = judgments.Judgments.of_rows(RANKED)
  assert found.ratings == [] and found.texts == [RANKED[0]["responses"]]
  scored = found.scored([[1.0, 3.0, 0.0]])
  assert scored.scores == [1.0, 3.0, 0.0]
  # "a longer one" before "no" and before "short": 3 - 0 and 3 - 1.
  assert scored.trials.scores.tolist() == [3.0, 2.0]
  assert scored.trials.ratings.tolist() == [1.0, 1.0]


def test_baselines_know_lengths_and_classes_alone():
  found = judgments.Baselines.fit(judgments.Judgments.of_rows(RATED))
  assert found.length == accuracy.LengthBaseline(2.0, longer_is_better=True)
  assert found.majority_good is False
  found = judgments.Baselines.fit(judgments.Judgments.of_rows(RANKED))
  assert found.length == accuracy.LengthBaseline(0.0, longer_is_better=True)
  assert found.majority_good is None  # of two, either is as likely


def test_no_rows_are_no_judgments():
  assert len(judgments.Judgments.of_rows([])) == 0
  with pytest.raises(ValueError, match="0 lengths for 0 ratings"):
    judgments.Baselines.fit(judgments.Judgments.of_rows([]))
