"""Line and dot figures of the report; see canvas.py for their form."""

from collections.abc import Mapping, Sequence

from xlrm.analysis import names
from xlrm.analysis import pool_curves
from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import palette
from xlrm.evaluation import accuracy
from xlrm.evaluation import calibration

Series = Sequence[tuple[int | float, int | float]]  # (step, value)


def _end_labels(
  axes: canvas.Axes,
  ends: Sequence[tuple[float, str, str]],
  x: int,
  gap: float,
) -> None:
  """Names of lines at their right end, pushed apart where they would meet."""
  last = None
  for y, text, colour in sorted(ends):
    y = y if last is None else max(y, last + gap)
    last = y
    axes.annotate(
      text,
      (x, y),
      xytext=(6, 0),
      textcoords="offset points",
      va="center",
      color=colour,
      size=8.5,
      weight="bold",
      annotation_clip=False,
    )


def curve(
  target: str,
  by_source: Mapping[str, Sequence[pool_curves.CurvePoint]],
  *,
  name: str,
) -> canvas.Drawing:
  """Win rate against k, one line per source, with bands over prompts.

  Dashed: 50%. Dotted: k/(k+1), what a judge that agrees with the reward model
  on every sample would give.
  """
  points = [p for line in by_source.values() for p in line]
  low = min(0.46, min(p.low for p in points) - 0.01)
  high = max(0.60, max(p.high for p in points) + 0.03)
  last = max(p.k for p in points)

  def paint(axes: canvas.Axes) -> None:
    axes.axhline(0.5, color=palette.MUTED, linewidth=0.9, linestyle=(0, (5, 3)))
    ks = [2 ** (i / 8) for i in range(8 * last.bit_length()) if i < 8 * 7]
    ks = [k for k in ks if k <= last]
    axes.plot(
      ks,
      [k / (k + 1) for k in ks],
      color=palette.MUTED,
      linewidth=1.1,
      linestyle=":",
    )
    inside = [k for k in ks if k / (k + 1) <= high]  # it leaves the frame
    axes.annotate(
      "k/(k+1)",
      (inside[-1], inside[-1] / (inside[-1] + 1)),
      xytext=(5, -9),
      textcoords="offset points",
      size=7.5,
      color=palette.MUTED,
    )
    ends = []
    for i, (source, line) in enumerate(by_source.items()):
      colour = palette.category(i)
      xs = [p.k for p in line]
      axes.fill_between(
        xs,
        [p.low for p in line],
        [p.high for p in line],
        color=colour,
        alpha=0.13,
        linewidth=0,
      )
      axes.plot(
        xs,
        [p.win_rate for p in line],
        color=colour,
        marker=palette.marker(i),
        markersize=4.5,
        linewidth=1.6,
        linestyle="--" if source == target else "-",
      )
      ends.append((line[-1].win_rate, names.language(source), colour))
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.93, last * 1.05)
    axes.set_ylim(low, high)
    axes.minorticks_off()
    xs = sorted({p.k for p in points})
    axes.set_xticks(xs, [str(x) for x in xs])
    step = 2 if high - low < 0.16 else 5
    ticks = [t for t in range(0, 101, step) if low <= t / 100 <= high]
    axes.set_yticks([t / 100 for t in ticks], [f"{t}%" for t in ticks])
    axes.grid(axis="y", color=palette.RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("k, samples chosen from")
    _end_labels(axes, ends, last, (high - low) / 16)

  return canvas.Drawing(paint, name=name, width=4.3, height=3.0)


def accuracy_dots(
  language: str, rows: Sequence[accuracy.AccuracyRow], *, name: str
) -> canvas.Drawing:
  """Accuracy of each reward model on one language, beside both baselines.

  A filled dot is a reward model of another language, an open one of the same;
  a bar marks the majority baseline, a diamond the length baseline.
  """

  def paint(axes: canvas.Axes) -> None:
    for y, row in enumerate(rows):
      same = row.reward_model == language
      colour = palette.CATEGORIES[0]
      axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2)
      axes.plot(
        row.accuracy,
        y,
        marker="o",
        markersize=7.5,
        color=colour,
        markerfacecolor="white" if same else colour,
        markeredgewidth=1.6,
      )
      axes.plot(
        row.majority,
        y,
        marker="|",
        markersize=14,
        markeredgewidth=2.0,
        color=palette.INK,
      )
      axes.plot(
        row.length,
        y,
        marker="D",
        markersize=5.5,
        color=palette.CATEGORIES[1],
      )
    lows = [min(r.low, r.majority, r.length) for r in rows]
    axes.set_xlim(min(0.4, min(lows) - 0.02), 1.01)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    labels = [names.language(row.reward_model) for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=palette.RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")

  height = 0.55 + 0.34 * len(rows)
  return canvas.Drawing(paint, name=name, width=4.3, height=height)


def training(
  lines: Mapping[str, Series], *, name: str, label: str
) -> canvas.Drawing:
  """One metric of several runs against the step."""

  def paint(axes: canvas.Axes) -> None:
    for i, (run, series) in enumerate(lines.items()):
      axes.plot(
        [step for step, _ in series],
        [value for _, value in series],
        color=palette.category(i),
        marker=palette.marker(i),
        markersize=3.5,
        linewidth=1.3,
        markevery=max(1, len(series) // 12),
        label=run,
      )
    axes.grid(axis="y", color=palette.RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.legend(frameon=False, fontsize=8, ncols=2, handlelength=1.6)

  return canvas.Drawing(paint, name=name, width=4.3, height=2.6)


def reliability(
  lines: Mapping[str, Sequence[calibration.Bin]], *, name: str
) -> canvas.Drawing:
  """How often responses of each predicted probability are good.

  The dashed diagonal is a reward model that is right about itself; the area of
  a dot grows with the number of responses.
  """

  def paint(axes: canvas.Axes) -> None:
    axes.plot(
      [0, 1], [0, 1], color=palette.MUTED, linewidth=0.9, linestyle=(0, (5, 3))
    )
    for i, (reward_model, bins) in enumerate(lines.items()):
      colour = palette.category(i)
      xs, ys = [x.predicted for x in bins], [x.observed for x in bins]
      total = sum(x.n for x in bins)
      axes.plot(
        xs, ys, color=colour, linewidth=1.3, label=names.language(reward_model)
      )
      axes.scatter(
        xs,
        ys,
        s=[8 + 160 * x.n / total for x in bins],
        color=colour,
        marker=palette.marker(i),
        linewidths=0,
        alpha=0.8,
      )
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, [f"{100 * x:.0f}%" for x in ticks])
    axes.set_yticks(ticks, [f"{100 * x:.0f}%" for x in ticks])
    axes.set_xlabel("predicted to be good")
    axes.set_ylabel("rated good")
    axes.legend(frameon=False, fontsize=8, handlelength=1.6)

  return canvas.Drawing(paint, name=name, width=4.0, height=3.4)
