"""From the verdicts of both orders to one of a pair.

  ours, ours -> win        ours, theirs -> inconsistent
  theirs, theirs -> loss   tie, tie     -> tie        one invalid -> invalid

An invalid pair has no outcome and is left out; an inconsistent one counts one
half, like a tie, and is reported apart from ties.
"""

from collections.abc import Sequence
import dataclasses

from xlrm.evaluation import records

WIN, LOSS, TIE = "win", "loss", "tie"
INCONSISTENT, INVALID = "inconsistent", "invalid"
KINDS = (WIN, LOSS, TIE, INCONSISTENT, INVALID)
_KIND = {"first": WIN, "second": LOSS, "tie": TIE}
_HARD = {WIN: 1.0, LOSS: 0.0, TIE: 0.5, INCONSISTENT: 0.5, INVALID: None}


@dataclasses.dataclass(frozen=True)
class PairVerdict:
  """What a judge said of a pair, asked in both orders.

  Attributes:
    kind: one of KINDS, for the first record of the pair.
    probability: that the first is better, the mean over both orders; None
      where an order gave none.
    position: share of the orders in which the output shown first won, out of
      those in which one did; None where none did.
  """

  kind: str
  probability: float | None
  position: float | None

  @property
  def hard(self) -> float | None:
    """The outcome 1, 0 or 1/2; None where invalid."""
    return _HARD[self.kind]

  @property
  def averaged(self) -> float | None:
    """The outcome by the higher mean probability, as the paper decides.

    Equal to `hard` where the orders agree; an order that wavers decides
    nothing against one that is sure.
    """
    if self.kind == INVALID or self.probability is None:
      return self.hard
    return 0.5 * (1 + (self.probability > 0.5) - (self.probability < 0.5))

  @property
  def soft(self) -> float | None:
    """The mean probability as the outcome; None where invalid."""
    if self.kind == INVALID or self.probability is None:
      return self.hard
    return self.probability


def kind_of(outcomes: Sequence[str]) -> str:
  """The kind, one of KINDS, from what each order said of the same pair."""
  if "invalid" in outcomes:
    return INVALID
  return _KIND[outcomes[0]] if len(set(outcomes)) == 1 else INCONSISTENT


def combine(first: records.Verdict, second: records.Verdict) -> PairVerdict:
  """The verdict of a pair from those with either record shown first."""
  both = (first, second)
  kind = kind_of([verdict.outcome for verdict in both])
  known = all("first" in verdict.probabilities for verdict in both)
  chosen = [
    x.outcome == x.order for x in both if x.outcome in records.OUTCOMES[:2]
  ]
  return PairVerdict(
    kind,
    sum(x.probabilities["first"] for x in both) / 2
    if known and kind != INVALID
    else None,
    sum(chosen) / len(chosen) if chosen else None,
  )


def of_pairs(
  verdicts: Sequence[records.Verdict],
) -> dict[tuple[str, str], PairVerdict]:
  """The verdicts of one judge that saw both orders, by (first, second) id.

  Raises:
    ValueError: several judges, an order that is missing or there twice.
  """
  judges = sorted({verdict.judge for verdict in verdicts})
  if len(judges) > 1:
    raise ValueError(f"verdicts of {len(judges)} judges: {judges}; use one")
  found: dict[tuple[str, str], dict[str, records.Verdict]] = {}
  for verdict in verdicts:
    orders = found.setdefault((verdict.first, verdict.second), {})
    if verdict.order in orders:
      raise ValueError(
        f"two verdicts with {verdict.order} shown first: {verdict.first} "
        f"against {verdict.second}"
      )
    orders[verdict.order] = verdict
  for (first, second), orders in found.items():
    if len(orders) < 2:
      raise ValueError(
        f"{judges[0]} saw one order only of {first} against {second}; a judge "
        "is asked both"
      )
  return {
    pair: combine(orders["first"], orders["second"])
    for pair, orders in found.items()
  }
