"""Do the other judges say what the deciding judge says?

Instance agreement: of the same two outputs, a method's and one SFT sample's,
which is better? Ranking agreement: of two sources, which gives the better
policy? A reward model is never asked about what it chose or trained itself:
there it says yes to itself. A judge that gave verdicts, not scores, takes part
in the pairs that it was asked about.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import itertools
import statistics

import numpy as np

from xlrm.analysis import pair_tables
from xlrm.analysis import transfer_factors
from xlrm.analysis import transfer_matrices
from xlrm.analysis import verdict_judges
from xlrm.evaluation import agreement
from xlrm.evaluation import rankings
from xlrm.evaluation import records as records_lib
from xlrm.evaluation import win_rates

Records = Sequence[records_lib.EvalRecord]
METHODS = ("best_of_n", "ppo")
REWARD = "reward/"
Said = Mapping[str, verdict_judges.Said]
NOBODY: Said = {}
_NOT_ASKED = "not asked"


@dataclasses.dataclass(frozen=True)
class Instances:
  """One judge beside another, on the outputs in one language.

  Attributes:
    first: the judge that it stands beside, e.g. the deciding one.
    judge: name in the records' scores, or of a judge that gave verdicts.
    target: language.
    found: where both prefer one of the two, its interval over prompts; None if
      there is no such pair.
    ties: pairs where at least one of the two judges has a tie.
    identical: pairs of equal outputs, left out.
    missing: pairs that lack a score, or a valid verdict, of one of the judges.
  """

  first: str
  judge: str
  target: str
  found: agreement.JudgeAgreement | None
  ties: int
  identical: int
  missing: int


@dataclasses.dataclass(frozen=True)
class Ranking:
  """One judge beside the deciding one, on which of two sources is better.

  Attributes:
    judge: name, with `cells.TARGET` where it differs by target.
    counts: of pairs of sources, over targets.
    tau: mean of Kendall's tau-b over targets; None where it is undefined.
    targets: with two sources or more.
  """

  judge: str
  counts: rankings.PairAgreement
  tau: float | None
  targets: int


def judges_of(
  records: Records, judges: Sequence[str], target: str
) -> list[str]:
  """Names in the scores of a target: of the judges that are shown, and every
  reward model's."""
  scored = {
    name for x in records if x.target == target for name in sorted(x.scores)
  }
  shown = [judge.replace(transfer_matrices.TARGET, target) for judge in judges]
  rewards = sorted(x for x in scored if x.startswith(REWARD))
  return [x for x in dict.fromkeys([*shown, *rewards]) if x in scored]


def _pairs(
  records: Records, target: str, judges: Sequence[str]
) -> Iterator[tuple[records_lib.EvalRecord, records_lib.EvalRecord]]:
  """Two outputs for a prompt, each two of them once; none by the judges."""
  samples = transfer_matrices.by_prompt(records, "sample", "", target)
  seen = set()
  for x in records:
    if x.target != target or x.method not in METHODS:
      continue
    if f"{REWARD}{x.source}" in judges or x.prompt not in samples:
      continue
    if (x.prompt, x.output) not in seen:
      seen.add((x.prompt, x.output))
      yield x, samples[x.prompt]


class _Signs:
  """Which of two outputs each judge prefers."""

  def __init__(self, records: Records, said: Said):
    self._verdicts = {
      judge: verdict_judges.by_text(records, x) for judge, x in said.items()
    }

  def __call__(self, judge: str, ours, theirs) -> float | str | None:
    """1, -1, or 0 for a tie; None if it is missing."""
    if judge in self._verdicts:
      key = (ours.prompt, ours.output, theirs.output)
      outcome = self._verdicts[judge].get(key, _NOT_ASKED)
      known = outcome is not None and outcome != _NOT_ASKED
      return float(np.sign(outcome - 0.5)) if known else outcome
    if not all(judge in x.scores for x in (ours, theirs)):
      return None
    return float(np.sign(ours.scores[judge] - theirs.scores[judge]))


