"""Does a judge say the same when the two responses change places?

A judge that sees both orders of every comparison tells on itself: how often the
response that was shown first wins, and how often it keeps its verdict.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from xlrm import records
from xlrm.evaluation import agreement
from xlrm.evaluation import win_rates

INCONSISTENT = "inconsistent"
Pair = tuple[str, str]  # ids of two records, in the order of their letters
_OTHER = {"first": "second", "second": "first"}


@dataclasses.dataclass(frozen=True)
class Consistency:
  """Of one judge.

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


def _winner(verdict: records.Verdict) -> str:
  """Id of the record that won, or "tie", or "invalid"."""
  if verdict.outcome in _OTHER:
    return getattr(verdict, verdict.outcome)
  return verdict.outcome


def _shown_first(verdict: records.Verdict) -> str:
  return getattr(verdict, verdict.order)


def by_pair(
  verdicts: Sequence[records.Verdict],
) -> dict[Pair, list[records.Verdict]]:
  """Groups the verdicts of ONE judge by comparison.

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
    first, second = sorted((verdict.first, verdict.second))
    found.setdefault((first, second), []).append(verdict)
  return found


def _combined(verdicts: Sequence[records.Verdict]) -> str:
  said = {_winner(verdict) for verdict in verdicts}
  if "invalid" in said:
    return "invalid"
  return said.pop() if len(said) == 1 else INCONSISTENT


def combined(verdicts: Sequence[records.Verdict]) -> dict[Pair, str]:
  """One verdict per comparison: the winner's id, "tie", "inconsistent" if the
  orders disagree, "invalid" if one of them is."""
  return {pair: _combined(own) for pair, own in by_pair(verdicts).items()}


def agreed(
  first: Mapping[Pair, str], second: Mapping[Pair, str]
) -> agreement.JudgeAgreement:
  """Agreement of two judges on the comparisons that both decided or tied.

  The winner is named by its place in the pair, so that the chance level is
  that of the verdicts "first", "second" and "tie".

  Args:
    first: of one judge, from `combined`.
    second: of the other.
  """
  void = {INCONSISTENT, "invalid"}
  pairs = [
    pair
    for pair in first
    if pair in second and first[pair] not in void
    if second[pair] not in void
  ]

  def places(said: Mapping[Pair, str]) -> list[str | int]:
    return [
      pair.index(said[pair]) if said[pair] in pair else "tie" for pair in pairs
    ]

  if not pairs:
    raise ValueError("the two judges share no comparison with valid verdicts")
  return agreement.of_judges(places(first), places(second))


def _position(
  groups: Mapping[Pair, Sequence[records.Verdict]],
) -> tuple[float, float, float]:
  """Share won by the response shown first; the interval takes a comparison's
  verdicts, which depend on each other, as one observation."""
  won, weights = [], []
  for verdicts in groups.values():
    decided = [x for x in verdicts if x.outcome in _OTHER]
    if decided:
      wins = sum(_winner(x) == _shown_first(x) for x in decided)
      won.append(wins / len(decided))
      weights.append(len(decided))
  if not won:
    return float("nan"), 0.0, 1.0
  shares, sizes = np.array(won), np.array(weights, np.float64)
  rate = float(np.average(shares, weights=sizes))
  variance = float(np.average(np.square(shares - rate), weights=sizes))
  effective = float(sizes.sum() ** 2 / np.square(sizes).sum())
  return rate, *win_rates.score_interval(rate, variance, effective)


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
    shown = {_shown_first(x) for x in valid}
    if len(shown) == 2:
      same.append(float(len({_winner(x) for x in valid}) == 1))
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
