"""Do two judges, or two measures, put the same sources in the same order?"""

from collections.abc import Sequence
import dataclasses
import itertools
import math

import numpy as np
from scipy import stats

Values = Sequence[int | float] | np.ndarray  # one per source


@dataclasses.dataclass(frozen=True)
class PairAgreement:
  """How two judges order pairs of sources.

  Attributes:
    agreed: pairs that both put in the same order.
    tied: pairs that at least one of them does not order.
    disagreed: pairs that they put in opposite orders.
  """

  agreed: int
  tied: int
  disagreed: int

  @property
  def n(self) -> int:
    """The number of pairs."""
    return self.agreed + self.tied + self.disagreed

  @property
  def rate(self) -> float:
    """Share agreed on; a tie counts one half. By chance it is one half."""
    return (self.agreed + self.tied / 2) / self.n if self.n else math.nan

  @property
  def strict(self) -> float:
    """Share agreed on; a tie counts as disagreement."""
    return self.agreed / self.n if self.n else math.nan

  def __add__(self, other: "PairAgreement") -> "PairAgreement":
    return PairAgreement(
      self.agreed + other.agreed,
      self.tied + other.tied,
      self.disagreed + other.disagreed,
    )


def _paired(first: Values, second: Values) -> tuple[np.ndarray, np.ndarray]:
  first, second = (np.asarray(x, np.float64) for x in (first, second))
  if first.ndim != 1 or first.shape != second.shape or first.size < 2:
    raise ValueError(
      f"{first.size} and {second.size} values: two or more are expected, and "
      "as many of one as of the other"
    )
  for values in (first, second):
    if np.isnan(values).any():
      raise ValueError(f"value {int(np.argmax(np.isnan(values)))} is missing")
  return first, second


def pair_agreement(first: Values, second: Values) -> PairAgreement:
  """The counts over all pairs: [3, 1, 2], [9, 5, 5] -> 2 agreed, 1 tied."""
  first, second = _paired(first, second)
  signs = [
    np.sign(first[i] - first[j]) * np.sign(second[i] - second[j])
    for i, j in itertools.combinations(range(first.size), 2)
  ]
  return PairAgreement(signs.count(1), signs.count(0), signs.count(-1))


def kendall_tau_b(first: Values, second: Values) -> float:
  """Kendall's tau-b; NaN if one of them is constant.

  (agreed - disagreed) / sqrt((pairs - ties of the first) (pairs - ties of the
  second))
  """
  first, second = _paired(first, second)
  return float(stats.kendalltau(first, second, variant="b").statistic)


def kendall_p(first: Values, second: Values) -> float:
  """The two-sided p-value of tau-b under independence; exact without ties."""
  first, second = _paired(first, second)
  return float(stats.kendalltau(first, second, variant="b").pvalue)


def ranks(values: Values) -> np.ndarray:
  """The ranks from 1; equals share their mean: [5, 7, 5] -> [2.5, 1, 2.5]."""
  return stats.rankdata(-np.asarray(values, np.float64))
