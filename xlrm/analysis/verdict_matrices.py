"""The transfer matrix of a judge that compares outputs two by two.

A prompted judge gives no scores but verdicts (`records.Verdict`); this makes
the same `cells.Matrix` of them, beside counts that a matrix does not show.
"""

from collections import Counter
from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from xlrm.analysis import transfer_matrices
from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import pairing
from xlrm.evaluation import records as records_lib
from xlrm.evaluation import win_rates

Outcome = Callable[[pair_verdicts.PairVerdict], float | None]


def hard(verdict: pair_verdicts.PairVerdict) -> float | None:
  """1, 0, and 1/2 for ties and inconsistent pairs."""
  return verdict.hard


def averaged(verdict: pair_verdicts.PairVerdict) -> float | None:
  """Who has the higher probability in the mean over both orders."""
  return verdict.averaged


def soft(verdict: pair_verdicts.PairVerdict) -> float | None:
  """The mean probability."""
  return verdict.soft


@dataclasses.dataclass(frozen=True)
class VerdictCounts:
  """Of one (source, target).

  Attributes:
    source: language of the reward model.
    target: language of the policy.
    pairs: judged, in order.
    verdicts: one per pair.
    unpaired: prompts that only one side answers.
  """

  source: str
  target: str
  pairs: Sequence[pairing.Pair]
  verdicts: Sequence[pair_verdicts.PairVerdict]
  unpaired: int

  def count(self, kind: str) -> int:
    """Pairs of this kind, see `pair_verdicts.KINDS`."""
    return Counter(verdict.kind for verdict in self.verdicts)[kind]

  @property
  def identical(self) -> int:
    """Pairs of equal outputs: ties that nobody was asked about."""
    return sum(pair.identical for pair in self.pairs)

  @property
  def has_probabilities(self) -> bool:
    return any(
      verdict.probability is not None and not pair.identical
      for pair, verdict in zip(self.pairs, self.verdicts, strict=True)
    )

  @property
  def first_shown(self) -> float | None:
    """How often the output shown first wins, where one wins: 1/2 is fair."""
    found = [x.position for x in self.verdicts if x.position is not None]
    return float(np.mean(found)) if found else None

  def outcomes(self, outcome: Outcome = hard) -> transfer_matrices.Outcomes:
    """Prompt -> outcome, without the invalid pairs."""
    found = {
      pair.ours.prompt: outcome(verdict)
      for pair, verdict in zip(self.pairs, self.verdicts, strict=True)
    }
    return {prompt: x for prompt, x in found.items() if x is not None}

  def win_rate(self, outcome: Outcome = hard) -> win_rates.WinRate | None:
    """Macro-averaged over (task, dataset); None if every pair is invalid."""
    found = self.outcomes(outcome)
    return transfer_matrices.win_rate(found) if found else None


def verdict_counts(
  paired: pairing.Paired, verdicts: Sequence[records_lib.Verdict]
) -> list[VerdictCounts]:
  """One per cell of the pairs.

  Raises:
    ValueError: a pair without verdicts.
  """
  found = pair_verdicts.of_pairs(verdicts)
  missing = [pair for pair in paired.pairs if pair.id not in found]
  if missing:
    raise ValueError(
      f"{len(missing)} of {len(paired.pairs)} pairs have no verdict, "
      f"{missing[0].ours.id} among them"
    )
  result = []
  for cell, unpaired in paired.unpaired.items():
    own = [pair for pair in paired.pairs if pair.cell == cell]
    result.append(
      VerdictCounts(*cell, own, [found[x.id] for x in own], unpaired)
    )
  return result


def transfer_matrix(
  records: Sequence[records_lib.EvalRecord],
  verdicts: Sequence[records_lib.Verdict],
  *,
  method: str = "best_of_n",
  baseline: str = "sample",
  outcome: Outcome = hard,
) -> transfer_matrices.Matrix:
  """`cells.transfer_matrix` of verdicts.

  A cell's means are the share of wins of either side; prompts whose verdict is
  invalid count as left out.

  Args:
    verdicts: of one judge, both orders.
    outcome: `hard`, `averaged` or `soft`.
  """
  found = verdict_counts(pairing.pair(records, method, baseline), verdicts)
  made = {}
  for one in found:
    rate = one.win_rate(outcome)
    if rate is not None and one.source:
      made[one.source, one.target] = transfer_matrices.Cell(
        one.source,
        one.target,
        rate,
        rate.rate,
        1 - rate.rate,
        one.unpaired + one.count(pair_verdicts.INVALID),
        one.outcomes(outcome),
      )
  targets = tuple(dict.fromkeys(one.target for one in found))
  sources = [one.source for one in found if one.source]
  sources = transfer_matrices.ordered(
    sources, [*(x for x in sources if x not in targets), *targets]
  )
  judge = verdicts[0].judge
  return transfer_matrices.Matrix(
    judge, method, baseline, tuple(sources), targets, made
  )
