"""Agreement of two annotators beyond chance.

Cohen's kappa (1960, doi.org/10.1177/001316446002000104) is
  (p - c) / (1 - c),   c = sum_k q_k r_k,
where p is the share of items on which both say the same, and q_k, r_k are the
shares of the outcome k among the outcomes of the one and of the other.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
import dataclasses
import itertools

import numpy as np

from xlrm.evaluation import win_rates


@dataclasses.dataclass(frozen=True)
class Agreement:
  """Of two annotators on the items that both judged.

  Attributes:
    first: name.
    second: name.
    rate: share of items with the same outcome.
    low: lower end of the 95% Wilson interval of the rate.
    high: upper end.
    chance: the rate of two who draw from their own outcomes.
    kappa: None where chance is 1: both always said the same one thing.
    n: items.
  """

  first: str
  second: str
  rate: float
  low: float
  high: float
  chance: float
  kappa: float | None
  n: int


def cohen(
  first: Sequence[Hashable], second: Sequence[Hashable]
) -> tuple[float, float, float | None]:
  """Rate, chance and kappa of two lists of outcomes of the same items.

  [a, a, b, b], [a, a, b, a] -> rate 3/4, chance 1/2, kappa 1/2
  """
  if len(first) != len(second) or not first:
    raise ValueError(f"{len(first)} outcomes cannot be paired, {len(second)}")
  n = len(first)
  rate = sum(a == b for a, b in zip(first, second)) / n
  ours, theirs = Counter(first), Counter(second)
  chance = sum(ours[x] * theirs[x] for x in ours) / n**2
  kappa = None if chance == 1 else (rate - chance) / (1 - chance)
  return rate, chance, kappa


def of_annotators(
  outcomes: Mapping[str, Mapping[Hashable, str]],
) -> list[Agreement]:
  """Of every two annotators who share an item: name -> item -> outcome."""
  found = []
  for one, other in itertools.combinations(outcomes, 2):
    shared = [x for x in outcomes[one] if x in outcomes[other]]
    if not shared:
      continue
    ours, theirs = ([outcomes[x][i] for i in shared] for x in (one, other))
    rate, chance, kappa = cohen(ours, theirs)
    same = np.array([float(a == b) for a, b in zip(ours, theirs)])
    low, high = win_rates.wilson(same)
    found.append(
      Agreement(one, other, rate, low, high, chance, kappa, len(shared))
    )
  return found
