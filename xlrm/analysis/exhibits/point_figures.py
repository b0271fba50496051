"""Figures of points: scatters and rows of dots; see canvas.py for their form.

Groups differ in colour and in marker, and the legend is part of the figure, so
that a file of it stands on its own.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import palette

_DASHES = (0, (5, 3))


@dataclasses.dataclass(frozen=True)
class Point:
  """One point of a scatter; a label stands beside it."""

  x: float
  y: float
  label: str = ""
  is_open: bool = False


@dataclasses.dataclass(frozen=True)
class Mark:
  """One dot of a row, with an interval if it has one."""

  value: float
  low: float | None = None
  high: float | None = None
  is_open: bool = False


@dataclasses.dataclass(frozen=True)
class Axis:
  """How an axis reads.

  Attributes:
    title: with the unit.
    percent: fractions, shown in percent.
    log: logarithmic.
    lines: value -> text at a dashed line across the figure; may be empty.
    limits: ends; None: from the points.
    ticks: where numbers stand; empty: chosen by matplotlib.
  """

  title: str
  percent: bool = False
  log: bool = False
  lines: Mapping[float, str] = dataclasses.field(default_factory=dict)
  limits: tuple[float, float] | None = None
  ticks: Sequence[float] = ()

  def number(self, value: float, _: object = None) -> str:
    if self.percent:
      return f"{round(100 * value, 2):g}%"
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


@dataclasses.dataclass(frozen=True)
class Line:
  """A dotted line through a scatter, e.g. a bound."""

  name: str
  points: Sequence[tuple[float, float]]


def _set_up_x(axes: canvas.Axes, axis: Axis) -> None:
  if axis.log:
    axes.set_xscale("log")
  if axis.ticks:
    axes.set_xticks(axis.ticks)
    axes.minorticks_off()
  if axis.limits:  # after the ticks, which widen them
    axes.set_xlim(*axis.limits)
  axes.xaxis.set_major_formatter(axis.number)
  axes.set_xlabel(axis.title)
  axes.set_axisbelow(True)
  for value, text in axis.lines.items():
    axes.axvline(value, color=palette.MUTED, linewidth=0.9, linestyle=_DASHES)
    axes.annotate(
      text,
      (value, 1.0),
      xycoords=("data", "axes fraction"),
      xytext=(0, 3),
      textcoords="offset points",
      ha="center",
      size=7.5,
      color=palette.MUTED,
    )


def _set_up_y(axes: canvas.Axes, axis: Axis) -> None:
  if axis.limits:
    axes.set_ylim(*axis.limits)
  axes.yaxis.set_major_formatter(axis.number)
  axes.set_ylabel(axis.title)
  for value in axis.lines:
    axes.axhline(value, color=palette.MUTED, linewidth=0.9, linestyle=_DASHES)


def _legend(axes: canvas.Axes, count: int) -> None:
  axes.figure.legend(
    *axes.get_legend_handles_labels(),
    loc="outside lower center",
    ncols=min(count, 3),
    frameon=False,
    fontsize=8,
    handletextpad=0.5,
    columnspacing=1.4,
  )


def scatter(
  groups: Mapping[str, Sequence[Point]],
  *,
  name: str,
  x: Axis,
  y: Axis,
  lines: Sequence[Line] = (),
) -> canvas.Drawing:
  """Points of several groups.

  Args:
    groups: name, as in the legend -> points.
    name: of the figure.
    x: the horizontal axis.
    y: the vertical axis.
    lines: drawn dotted below the points.
  """

  def paint(axes: canvas.Axes) -> None:
    for line in lines:
      axes.plot(
        [p for p, _ in line.points],
        [q for _, q in line.points],
        color=palette.MUTED,
        linewidth=1.3,
        linestyle=":",
        label=line.name,
      )
    for i, (group, points) in enumerate(groups.items()):
      for is_open in (False, True):
        chosen = [p for p in points if p.is_open is is_open]
        if not chosen:
          continue
        axes.plot(
          [p.x for p in chosen],
          [p.y for p in chosen],
          linestyle="none",
          marker=palette.marker(i),
          markersize=6.5 if is_open else 5.5,
          color=palette.category(i),
          markerfacecolor="white" if is_open else palette.category(i),
          markeredgewidth=1.4 if is_open else 0.0,
          label=None if is_open and len(chosen) < len(points) else group,
        )
      for point in points:
        axes.annotate(
          point.label,
          (point.x, point.y),
          xytext=(5, 4 if i % 2 == 0 else -10),
          textcoords="offset points",
          size=8,
          color=palette.category(i),
        )
    axes.margins(0.07)
    _set_up_x(axes, x)
    _set_up_y(axes, y)
    axes.grid(color=palette.RULE, linewidth=0.5)
    _legend(axes, len(groups) + len(lines))

  rows = -(-(len(groups) + len(lines)) // 3)
  return canvas.Drawing(paint, name, 4.6, 3.1 + 0.2 * rows)


def dots(
  rows: Mapping[str, Mapping[str, Mark]],
  *,
  name: str,
  x: Axis,
  width: float = 4.6,
  row_height: float = 0.3,
) -> canvas.Drawing:
  """One row of dots per name, the first at the top.

  Args:
    rows: name -> group, as in the legend -> dot.
    name: of the figure.
    x: the axis of the values.
    width: in inches.
    row_height: in inches.
  """
  groups = list(dict.fromkeys(group for row in rows.values() for group in row))
  spread = 0.2 if len(groups) > 1 else 0.0

  def paint(axes: canvas.Axes) -> None:
    for i, group in enumerate(groups):
      shift = spread * (i - (len(groups) - 1) / 2) * 2 / max(1, len(groups) - 1)
      labelled = False
      for y, row in enumerate(rows.values()):
        if group not in row:
          continue
        mark, colour = row[group], palette.category(i)
        if mark.low is not None:
          axes.plot(
            [mark.low, mark.high], [y + shift] * 2, color=colour, linewidth=1.8
          )
        axes.plot(
          mark.value,
          y + shift,
          linestyle="none",
          marker=palette.marker(i),
          markersize=6,
          color=colour,
          markerfacecolor="white" if mark.is_open else colour,
          markeredgewidth=1.4,
          label=None if labelled or mark.is_open else group,
        )
        labelled = labelled or not mark.is_open
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _set_up_x(axes, x)
    axes.grid(color=palette.RULE, linewidth=0.5)
    if len(groups) > 1:
      _legend(axes, len(groups))

  height = 0.75 + row_height * len(rows) + (0.25 if len(groups) > 1 else 0.0)
  return canvas.Drawing(paint, name, width, height)
