"""How often people agree who rated the same response, and judges who compared
the same two.

Agreement of people bounds what a reward model can learn: on SEAHORSE's question
6 two raters agree on about 72% of summaries.
"""

import collections
from collections.abc import Hashable, Mapping, Sequence
import dataclasses
import itertools
import math

import numpy as np

from xlrm.evaluation import win_rates
from xlrm.types import checks


@dataclasses.dataclass(frozen=True)
class Agreement:
  """The agreement of pairs of ratings of one response.

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


@dataclasses.dataclass(frozen=True)
class JudgeAgreement:
  """The agreement of two judges on the same comparisons.

  Attributes:
    rate: share of comparisons with the same verdict.
    low: lower end of its 95% Wilson interval.
    high: upper end.
    n: comparisons.
    chance: rate of two judges with these shares of verdicts who know nothing
      of each other, the sum over verdicts of the products of their shares.
    kappa: (rate - chance) / (1 - chance), Cohen's
      (1960, doi.org/10.1177/001316446002000104); NaN if chance is 1: both
      always say the same one thing.
  """

  rate: float
  low: float
  high: float
  n: int
  chance: float
  kappa: float


def of_judges(
  first: Sequence[Hashable], second: Sequence[Hashable]
) -> JudgeAgreement:
  """How often two judges say the same of the same comparison.

  [a, a, b, b], [a, b, b, b] -> rate 3/4, chance 1/2, kappa 1/2

  Raises:
    ValueError: none, or not one verdict of each.
  """
  if len(first) != len(second) or not first:
    raise ValueError(
      f"{len(first)} and {len(second)} verdicts: one of each judge per "
      "comparison is expected"
    )
  same = np.array([float(a == b) for a, b in zip(first, second)])
  n = len(same)
  ours, theirs = collections.Counter(first), collections.Counter(second)
  chance = sum(count * theirs[x] for x, count in ours.items()) / n**2
  rate = float(same.mean())
  kappa = (rate - chance) / (1 - chance) if chance < 1 else math.nan
  low, high = win_rates.wilson(same)
  return JudgeAgreement(rate, low, high, n, chance, kappa)


def of_every_two(
  verdicts: Mapping[str, Mapping[Hashable, Hashable]],
) -> dict[tuple[str, str], JudgeAgreement]:
  """The agreement of every two judges on what both decided, if anything.

  Args:
    verdicts: name of a judge -> comparison -> verdict.
  """
  found = {}
  for one, other in itertools.combinations(verdicts, 2):
    shared = [x for x in verdicts[one] if x in verdicts[other]]
    if shared:
      ours, theirs = ([verdicts[x][i] for i in shared] for x in (one, other))
      found[one, other] = of_judges(ours, theirs)
  return found


def chance(first: float, second: float) -> float:
  """The agreement by chance, p q + (1 - p) (1 - q), of two on two classes.

  They are right p and q of the time, and their mistakes have nothing in common.
  """
  checks.fractions("a rate", np.array([first, second]))
  return first * second + (1 - first) * (1 - second)