def instances(
  records: Records,
  first: str,
  judge: str,
  target: str,
  said: Said = NOBODY,
) -> Instances:
  """Compares two judges, pair by pair.

  Args:
    first: a judge, e.g. the deciding one.
    judge: another.
    target: language of the outputs.
    said: of judges that gave verdicts.
  """
  agreed: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
  ties = identical = missing = 0
  names = (first, judge)
  sign = _Signs(records, {x: said[x] for x in names if x in said})
  for ours, theirs in _pairs(records, target, names):
    signs = [sign(x, ours, theirs) for x in names]
    if _NOT_ASKED in signs:
      continue
    if ours.output == theirs.output:
      identical += 1
    elif None in signs:
      missing += 1
    elif 0 in signs:
      ties += 1
    else:
      agreed.setdefault(ours.prompt[1:], []).append((signs[0], signs[1]))
  flat = [pair for pairs in agreed.values() for pair in pairs]
  found = agreement.of_judges(*zip(*flat)) if flat else None
  if found:
    # The pairs of a prompt depend on each other.
    means = [float(np.mean([a == b for a, b in x])) for x in agreed.values()]
    _, low, high = win_rates.clustered(means, [len(x) for x in agreed.values()])
    found = dataclasses.replace(found, low=low, high=high)
  return Instances(first, judge, target, found, ties, identical, missing)


def all_instances(
  records: Records,
  judges: Sequence[str],
  targets: Sequence[str],
  said: Said = NOBODY,
) -> list[Instances]:
  """Every other judge on every target.

  Args:
    judges: the deciding one first, as in a report.
    said: of judges that gave verdicts.
  """
  found = []
  for target in targets:
    deciding, *others = judges_of(records, judges, target) or [""]
    if deciding == judges[0].replace(transfer_matrices.TARGET, target):
      for x in (*others, *said):
        made = instances(records, deciding, x, target, said)
        if x not in said or _asked(made):
          found.append(made)
  return found


def _asked(x: Instances) -> bool:
  return x.found is not None or x.ties + x.identical + x.missing > 0


def among(
  records: Records, targets: Sequence[str], said: Said
) -> list[Instances]:
  """Every two judges that gave verdicts, where they were asked the same; PEOPLE
  are not compared with one of them."""
  found = []
  for first, second in itertools.combinations(said, 2):
    person = second.startswith(verdict_judges.PERSON)
    if first == verdict_judges.PEOPLE and person:
      continue
    made = (instances(records, first, second, x, said) for x in targets)
    found += filter(_asked, made)
  return found


def _without(
  matrix: transfer_matrices.Matrix, judge: str
) -> pair_tables.PairTable:
  """Cross-lingual rates without those of the judge's own language."""
  table = pair_tables.of_matrix(matrix)
  kept = {
    pair: value
    for pair, value in table.cross_lingual.items()
    if f"{REWARD}{pair[0]}" != judge
  }
  return dataclasses.replace(table, values=kept)


def ranking(
  first: transfer_matrices.Matrix, second: transfer_matrices.Matrix, judge: str
) -> Ranking | None:
  """Of two matrices of one method; None without two sources on a target."""
  ours, theirs = (_without(x, judge) for x in (first, second))
  by_target = transfer_factors.ranking_agreement(ours, theirs)
  if not by_target:
    return None
  taus = transfer_factors.taus(ours, theirs).values()
  known = [x for x in taus if not np.isnan(x)]
  return Ranking(
    judge,
    transfer_factors.total(by_target),
    statistics.fmean(known) if known else None,
    len(by_target),
  )


def all_rankings(
  records: Records, judges: Sequence[str], said: Said = NOBODY
) -> list[Ranking]:
  """Every other judge: those that are shown, then single reward models, then
  those that gave verdicts."""
  names = sorted({x for r in records for x in r.scores if x.startswith(REWARD)})
  deciding = transfer_matrices.transfer_matrix(records, judge=judges[0])
  matrices = {
    judge: transfer_matrices.transfer_matrix(records, judge=judge)
    for judge in dict.fromkeys([*judges[1:], *names])
  } | {
    judge: verdict_judges.matrix(records, judge, said[judge])
    for judge in verdict_judges.shown(said)
  }
  found = []
  for judge, matrix in matrices.items():
    compared = ranking(deciding, matrix, judge)
    if compared:
      found.append(compared)
  return found
