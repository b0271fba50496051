"""How often people agree who rated the same response.

It bounds what a reward model can learn: on SEAHORSE's question 6 two raters
agree on about 72% of summaries.
"""

from collections.abc import Hashable, Sequence
import dataclasses
import itertools

import numpy as np

from xlrm.evaluation import win_rates


@dataclasses.dataclass(frozen=True)
class Agreement:
  """Of pairs of ratings of one response.

  Attributes:
    rate: mean over responses of the share of pairs on the same side of 1/2.
    low: lower end of the 95% Wilson interval over responses.
    high: upper end.
    n: responses with two ratings or more.
  """

  rate: float
  low: float
  high: float
  n: int


def of_duplicates(
  keys: Sequence[Hashable], ratings: Sequence[float]
) -> Agreement | None:
  """Agreement of ratings with the same key; None if no key comes twice.

  keys [a, a, b], ratings [1, 0, 1] -> rate 0, n 1
  """
  if len(keys) != len(ratings):
    raise ValueError(f"{len(keys)} keys for {len(ratings)} ratings")
  groups: dict[Hashable, list[bool]] = {}
  for key, rating in zip(keys, ratings):
    groups.setdefault(key, []).append(rating > 0.5)
  shares = [
    sum(a == b for a, b in pairs) / len(pairs)
    for group in groups.values()
    if (pairs := list(itertools.combinations(group, 2)))
  ]
  if not shares:
    return None
  low, high = win_rates.wilson(np.asarray(shares))
  return Agreement(sum(shares) / len(shares), low, high, len(shares))
