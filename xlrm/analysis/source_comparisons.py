"""Is one source better than another, on one target and over all targets?

Sources of one target answer the same prompts, so they are compared prompt by
prompt, and the intervals of their effects (see `source_rankings`) take into
account that they share prompts. All intervals are over prompts: they say how
sure a number is for THESE targets, nothing of other languages.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
import math
import statistics

import numpy as np

from xlrm.analysis import pair_tables
from xlrm.analysis import source_rankings
from xlrm.analysis import transfer_matrices
from xlrm.evaluation import significance
from xlrm.evaluation import win_rates

SIGNIFICANT = 0.05


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Two sources on one target.

  Attributes:
    target: language of the policy.
    first: a source.
    second: another.
    test: exact sign test of their outcomes, over shared prompts.
    low: lower end of the 95% interval of the difference.
    high: upper end.
    adjusted: p by Holm's correction for all comparisons of the matrix.
  """

  target: str
  first: str
  second: str
  test: significance.PairedTest
  low: float
  high: float
  adjusted: float


def _compared(
  first: transfer_matrices.Cell, second: transfer_matrices.Cell
) -> Comparison | None:
  found = [
    transfer_matrices.over_seeds(cell.outcomes) for cell in (first, second)
  ]
  prompts = [x for x in found[0] if x in found[1]]
  if not prompts:
    return None
  ours, theirs = (np.array([own[x] for x in prompts]) for own in found)
  # A difference in [-1, 1] as an outcome in [0, 1] has Wilson's interval.
  interval = win_rates.wilson((ours - theirs + 1) / 2)
  low, high = (2 * x - 1 for x in interval)
  test = significance.sign_test(ours, theirs)
  return Comparison(
    first.target, first.source, second.source, test, low, high, test.p
  )


def comparisons(matrix: transfer_matrices.Matrix) -> list[Comparison]:
  """Every two sources of every target, its own language among them."""
  found = []
  for target in matrix.targets:
    column = [
      matrix.cells[source, target]
      for source in matrix.sources
      if (source, target) in matrix.cells
    ]
    pairs = itertools.combinations(column, 2)
    found += [x for pair in pairs if (x := _compared(*pair))]
  if not found:
    return []
  adjusted = significance.holm([x.test.p for x in found])
  return [
    dataclasses.replace(x, adjusted=float(p)) for x, p in zip(found, adjusted)
  ]


def _covariance(
  first: transfer_matrices.Outcomes, second: transfer_matrices.Outcomes
) -> float:
  """Of two macro-averaged win rates, over the prompts that both have."""
  ours, theirs = (
    transfer_matrices.over_seeds(first),
    transfer_matrices.over_seeds(second),
  )
  parts: dict[tuple[str, str], list[tuple[float, float]]] = {}
  for prompt in ours:
    if prompt in theirs:
      pair = (ours[prompt], theirs[prompt])
      parts.setdefault(prompt[:2], []).append(pair)
  values = [np.array(x).T for x in parts.values()]
  return sum(float(np.cov(x, bias=True)[0, 1]) / x.shape[1] for x in values) / (
    len(values) ** 2 or 1
  )


@dataclasses.dataclass(frozen=True)
class Overall:
  """Effects of the sources over all targets that they were run on.

  Attributes:
    effects: source -> a_s, the best first; they sum to 0.
    covariance: (source, source) -> of their effects, over prompts.
    targets: with a cross-lingual source.
    pairs: cross-lingual pairs.
    best_on: source -> targets on which it is the best cross-lingual one.
  """

  effects: Mapping[str, float]
  covariance: Mapping[tuple[str, str], float]
  targets: Sequence[str]
  pairs: int
  best_on: Mapping[str, int]

  @property
  def best(self) -> str:
    return next(iter(self.effects))

  def _interval(self, value: float, variance: float):
    z = statistics.NormalDist().inv_cdf(0.975)
    half = z * math.sqrt(max(0.0, variance))
    return value, value - half, value + half

  def interval(self, source: str) -> tuple[float, float, float]:
    """Effect with the ends of its 95% interval."""
    return self._interval(self.effects[source], self.covariance[source, source])

  def lead(self, first: str, second: str) -> tuple[float, float, float]:
    """How far `first` is ahead of `second`, with its 95% interval."""
    variance = (
      self.covariance[first, first]
      + self.covariance[second, second]
      - 2 * self.covariance[first, second]
    )
    return self._interval(self.effects[first] - self.effects[second], variance)


def overall(matrix: transfer_matrices.Matrix) -> Overall | None:
  """None where fewer than two sources can be compared.

  That is so where no chain of shared targets leads from one to the other.
  """
  found = {(x.source, x.target): x for x in matrix.cross_lingual}
  pairs = list(found)
  sources = [x for x in matrix.sources if any(s == x for s, _ in pairs)]
  if len(sources) < 2 or not source_rankings.connected(pairs, sources):
    return None
  weights = source_rankings.effect_weights(pairs, sources)
  covariance = np.array(
    [
      [
        _covariance(found[x].outcomes, found[y].outcomes)
        if x[1] == y[1]
        else 0.0
        for y in pairs
      ]
      for x in pairs
    ]
  )
  spread = weights @ covariance @ weights.T
  table = pair_tables.of_matrix(matrix)
  targets = list(dict.fromkeys(target for _, target in pairs))
  winners = [
    source_rankings.in_target(table, x, own=False)[0][0] for x in targets
  ]
  return Overall(
    effects=dict(source_rankings.overall(table)),
    covariance={
      (x, y): float(spread[i, j])
      for i, x in enumerate(sources)
      for j, y in enumerate(sources)
    },
    targets=targets,
    pairs=len(pairs),
    best_on={x: winners.count(x) for x in sources},
  )


def recommended(found: Overall) -> str:
  """A source for a new target: the best, unless the default is not clearly
  behind it."""
  default = source_rankings.DEFAULT_SOURCE
  if default not in found.effects or found.best == default:
    return found.best
  return found.best if found.lead(found.best, default)[1] > 0 else default


def unanimous_p(num_targets: int) -> float:
  """Two-sided p of the strongest case: every target prefers the same of two
  sources. 2 targets -> 1/2, 6 -> 1/32."""
  return 0.5 ** (num_targets - 1)


def enough_targets(threshold: float = SIGNIFICANT) -> int:
  """Targets from which `unanimous_p` can be below the threshold: 6."""
  return next(n for n in itertools.count(1) if unanimous_p(n) < threshold)
