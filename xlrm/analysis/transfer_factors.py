"""What might explain transfer: the accuracy of reward models, agreement of
judges, the size of data, the KL divergence from the SFT model.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import operator
import statistics

from xlrm.analysis import pair_tables
from xlrm.best_of_n import estimators
from xlrm.evaluation import agreement
from xlrm.evaluation import rankings


@dataclasses.dataclass(frozen=True)
class RankCorrelation:
  """Kendall's tau-b between two properties of languages.

  Attributes:
    tau: 1: the same order, -1: the opposite, about 0: nothing.
    p: two-sided, under independence.
    n: languages.
  """

  tau: float
  p: float
  n: int


def ranking_agreement(
  first: pair_tables.PairTable, second: pair_tables.PairTable
) -> dict[str, rankings.PairAgreement]:
  """Target -> do two tables agree which of two sources is better?"""
  return {
    target: rankings.pair_agreement(ours, theirs)
    for target, (ours, theirs) in pair_tables.columns(first, second).items()
    if len(ours) > 1
  }


def total(
  by_target: Mapping[str, rankings.PairAgreement],
) -> rankings.PairAgreement:
  """Over all targets."""
  start = rankings.PairAgreement(0, 0, 0)
  return functools.reduce(operator.add, by_target.values(), start)


def taus(
  first: pair_tables.PairTable, second: pair_tables.PairTable
) -> dict[str, float]:
  """Target -> Kendall's tau-b of its sources in two tables, e.g. of the reward
  models' accuracy and of the win rates that they led to."""
  return {
    target: rankings.kendall_tau_b(ours, theirs)
    for target, (ours, theirs) in pair_tables.columns(first, second).items()
    if len(ours) > 1
  }


def mean_tau(
  first: pair_tables.PairTable, second: pair_tables.PairTable
) -> float:
  """Mean over targets."""
  return statistics.fmean(taus(first, second).values())


def chance_agreement(
  accuracy: pair_tables.PairTable, baseline: Mapping[str, float]
) -> float:
  """How often a reward model would agree with a baseline, e.g. of length, if
  their mistakes had nothing in common; mean over all pairs.

  Args:
    accuracy: of reward models, (source, target) -> p.
    baseline: target -> q.
  """
  return statistics.fmean(
    agreement.chance(rate, baseline[target])
    for (_, target), rate in accuracy.values.items()
  )


def gain_over_baselines(
  accuracy: pair_tables.PairTable, *baselines: Mapping[str, float]
) -> pair_tables.PairTable:
  """Accuracy minus that of the better baseline of its target (G10)."""

  def gain(pair: pair_tables.Pair, value: float) -> float:
    return value - max(x[pair[1]] for x in baselines if pair[1] in x)

  return accuracy.map(gain)


def by_target(table: pair_tables.PairTable) -> dict[str, float]:
  """Target -> mean over its cross-lingual sources."""
  found: dict[str, list[float]] = {}
  for (_, target), value in table.cross_lingual.items():
    found.setdefault(target, []).append(value)
  return {target: statistics.fmean(values) for target, values in found.items()}


def correlation(
  first: Mapping[str, float], second: Mapping[str, float]
) -> RankCorrelation:
  """Of two properties of the languages that have both."""
  languages = [x for x in first if x in second]
  ours, theirs = [first[x] for x in languages], [second[x] for x in languages]
  return RankCorrelation(
    rankings.kendall_tau_b(ours, theirs),
    rankings.kendall_p(ours, theirs),
    len(languages),
  )


def best_of_n_line(sizes: Sequence[int]) -> list[tuple[float, float]]:
  """(KL, win rate) of best-of-n by its own reward, one point per n.

  The KL is the bound log n - (n-1)/n, the win rate over one sample n/(n+1):
  exact where no two outputs have the same reward, bounds elsewhere.
  """
  return [(estimators.kl_bound(n), n / (n + 1)) for n in sizes]
