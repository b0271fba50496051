"""Judgments as trials: a score, what was right, and how long texts were.

A rated response is one trial: its score is the log odds that it is good. Two
responses of different rank are one trial: the difference of their scores is
the log odds that the first of them is better, first in the order of the texts'
letters, which knows nothing of quality. All pairs of one prompt together count
as one observation.
"""

from collections.abc import Sequence
import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Trials:
  """K trials, all of one kind.

  Attributes:
    scores: [K] log odds.
    ratings: [K] in [0, 1]; 1 is good, or the first is better.
    lengths: [K] words of a response, or the difference of two.
    prompts: [K] number of the prompt; None for ratings.
  """

  scores: np.ndarray
  ratings: np.ndarray
  lengths: np.ndarray
  prompts: np.ndarray | None = None


def num_words(text: str) -> int:
  """The number of words between spaces."""
  return len(text.split())


def from_ratings(
  scores: Sequence[float], ratings: Sequence[float], texts: Sequence[str]
) -> Trials:
  """The trials of ratings, one per rated response."""
  return Trials(
    np.asarray(scores, np.float64),
    np.asarray(ratings, np.float64),
    np.asarray([num_words(text) for text in texts], np.float64),
  )


def from_rankings(
  scores: Sequence[Sequence[float]],
  ranks: Sequence[Sequence[int]],
  texts: Sequence[Sequence[str]],
) -> Trials:
  """The trials of rankings, one per two responses of different rank.

  Raises:
    ValueError: there is none.
  """
  rows = []
  for prompt, (own, places, group) in enumerate(zip(scores, ranks, texts)):
    order = sorted(range(len(group)), key=lambda i: group[i])
    for a, b in itertools.combinations(order, 2):
      if places[a] == places[b] or min(places[a], places[b]) < 0:
        continue
      longer = num_words(group[a]) - num_words(group[b])
      better = float(places[a] < places[b])
      rows.append((own[a] - own[b], better, longer, prompt))
  if not rows:
    raise ValueError(f"{len(ranks)} rankings compare nothing")
  columns = np.asarray(rows, np.float64).T
  return Trials(*columns[:3], prompts=columns[3].astype(int))
