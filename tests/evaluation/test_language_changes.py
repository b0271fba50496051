"""Wins that came with a change of language."""

import itertools

import comparisons

from xlrm.evaluation import language_changes
from xlrm.evaluation import pairing


def test_wins_that_came_with_a_change_of_language():
  texts = ("es: a", "en: a", "ru: a", "12")
  ours, theirs = zip(*itertools.product(texts, texts))
  pairs = pairing.pair(
    comparisons.both(ours, theirs), "best_of_n", "sample"
  ).pairs
  changes = language_changes.of_wins(
    pairs, [1.0] * len(pairs), comparisons.ByPrefix()
  )
  # 4 keep it; of 12 others 3 come back to Spanish and 3 leave it.
  assert changes == language_changes.LanguageChanges(16, 3, 3, 6)
  assert changes.changed == 12
  outcomes = [None, 0.0, 0.5, 1.0] * 4
  changes = language_changes.of_wins(pairs, outcomes, comparisons.ByPrefix())
  assert changes == language_changes.LanguageChanges(4, 0, 1, 2)
  ByVietnamese = type("V", (comparisons.ByPrefix,), {"languages": ("vi",)})
  assert language_changes.of_wins(pairs, outcomes, ByVietnamese()) is None
