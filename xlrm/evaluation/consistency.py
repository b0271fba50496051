"""Does a judge say the same when the two responses change places?

A judge that sees both orders of every comparison tells on itself: how often the
response that was shown first wins, and how often it keeps its verdict.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from xlrm.evaluation import agreement
from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import records
from xlrm.evaluation import win_rates

Pair = tuple[str, str]  # ids of two records, in the order of their letters
_OTHER = {"first": "second", "second": "first"}


@dataclasses.dataclass(frozen=True)
class Consistency:
  """The position bias and the self-consistency of one judge.

  Attributes:
    first_shown: of the verdicts with a winner, the share won by the response
      that was shown first; without bias one half, if both orders were shown.
    low: lower end of its 95% interval over comparisons.
    high: upper end.
    decided: verdicts with a winner.
    same: of the comparisons shown in both orders with two valid verdicts, the
      share with the same verdict; NaN where there is none.
    same_low: lower end of its 95% Wilson interval.
    same_high: upper end.
    both_orders: comparisons that `same` counts.
    ties: verdicts that were ties.
    invalid: verdicts that were not valid.
    n: verdicts.
  """

  first_shown: float
  low: float
  high: float
  decided: int
  same: float
  same_low: float
  same_high: float
  both_orders: int
  ties: int
  invalid: int
  n: int


def _turned(verdict: records.Verdict) -> records.Verdict:
  """The same, with the two records named the other way round."""
  return dataclasses.replace(
    verdict,
    first=verdict.second,
    second=verdict.first,
    order=_OTHER[verdict.order],
    outcome=_OTHER.get(verdict.outcome, verdict.outcome),
    probabilities={
      _OTHER.get(x, x): value for x, value in verdict.probabilities.items()
    },
  )


def by_pair(
  verdicts: Sequence[records.Verdict],
) -> dict[Pair, list[records.Verdict]]:
  """The verdicts of ONE judge by comparison.

  All verdicts of a comparison name its records in the same order.

  Raises:
    ValueError: verdicts of several judges, or a record compared with itself.
  """
  judges = sorted({verdict.judge for verdict in verdicts})
  if len(judges) > 1:
    raise ValueError(f"verdicts of {len(judges)} judges: {judges}; give one's")
  found: dict[Pair, list[records.Verdict]] = {}
  for verdict in verdicts:
    if verdict.first == verdict.second:
      raise ValueError(f"{verdict.first} was compared with itself")
    if verdict.first > verdict.second:
      verdict = _turned(verdict)
    found.setdefault((verdict.first, verdict.second), []).append(verdict)
  return found


def combined(verdicts: Sequence[records.Verdict]) -> dict[Pair, str]:
  """The verdict, one of `pair_verdicts.KINDS`, of each comparison.

  It is that for the first record. Verdicts may be of one order or of both:
  people see one, prompted judges two.
  """
  return {
    pair: pair_verdicts.kind_of([verdict.outcome for verdict in own])
    for pair, own in by_pair(verdicts).items()
  }


def agreed(
  first: Mapping[Pair, str], second: Mapping[Pair, str]
) -> agreement.JudgeAgreement:
  """Agreement of two judges on the comparisons that both decided or tied.

  Args:
    first: of one judge, from `combined`.
    second: of the other.
  """
  void = (pair_verdicts.INCONSISTENT, pair_verdicts.INVALID)
  valid = (
    {pair: kind for pair, kind in said.items() if kind not in void}
    for said in (first, second)
  )
  found = agreement.of_every_two(dict(zip(("first", "second"), valid)))
  if not found:
    raise ValueError("the two judges share no comparison with valid verdicts")
  return found["first", "second"]


def _position(
  groups: Mapping[Pair, Sequence[records.Verdict]],
) -> tuple[float, float, float]:
  """Share won by the response shown first, with its interval."""
  won, weights = [], []
  for verdicts in groups.values():
    decided = [x for x in verdicts if x.outcome in _OTHER]
    if decided:
      wins = sum(x.outcome == x.order for x in decided)
      won.append(wins / len(decided))
      weights.append(len(decided))
  if not won:
    return float("nan"), 0.0, 1.0
  return win_rates.clustered(won, weights)


def consistency(verdicts: Sequence[records.Verdict]) -> Consistency:
  """Position bias and self-consistency of one judge.

  Raises:
    ValueError: no verdicts, or those of several judges.
  """
  if not verdicts:
    raise ValueError("no verdicts to look at")
  groups = by_pair(verdicts)
  same = []
  for own in groups.values():
    valid = [x for x in own if x.outcome != "invalid"]
    if len({x.order for x in valid}) == 2:
      same.append(float(len({x.outcome for x in valid}) == 1))
  low, high = win_rates.wilson(np.array(same)) if same else (0.0, 1.0)
  rate, position_low, position_high = _position(groups)
  outcomes = [verdict.outcome for verdict in verdicts]
  return Consistency(
    first_shown=rate,
    low=position_low,
    high=position_high,
    decided=sum(x in _OTHER for x in outcomes),
    same=float(np.mean(same)) if same else float("nan"),
    same_low=low,
    same_high=high,
    both_orders=len(same),
    ties=outcomes.count("tie"),
    invalid=outcomes.count("invalid"),
    n=len(outcomes),
  )
