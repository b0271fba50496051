"""Ridge on word counts against the normal equations of the primal form."""

import numpy as np
import pytest

from xlrm.evaluation import bag_of_words


def primal(table, scores, asked, penalty):
  """Weights of the centred features by the normal equations."""
  centre = table.mean(axis=0)
  features = table - centre
  gram = features.T @ features + penalty * np.eye(table.shape[1])
  weights = np.linalg.solve(gram, features.T @ (scores - scores.mean()))
  return scores.mean() + (asked - centre) @ weights


def test_words_of_every_script_without_case_and_composed():
  assert bag_of_words.words("Год, ГОД; c\u0327a va: cafe\u0301 42!") == [
    "год",
    "год",
    "\u00e7a",
    "va",
    "caf\u00e9",
    "42",
  ]
  table = bag_of_words.counts(["a b a", "", "b c"])
  assert table.tolist() == [[2, 1, 0], [0, 0, 0], [0, 1, 1]]


def test_both_r2_equal_the_primal_form():
  rng = np.random.default_rng(0)
  letters = list("abcdefghij")
  texts = [" ".join(rng.choice(letters, 6)) for _ in range(40)]
  scores = np.array([text.count("a") - text.count("b") for text in texts])
  scores = scores + rng.normal(size=40)
  table = bag_of_words.counts(texts)
  found = bag_of_words.explained(texts, scores, penalty=2.0)
  total = np.square(scores - scores.mean()).sum()
  inside = primal(table, scores, table, 2.0)
  np.testing.assert_allclose(
    found.r2, 1 - np.square(scores - inside).sum() / total
  )
  outside = np.zeros(40)
  for fold in range(5):
    kept = np.arange(40) % 5 != fold
    outside[~kept] = primal(table[kept], scores[kept], table[~kept], 2.0)
  np.testing.assert_allclose(
    found.cross_validated, 1 - np.square(scores - outside).sum() / total
  )
  assert 0.2 < found.cross_validated < found.r2 < 1
  assert (found.n, found.words) == (40, 10)


def test_noise_is_explained_inside_and_not_outside():
  rng = np.random.default_rng(1)
  texts = [f"word{i} other{i}" for i in range(50)]
  found = bag_of_words.explained(texts, rng.normal(size=50))
  assert found.r2 > 0.5 and found.cross_validated < 0.05


def test_equal_scores_have_no_r2_and_few_rows_are_refused():
  assert np.isnan(bag_of_words.explained(["a"] * 5, [1.0] * 5).r2)
  with pytest.raises(ValueError, match="2 texts and 2 scores for 5 folds"):
    bag_of_words.explained(["a", "b"], [1.0, 2.0])
