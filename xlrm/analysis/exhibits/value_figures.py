"""Figures of a number against a swept value; see canvas.py for their form.

Values stand at equal distances, whatever they are: betas and n spread over
powers, and 0 is one of them.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import palette
from xlrm.analysis.exhibits import point_figures


@dataclasses.dataclass(frozen=True)
class Line:
  """One line of a figure.

  Attributes:
    marks: one per value; None where it was not measured.
    seeds: one per value: the number of each seed.
    dashed: a baseline.
    thin: one of many, without its intervals.
  """

  marks: Sequence[point_figures.Mark | None]
  seeds: Sequence[Sequence[float]] = ()
  dashed: bool = False
  thin: bool = False


def _draw(axes: canvas.Axes, i: int, name: str, line: Line) -> None:
  colour = palette.MUTED if line.dashed else palette.category(i)
  known = [(x, mark) for x, mark in enumerate(line.marks) if mark]
  xs = [x for x, _ in known]
  ys = [mark.value for _, mark in known]
  axes.plot(
    xs,
    ys,
    color=colour,
    marker="" if line.dashed else palette.marker(i),
    markersize=3.5 if line.thin else 6,
    linewidth=1.0 if line.thin else 1.7,
    linestyle="--" if line.dashed else "-",
    alpha=0.75 if line.thin else 1.0,
    label=name,
  )
  if line.thin:
    return
  for x, mark in known:
    if mark.low is not None:
      axes.plot([x, x], [mark.low, mark.high], color=colour, linewidth=1.5)
  for x, own in enumerate(line.seeds):
    axes.plot(
      [x + 0.09] * len(own),
      own,
      linestyle="none",
      marker="_",
      markersize=8,
      markeredgewidth=1.3,
      color=colour,
      label="one seed" if x == 0 else None,
    )


def against_values(
  values: Sequence[str],
  lines: Mapping[str, Line],
  *,
  name: str,
  title: str,
  y: point_figures.Axis,
) -> canvas.Drawing:
  """Numbers against the values of one axis.

  Args:
    values: as they are called, in order.
    lines: name, as in the legend -> numbers.
    name: of the figure.
    title: of the horizontal axis.
    y: the vertical axis; its `lines` are drawn dashed.
  """

  def paint(axes: canvas.Axes) -> None:
    for value in y.lines:
      axes.axhline(
        value, color=palette.MUTED, linewidth=0.9, linestyle=(0, (5, 3))
      )
    for i, (label, line) in enumerate(lines.items()):
      _draw(axes, i, label, line)
    axes.set_xticks(range(len(values)), values)
    axes.set_xlim(-0.3, len(values) - 0.7)
    axes.margins(y=0.08)
    axes.yaxis.set_major_formatter(y.number)
    axes.grid(axis="y", color=palette.RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(title)
    axes.set_ylabel(y.title)
    axes.figure.legend(
      *axes.get_legend_handles_labels(),
      loc="outside lower center",
      ncols=2,
      frameon=False,
      fontsize=8,
      handlelength=1.8,
      columnspacing=1.4,
    )

  entries = len(lines) + any(line.seeds for line in lines.values())
  height = 2.7 + 0.19 * -(-entries // 2)
  return canvas.Drawing(paint, name, 4.3, height)
