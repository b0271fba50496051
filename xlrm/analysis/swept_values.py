"""Which of the values that a study swept is the best?

All values answer the same prompts, so two of them are compared prompt by
prompt: which of their outputs does the deciding judge prefer? Numbers are means
over cross-lingual pairs of languages, targets counting equally.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
import statistics

import numpy as np
from scipy import stats

from xlrm.analysis import divergence
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.evaluation import significance
from xlrm.evaluation import win_rates

# Method -> the axes that it depends on.
AXES = {"best_of_n": ("temperature", "n"), "ppo": ("temperature", "kl")}
# Axes along which the baseline is another draw: of n + 1 samples the last.
OTHER_SAMPLE = ("temperature", "n")
BASELINE = "sample"
SIGNIFICANT = 0.05
Pair = tuple[str, str]  # (source, target)
Pooled = Mapping[
  str, Mapping[transfer_matrices.Prompt, float]
]  # target -> prompt -> value
Values = Mapping[str, float]  # axis -> value


@dataclasses.dataclass(frozen=True)
class Interval:
  """A mean and the ends of its 95% interval, or of a range."""

  value: float
  low: float
  high: float


@dataclasses.dataclass(frozen=True)
class Against:
  """A point's outputs against those of the best point, on the same prompts.

  Attributes:
    win: how often they win.
    p: exact two-sided sign test, with Holm's correction for all points but the
      best.
  """

  win: win_rates.WinRate
  p: float

  @property
  def worse(self) -> bool:
    return self.p < SIGNIFICANT and self.win.rate < 0.5

  @property
  def better(self) -> bool:
    """The best point may lose prompt by prompt: it is the best by another
    measure, see `decided_by_score`."""
    return self.p < SIGNIFICANT and self.win.rate > 0.5


@dataclasses.dataclass(frozen=True)
class Point:
  """One method at one point of the swept values.

  Attributes:
    values: of the axes that the method depends on.
    matrix: win rates over one SFT sample by the deciding judge.
    win: their mean over pairs, see `pairs_of`.
    by_seed: seed -> the same with it.
    score: mean score of the method's outputs.
    baseline: of the SFT samples on the same prompts.
    kl: nats per response, mean over runs with the least and the most of their
      last steps; None where it was not measured.
    against: the best point; None for that point itself.
  """

  values: Values
  matrix: transfer_matrices.Matrix
  win: win_rates.WinRate
  by_seed: Mapping[int, float]
  score: Interval
  baseline: Interval
  kl: Interval | None = None
  against: Against | None = None


def pairs_of(matrices: Sequence[transfer_matrices.Matrix]) -> list[Pair]:
  """Cross-lingual pairs that all have, or, if there is none, all pairs."""
  shared = [x for x in matrices[0].cells if all(x in y.cells for y in matrices)]
  return [(s, t) for s, t in shared if s != t] or shared


def pooled(
  by_pair: Mapping[Pair, Mapping[transfer_matrices.Prompt, float]],
) -> dict[str, dict[transfer_matrices.Prompt, float]]:
  """The sources of a target answer the same prompts: a prompt counts once."""
  told: dict[str, dict[transfer_matrices.Prompt, list[float]]] = {}
  for (_, target), found in by_pair.items():
    for prompt, value in found.items():
      told.setdefault(target, {}).setdefault(prompt, []).append(value)
  return {
    target: {prompt: statistics.fmean(x) for prompt, x in own.items()}
    for target, own in told.items()
  }


def win_rate(outcomes: Pooled) -> win_rates.WinRate:
  return win_rates.macro_average(
    [transfer_matrices.win_rate(own) for own in outcomes.values()]
  )


def mean(scores: Pooled) -> Interval:
  """Mean over targets of their means, with Student's interval over prompts."""
  parts = [
    list(transfer_matrices.over_seeds(own).values()) for own in scores.values()
  ]
  value = statistics.fmean(map(statistics.fmean, parts))
  sizes = [len(x) for x in parts]
  if min(sizes) < 2:
    return Interval(value, -math.inf, math.inf)
  error = math.sqrt(sum(np.var(x, ddof=1) / len(x) for x in parts)) / len(parts)
  half = float(stats.t.ppf(0.975, sum(sizes) - len(sizes))) * error
  return Interval(value, value - half, value + half)


def _scores(
  records: transfer_matrices.Records, key: tuple[str, str, str], judge: str
) -> dict[transfer_matrices.Prompt, float]:
  name = judge.replace(transfer_matrices.TARGET, key[2])
  found = transfer_matrices.by_prompt(records, *key)
  return {p: x.scores[name] for p, x in found.items() if name in x.scores}


def _kl(
  point: report_inputs.SweptPoint, pairs: Sequence[Pair]
) -> Interval | None:
  """Over the runs of these pairs."""
  policies = {
    x.policy: (x.source, x.target) for x in point.records if x.method == "ppo"
  }
  runs = [
    last
    for policy, pair in policies.items()
    if pair in pairs
    and (last := divergence.last_steps(point.ppo_training.get(policy, ())))
  ]
  if not runs:
    return None
  value = statistics.fmean(map(statistics.fmean, runs))
  return Interval(value, min(map(min, runs)), max(map(max, runs)))


