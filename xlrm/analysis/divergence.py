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

from xlrm.analysis import canvas
from xlrm.analysis import cells
from xlrm.analysis import curves
from xlrm.analysis import palette
from xlrm.analysis import report_inputs
from xlrm.evaluation import win_rates

METRIC = "objective/kl"
LAST_STEPS = 10
_DASHES = (0, (5, 3))


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
    matrix = cells.transfer_matrix(records, judge=judge, method="ppo")
    for (source, target), cell in matrix.cells.items():
      mean = statistics.fmean(last)
      yield PPOPoint(source, target, mean, min(last), max(last), cell.win)


def at_equal_divergence(
  line: Sequence[curves.CurvePoint], kl: float
) -> float | None:
  """Win rate of best-of-k at this estimated divergence, on straight lines
  between its points; None beyond its ends or without an estimate."""
  if not line or any(p.kl_estimate is None for p in line):
    return None
  xs = [p.kl_estimate for p in line]
  if not xs[0] <= kl <= xs[-1]:
    return None
  return float(np.interp(kl, xs, [p.win_rate for p in line]))


def _best_of_k(axes: canvas.Axes, line: Sequence[curves.CurvePoint]) -> None:
  ys = [p.win_rate for p in line]
  style = {"color": palette.category(0), "marker": palette.marker(0)}
  bounds = [p.kl_bound for p in line]
  axes.plot(
    bounds,
    ys,
    markerfacecolor="white",
    markersize=5.5,
    linewidth=1.1,
    linestyle=_DASHES,
    label="best of k, upper bound of KL",
    **style,
  )
  for p in line:
    axes.annotate(
      str(p.k),
      (p.kl_bound, p.win_rate),
      xytext=(4, -11),
      textcoords="offset points",
      size=7.5,
      color=palette.MUTED,
    )
  if any(p.kl_estimate is None for p in line):
    return
  estimates = [p.kl_estimate for p in line]
  axes.fill_between(
    estimates,
    [p.low for p in line],
    [p.high for p in line],
    color=palette.category(0),
    alpha=0.13,
    linewidth=0,
  )
  axes.plot(
    estimates,
    ys,
    markersize=4.5,
    linewidth=1.6,
    label="best of k, estimated KL",
    **style,
  )


def _ppo(axes: canvas.Axes, found: Sequence[PPOPoint]) -> None:
  axes.errorbar(
    [p.kl for p in found],
    [p.win.rate for p in found],
    xerr=[[p.kl - p.low for p in found], [p.high - p.kl for p in found]],
    yerr=[
      [p.win.rate - p.win.low for p in found],
      [p.win.high - p.win.rate for p in found],
    ],
    fmt=palette.marker(1),
    color=palette.category(1),
    markersize=6.5,
    elinewidth=1.3,
    label="PPO, KL of its rollouts",
  )


def drawing(
  line: Sequence[curves.CurvePoint], found: Sequence[PPOPoint], *, name: str
) -> canvas.Drawing:
  """One pair of languages.

  Numbers beside the points are k; the band is the 95% interval of the win
  rate. Bars of PPO: the win rate's 95% interval, and the least and most
  divergence of the last steps.
  """

  def paint(axes: canvas.Axes) -> None:
    axes.axhline(0.5, color=palette.MUTED, linewidth=0.9, linestyle=_DASHES)
    if line:
      _best_of_k(axes, line)
    if found:
      _ppo(axes, found)
    axes.margins(0.08)
    axes.set_xlim(left=min(-0.05, axes.get_xlim()[0]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.grid(color=palette.RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("KL divergence from the SFT model, nats per response")
    axes.set_ylabel("win rate over one sample")
    axes.figure.legend(
      *axes.get_legend_handles_labels(),
      loc="outside lower center",
      ncols=1,
      frameon=False,
      fontsize=8,
    )

  return canvas.Drawing(paint, name=name, width=4.3, height=3.6)
