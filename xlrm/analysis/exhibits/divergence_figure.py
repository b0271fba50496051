"""KL divergence from the SFT model against win rate, as a figure."""

from collections.abc import Sequence

from xlrm.analysis import divergence
from xlrm.analysis import pool_curves
from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import palette

_DASHES = (0, (5, 3))


def _best_of_k(
  axes: canvas.Axes, line: Sequence[pool_curves.CurvePoint]
) -> None:
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


def _ppo(axes: canvas.Axes, found: Sequence[divergence.PPOPoint]) -> None:
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
  line: Sequence[pool_curves.CurvePoint],
  found: Sequence[divergence.PPOPoint],
  *,
  name: str,
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