def _mean_scores(
  point: report_inputs.SweptPoint,
  matrix: transfer_matrices.Matrix,
  method: str,
  pairs: Sequence[Pair],
) -> Interval:
  """Of the method or of the baseline, on the prompts that both answered."""
  found = {}
  for source, target in pairs:
    key = (method, "" if method == matrix.baseline else source, target)
    prompts = matrix.cells[source, target].outcomes
    scores = _scores(point.records, key, matrix.judge)
    found[source, target] = {p: scores[p] for p in prompts}
  return mean(pooled(found))


def _by_seed(outcomes: Pooled) -> dict[int, float]:
  seeds = sorted({prompt[0] for own in outcomes.values() for prompt in own})
  return {
    seed: win_rate(
      {
        target: own
        for target, found in outcomes.items()
        if (own := {p: x for p, x in found.items() if p[0] == seed})
      }
    ).rate
    for seed in seeds
  }


def _point(
  point: report_inputs.SweptPoint,
  values: Values,
  matrix: transfer_matrices.Matrix,
  pairs: Sequence[Pair],
) -> Point:
  outcomes = pooled({x: matrix.cells[x].outcomes for x in pairs})
  method = matrix.method
  return Point(
    values,
    matrix,
    win_rate(outcomes),
    _by_seed(outcomes),
    _mean_scores(point, matrix, method, pairs),
    _mean_scores(point, matrix, matrix.baseline, pairs),
    _kl(point, pairs) if method == "ppo" else None,
  )


def _against(
  records: transfer_matrices.Records,
  best: transfer_matrices.Records,
  method: str,
  judge: str,
  pairs: Sequence[Pair],
) -> Against:
  """How often these outputs beat those of the best point."""
  outcomes = {}
  for pair in pairs:
    ours, theirs = (_scores(x, (method, *pair), judge) for x in (records, best))
    prompts = [p for p in ours if p in theirs]
    sides = ([side[p] for p in prompts] for side in (ours, theirs))
    outcomes[pair] = dict(zip(prompts, win_rates.hard(*sides).tolist()))
  found = pooled(outcomes)
  flat = [
    x
    for own in found.values()
    for x in transfer_matrices.over_seeds(own).values()
  ]
  test = significance.sign_test(flat, [0.5] * len(flat))
  return Against(win_rate(found), test.p)


def decided_by_score(values: Values) -> bool:
  """Whether the values' baselines are different samples: then win rates over
  them do not compare, and mean scores decide."""
  return any(axis in values for axis in OTHER_SAMPLE)


def _best(found: Sequence[Point]) -> int:
  def quality(i: int) -> float:
    by_score = decided_by_score(found[i].values)
    return found[i].score.value if by_score else found[i].win.rate

  return max(range(len(found)), key=quality)


def points(
  swept: Sequence[report_inputs.SweptPoint], method: str, judge: str
) -> list[Point]:
  """A method at every point of the values that it depends on, in their order;
  empty if there are not two with the same pairs of languages.

  Args:
    swept: of a study.
    method: "best_of_n" or "ppo".
    judge: the deciding one.
  """
  chosen: dict[tuple[tuple[str, float], ...], report_inputs.SweptPoint] = {}
  for x in swept:
    own = ((axis, x.values[axis]) for axis in AXES[method] if axis in x.values)
    chosen.setdefault(tuple(own), x)
  made = [
    (
      dict(values),
      x,
      transfer_matrices.transfer_matrix(x.records, judge=judge, method=method),
    )
    for values, x in sorted(chosen.items(), key=lambda x: x[0])
  ]
  made = [x for x in made if x[2].cells]
  if len(made) < 2 or not (pairs := pairs_of([x[2] for x in made])):
    return []
  found = [_point(x, values, matrix, pairs) for values, x, matrix in made]
  best = _best(found)
  records = [x.records for _, x, _ in made]
  against = {
    i: _against(own, records[best], method, judge, pairs)
    for i, own in enumerate(records)
    if i != best
  }
  adjusted = significance.holm([x.p for x in against.values()])
  for (i, x), p in zip(against.items(), adjusted, strict=True):
    x = dataclasses.replace(x, p=float(p))
    found[i] = dataclasses.replace(found[i], against=x)
  return found


def axes_of(found: Sequence[Point]) -> list[str]:
  """Axes with several values among the points."""
  return [
    axis
    for axis in (found[0].values if found else ())
    if len({x.values[axis] for x in found}) > 1
  ]


def along(found: Sequence[Point], axis: str, first: Values) -> list[Point]:
  """The points that differ from `first` on this axis alone."""
  return [
    x
    for x in found
    if all(x.values[a] == first[a] for a in x.values if a != axis)
  ]
