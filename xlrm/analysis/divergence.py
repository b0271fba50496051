"""KL divergence from the SFT model against win rate: best-of-n beside PPO.

Best-of-k has two numbers on the horizontal axis, an upper bound that depends on
k alone (log k - (k-1)/k) and an estimate from the samples that were drawn. PPO
has the divergence that its run measured on its own rollouts.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import math
import statistics

import numpy as np

from xlrm.analysis import pool_curves
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.evaluation import win_rates

METRIC = "objective/kl"
LAST_STEPS = 10


@dataclasses.dataclass(frozen=True)
class PPOPoint:
  """A policy after PPO.

  Attributes:
    source: language of its reward model.
    target: its own language.
    kl: nats per response, mean over the last LAST_STEPS steps.
    low: the least of these steps.
    high: the most.
    win: over one SFT sample.
  """

  source: str
  target: str
  kl: float
  low: float
  high: float
  win: win_rates.WinRate


def last_steps(history: report_inputs.History) -> list[float]:
  """KL of the last LAST_STEPS steps that reported it."""
  known = (row.get(METRIC, math.nan) for row in history)
  return [x for x in known if math.isfinite(x)][-LAST_STEPS:]


def ppo_points(
  inputs: report_inputs.ReportInputs, judge: str
) -> Iterator[PPOPoint]:
  """One per policy whose run reported its divergence."""
  for policy, history in inputs.ppo_training.items():
    last = last_steps(history)
    if not last:
      continue
    records = [
      x for x in inputs.records if x.method != "ppo" or x.policy == policy
    ]
    matrix = transfer_matrices.transfer_matrix(
      records, judge=judge, method="ppo"
    )
    for (source, target), cell in matrix.cells.items():
      mean = statistics.fmean(last)
      yield PPOPoint(source, target, mean, min(last), max(last), cell.win)


def at_equal_divergence(
  line: Sequence[pool_curves.CurvePoint], kl: float
) -> float | None:
  """Win rate of best-of-k at this estimated divergence, on straight lines
  between its points; None beyond its ends or without an estimate."""
  if not line or any(p.kl_estimate is None for p in line):
    return None
  xs = [p.kl_estimate for p in line]
  if not xs[0] <= kl <= xs[-1]:
    return None
  return float(np.interp(kl, xs, [p.win_rate for p in line]))
