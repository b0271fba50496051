"""Heatmaps: the transfer matrix, and what reward models are blind to."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

from xlrm.analysis import names
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import palette
from xlrm.evaluation import accuracy


def _cell(axes: canvas.Axes, x: int, y: int, colour: str, **style: Any):
  axes.bar(x, 0.94, width=0.94, bottom=y - 0.47, color=colour, **style)


def _missing(axes: canvas.Axes, x: int, y: int, text: str) -> None:
  _cell(
    axes,
    x,
    y,
    palette.MISSING,
    edgecolor="#c9ced4",
    hatch="////",
    linewidth=0.0,
  )
  box = {"facecolor": palette.MISSING, "edgecolor": "none", "pad": 1.5}
  axes.text(
    x, y, text, ha="center", va="center", size=8, color=palette.MUTED, bbox=box
  )


def _grid(
  axes: canvas.Axes, rows: Sequence[str], columns: Sequence[str]
) -> None:
  axes.set_xlim(-0.53, len(columns) - 0.47)
  axes.set_ylim(len(rows) - 0.47, -0.53)
  axes.set_xticks(range(len(columns)), columns)
  axes.set_yticks(range(len(rows)), rows)
  axes.tick_params(length=0)
  for side in ("left", "bottom"):
    axes.spines[side].set_visible(False)


def span_of(matrices: Sequence[transfer_matrices.Matrix]) -> float:
  """Half the colour scale: the largest distance from 50%, at least 0.1."""
  rates = [c.win.rate for m in matrices for c in m.cells.values()]
  return max([0.1, *(abs(rate - 0.5) for rate in rates)])


def transfer(
  matrix: transfer_matrices.Matrix, *, name: str, span: float
) -> canvas.Drawing:
  """Transfer matrix: colour centred at 50%, the interval in each cell.

  Rows are sources, columns targets; one language on both sides is outlined;
  what was not run is hatched.
  """

  def paint(axes: canvas.Axes) -> None:
    _grid(
      axes,
      [names.language(x) for x in matrix.sources],
      [names.language(x) for x in matrix.targets],
    )
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("policy (target)", color=palette.MUTED, size=8)
    axes.set_ylabel("reward model (source)", color=palette.MUTED, size=8)
    for y, source in enumerate(matrix.sources):
      for x, target in enumerate(matrix.targets):
        cell = matrix.get(source, target)
        if cell is None:
          _missing(axes, x, y, "not run")
          continue
        win = cell.win
        outline = {"edgecolor": palette.INK, "linewidth": 1.6}
        same = outline if source == target else {"linewidth": 0.0}
        colour = palette.diverging(win.rate, 0.5, span)
        _cell(axes, x, y, colour, **same)
        ink = palette.text_on(colour)
        style = {"ha": "center", "color": ink}
        decided = not win.low <= 0.5 <= win.high
        axes.text(
          x,
          y + 0.06,
          f"{100 * win.rate:.1f}",
          size=13,
          weight="bold" if decided else "normal",
          va="bottom",
          **style,
        )
        axes.text(
          x,
          y + 0.14,
          f"{100 * win.low:.1f} \u2013 {100 * win.high:.1f}",
          size=7.5,
          va="top",
          **style,
        )

  height = 0.75 + 0.62 * len(matrix.sources)
  width = 1.2 + max(1.25 * len(matrix.targets), 2.2)
  return canvas.Drawing(paint, name=name, width=width, height=height)


def faults(
  language: str,
  rows: Sequence[accuracy.AccuracyRow],
  kinds: Sequence[str],
  *,
  name: str,
) -> canvas.Drawing:
  """AUC of good responses over those with one fault; blind is 50, reversed
  below."""

  def paint(axes: canvas.Axes) -> None:
    labels = [names.language(row.reward_model) for row in rows]
    _grid(axes, labels, [names.fault(fault) for fault in kinds])
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", labelrotation=38)
    for label in axes.get_xticklabels():
      label.set_ha("left")
      label.set_rotation_mode("anchor")
    for y, row in enumerate(rows):
      for x, fault in enumerate(kinds):
        found = row.by_fault.get(fault)
        if found is None:
          _missing(axes, x, y, "\u2013")
          continue
        same = {"edgecolor": palette.INK, "linewidth": 1.2}
        style = same if row.reward_model == language else {"linewidth": 0.0}
        colour = palette.diverging(found.auc, 0.5, 0.5)
        _cell(axes, x, y, colour, **style)
        axes.text(
          x,
          y,
          f"{100 * found.auc:.0f}",
          ha="center",
          va="center",
          size=9,
          color=palette.text_on(colour),
        )

  height = 1.05 + 0.36 * len(rows)
  width = 1.6 + 0.52 * len(kinds)
  return canvas.Drawing(paint, name=name, width=width, height=height)


def values(
  found: Mapping[tuple[str, str], tuple[float, str, str]],
  *,
  name: str,
  middle: float,
  span: float | None,
  row_title: str = "",
  column_title: str = "",
  column_width: float = 1.12,
  small_size: float = 7,
) -> canvas.Drawing:
  """A property of every reward model (row) in every language (column).

  Args:
    found: (reward model, language) -> number, its text, the small text.
    middle: number without colour.
    span: distance from it with full colour; None: the largest of all.
    row_title: what rows are.
    column_title: what columns are.
    column_width: in inches.
    small_size: of the small text, in points.
  """
  rows = list(dict.fromkeys(row for row, _ in found))
  columns = list(dict.fromkeys(column for _, column in found))
  numbers = [x for x, _, _ in found.values() if math.isfinite(x)]
  widest = span or max([abs(x - middle) for x in numbers] + [1e-9])

  def paint(axes: canvas.Axes) -> None:
    _grid(axes, [names.language(x) for x in rows], columns)
    axes.set_xticks(range(len(columns)), [names.language(x) for x in columns])
    axes.xaxis.tick_top()
    if row_title:
      axes.set_ylabel(row_title, color=palette.MUTED, size=8)
    if column_title:
      axes.xaxis.set_label_position("top")
      axes.set_xlabel(column_title, color=palette.MUTED, size=8)
    for y, row in enumerate(rows):
      for x, column in enumerate(columns):
        number, main, small = found.get((row, column), (math.nan, "", ""))
        if not math.isfinite(number):
          _missing(axes, x, y, "\u2013")
          continue
        outline = {"edgecolor": palette.INK, "linewidth": 1.4}
        colour = palette.diverging(number, middle, widest)
        _cell(axes, x, y, colour, **(outline if row == column else {}))
        style = {"ha": "center", "color": palette.text_on(colour)}
        if not small:
          axes.text(x, y, main, size=11, va="center", **style)
          continue
        axes.text(x, y + 0.05, main, size=11, va="bottom", **style)
        axes.text(x, y + 0.12, small, size=small_size, va="top", **style)

  longest = max(len(names.language(row)) for row in rows)
  width = 0.6 + 0.075 * longest + column_width * max(len(columns), 2)
  height = 0.5 + 0.56 * len(rows) + (0.2 if column_title else 0.0)
  return canvas.Drawing(paint, name=name, width=width, height=height)
