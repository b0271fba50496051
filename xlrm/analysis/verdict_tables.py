"""What a prompted judge said, as tables for a terminal."""

from collections.abc import Sequence

from xlrm.analysis import verdict_matrices
from xlrm.evaluation import fidelity
from xlrm.evaluation import language_changes
from xlrm.evaluation import language_id
from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import win_rates


def cell(source: str, target: str) -> str:
  """'en -> es', or 'es' of a method without reward model."""
  return f"{source} -> {target}" if source else target


def rate(found: win_rates.WinRate | None) -> str:
  """'61.5% [54.6, 68.0]'."""
  if found is None:
    return "none"
  low, high = 100 * found.low, 100 * found.high
  return f"{100 * found.rate:.1f}% [{low:.1f}, {high:.1f}]"


def percent(share: float | None) -> str:
  return "-" if share is None else f"{100 * share:.1f}%"


def aligned(rows: Sequence[Sequence[str]]) -> str:
  """Columns under their heads; the first to the left, the others right."""
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = []
  for row in rows:
    first = row[0].ljust(widths[0])
    rest = [x.rjust(width) for x, width in zip(row[1:], widths[1:])]
    lines.append("  ".join([first, *rest]).rstrip())
  return "\n".join(lines)


def text(
  counted: Sequence[verdict_matrices.VerdictCounts], method: str, baseline: str
) -> str:
  """Win rates with 95% intervals and what they are made of.

  Identical pairs are among the ties.
  """
  rates = {"win rate [95%]": verdict_matrices.hard}
  if any(one.has_probabilities for one in counted):
    rates["both orders averaged"] = verdict_matrices.averaged
    rates["mean probability"] = verdict_matrices.soft
  counts = {
    "wins": pair_verdicts.WIN,
    "losses": pair_verdicts.LOSS,
    "ties": pair_verdicts.TIE,
    "inconsistent": pair_verdicts.INCONSISTENT,
    "invalid": pair_verdicts.INVALID,
  }
  head = [f"{method} against {baseline}", "pairs", *rates, *counts]
  rows = [[*head, "identical", "first shown wins"]]
  for one in counted:
    rows.append(
      [
        cell(one.source, one.target),
        str(len(one.pairs)),
        *(rate(one.win_rate(outcome)) for outcome in rates.values()),
        *(str(one.count(kind)) for kind in counts.values()),
        str(one.identical),
        percent(one.first_shown),
      ]
    )
  return aligned(rows)


def languages(
  counted: Sequence[verdict_matrices.VerdictCounts],
  identifier: language_id.Identifier | None,
) -> str:
  """Outputs in the language asked, and wins that came with a change of it."""
  if identifier is None:
    return f"language of outputs: {language_id.NOT_MEASURED}"
  head = ("in the language asked", "method", "baseline", "wins")
  rows = [[*head, "language left", "returned to", "changed otherwise"]]
  for one in counted:
    outcomes = [verdict.hard for verdict in one.verdicts]
    changes = language_changes.of_wins(one.pairs, outcomes, identifier)
    shares = (
      fidelity.in_language([getattr(x, side) for x in one.pairs], identifier)
      if one.pairs
      else None
      for side in ("ours", "theirs")
    )
    numbers = (
      ["-"] * 4
      if changes is None
      else map(
        str,
        (changes.wins, changes.left, changes.returned, changes.neither),
      )
    )
    rows.append(
      [
        cell(one.source, one.target),
        *map(percent, shares),
        *numbers,
      ]
    )
  known = ", ".join(identifier.languages[:12])
  return f"{aligned(rows)}\n(by {identifier.name} among {known})"
