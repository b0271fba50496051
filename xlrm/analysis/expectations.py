"""What a study promised beforehand, and where it falls short.

Nothing is softened: an expectation is met, missed, or was not measured, and
the numbers stand beside it.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.evaluation import accuracy

# Chance, with room for the 95% interval of a few hundred ratings.
UNTRAINED_GAIN = 0.05


@dataclasses.dataclass(frozen=True)
class Finding:
  """One expectation: met, missed, or (None) not measured."""

  expectation: str
  met: bool | None
  details: tuple[str, ...] = ()


def _expects_wins(
  text: str,
  matrices: Mapping[tuple[str, str], transfer_matrices.Matrix],
  found: findings.Results,
  goal: report_inputs.Expectations,
) -> Finding:
  """By the deciding judge, against one sample, in every cross-lingual pair."""
  pairs = ()
  if found.judges:
    pairs = matrices[found.judges[0], "sample"].cross_lingual
  missed = [cell for cell in pairs if cell.win.low <= goal.win_rate]
  details = tuple(
    f"{names.pair(cell.source, cell.target)}: {findings.rate(cell.win)}, n = "
    f"{cell.win.n}"
    for cell in missed
  )
  text = (
    f"{text} the 95% interval against one SFT sample lies above "
    f"{findings.percent(goal.win_rate)}"
  )
  return Finding(text, not missed if pairs else None, details)


def _expects_prompts(
  found: findings.Results, goal: report_inputs.Expectations
) -> Finding:
  text = f"At least {goal.min_prompts} prompts in every cell"
  few, unpaired = [], []
  matrices = [found.matrices[judge, "sample"] for judge in found.judges]
  for matrix in matrices[:1]:
    for cell in matrix.cells.values():
      pair = names.pair(cell.source, cell.target)
      if cell.win.n < goal.min_prompts:
        few.append(f"{pair}: {cell.win.n}")
      if cell.unpaired:
        unpaired.append(
          f"{pair}: {cell.unpaired} prompts lack one side and are left out"
        )
  met = not few and not unpaired if matrices else None
  return Finding(text, met, tuple(few + unpaired))


def _beside_baselines(row: accuracy.AccuracyRow) -> str:
  return (
    f"{findings.percent(row.accuracy)} {findings.interval(row.low, row.high)} "
    f"against {findings.percent(row.majority)} majority and "
    f"{findings.percent(row.length)} length, n = {row.n}"
  )


def _expects_accuracy(
  inputs: report_inputs.ReportInputs, goal: report_inputs.Expectations
) -> Finding:
  text = (
    f"Every reward model\u2019s accuracy on other languages is at least "
    f"{100 * goal.accuracy_gain:.0f} points above the better of the majority "
    f"and the length baseline"
  )
  rows = findings.transferred(inputs)
  details = tuple(
    f"{names.pair(row.reward_model, row.language)}: {_beside_baselines(row)}"
    for row in rows
    if row.gain < goal.accuracy_gain
  )
  return Finding(text, not details if rows else None, details)


def _expects_untrained(
  inputs: report_inputs.ReportInputs, goal: report_inputs.Expectations
) -> Finding:
  rows = [r for r in inputs.accuracy if r.reward_model == goal.baseline_model]
  text = f"The {goal.baseline_model} is at baseline"
  if rows and rows[0].heads > 1:
    low = min(row.spread[0] for row in rows)
    high = max(row.spread[1] for row in rows)
    text += (
      f" (mean of {rows[0].heads} random heads; 80% of single heads lie "
      f"between {findings.percent(low)} and {findings.percent(high)})"
    )
  details = tuple(
    f"{names.language(row.language)}: {_beside_baselines(row)}"
    for row in rows
    if row.gain > UNTRAINED_GAIN or _lucky(row) >= goal.accuracy_gain
  )
  return Finding(text, not details if rows else None, details)


def _lucky(row: accuracy.AccuracyRow) -> float:
  """How far the best tenth of single random heads is above the baselines."""
  best = row.spread[1] if row.spread else row.accuracy
  return best - max(row.majority, row.length)


def _expects_quality(
  inputs: report_inputs.ReportInputs,
  found: findings.Results,
  goal: report_inputs.Expectations,
) -> Finding:
  text = f"Samples of every SFT model have gold quality {goal.sft_quality}+"
  if "gold" not in found.judges:
    return Finding(text, None)
  means = transfer_matrices.mean_scores(
    inputs.records, judge="gold", method="sample"
  )
  details = tuple(
    f"{names.language(target)}: {mean:.3f}, n = {n}"
    for target, (mean, n) in means.items()
  )
  met = all(mean >= goal.sft_quality for mean, _ in means.values())
  return Finding(text, met if means else None, details)


def last_quarter_rise(
  history: report_inputs.History, metric: str
) -> float | None:
  """How far a metric rose in the last quarter of the steps; None: unknown.

  From the last value at or before three quarters of the way to the last value.
  """
  points = [(row["step"], row[metric]) for row in history if metric in row]
  if len(points) < 2:
    return None
  border = 0.75 * points[-1][0]
  before = [value for step, value in points if step <= border]
  return points[-1][1] - before[-1] if before else None


def _expects_flat(
  inputs: report_inputs.ReportInputs, goal: report_inputs.Expectations
) -> Finding:
  metric = goal.flat_metric
  text = (
    f"The {names.metric(metric)} of every SFT run rises by at most "
    f"{goal.flat_change} in the last quarter of training"
  )
  rises = {
    name: last_quarter_rise(history, metric)
    for name, history in inputs.training.items()
  }
  rises = {name: x for name, x in rises.items() if x is not None}
  details = tuple(
    f"{name}: +{rise:.3f}"
    for name, rise in rises.items()
    if rise > goal.flat_change
  )
  return Finding(text, not details if rises else None, details)


def check(
  inputs: report_inputs.ReportInputs, found: findings.Results
) -> Sequence[Finding]:
  """Every expectation of the study, met or not."""
  goal = inputs.expectations
  if goal is None:
    return ()
  return (
    _expects_wins(
      "In every cross-lingual pair of best-of-n", found.matrices, found, goal
    ),
    _expects_wins("In every cross-lingual pair of PPO", found.ppo, found, goal),
    _expects_accuracy(inputs, goal),
    _expects_untrained(inputs, goal),
    _expects_quality(inputs, found, goal),
    _expects_flat(inputs, goal),
    _expects_prompts(found, goal),
  )
