"""Figures of the report that compare the swept values."""

from collections.abc import Iterator, Mapping, Sequence

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import swept_values
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import point_figures
from xlrm.analysis.exhibits import value_figures

Points = Sequence[swept_values.Point]
_MOST = 6  # pairs of languages with a line of their own


def called(values: swept_values.Values) -> str:
  """'β = 0.05, temperature = 1'."""
  return ", ".join(f"{names.SWEPT[x]} = {y:g}" for x, y in values.items())


def _mark(x: swept_values.Interval | None) -> point_figures.Mark | None:
  return x and point_figures.Mark(x.value, x.low, x.high)


def _win_lines(line: Points) -> dict[str, value_figures.Line]:
  """The mean, with its seeds, and, of a few pairs, a thin line for each."""
  pairs = list(line[0].matrix.cells)
  seeds = [list(x.by_seed.values()) for x in line]
  mean = value_figures.Line(
    [point_figures.Mark(x.win.rate, x.win.low, x.win.high) for x in line],
    seeds if len(seeds[0]) > 1 else (),
  )
  if len(pairs) == 1:
    return {names.pair(*pairs[0]): mean}
  lines = {"mean over pairs": mean}
  for pair in pairs if len(pairs) <= _MOST else ():
    found = [x.matrix.get(*pair) for x in line]
    marks = [cell and point_figures.Mark(cell.win.rate) for cell in found]
    lines[names.pair(*pair)] = value_figures.Line(marks, thin=True)
  return lines


def _panels(
  method: str, line: Points, judge: str
) -> Iterator[
  tuple[str, str, point_figures.Axis, dict[str, value_figures.Line]]
]:
  """(title, what bars are, axis, lines) of each figure."""
  yield (
    "win rate over one SFT sample",
    "95% intervals",
    point_figures.Axis("win rate", percent=True, lines={0.5: ""}),
    _win_lines(line),
  )
  yield (
    f"mean score by the {names.judge(judge)}",
    "95% intervals",
    point_figures.Axis("mean score"),
    {
      names.method(method): value_figures.Line([_mark(x.score) for x in line]),
      names.method("sample"): value_figures.Line(
        [point_figures.Mark(x.baseline.value) for x in line], dashed=True
      ),
    },
  )
  if any(x.kl for x in line):
    yield (
      "KL divergence from the SFT model",
      "bars from the least to the most of the last steps",
      point_figures.Axis("nats per response"),
      {names.method(method): value_figures.Line([_mark(x.kl) for x in line])},
    )


def _frontier(method: str, line: Points) -> str:
  """What each value wins, at what divergence."""
  known = [x for x in line if x.kl]
  dots = [
    point_figures.Point(x.kl.value, x.win.rate, called({"kl": x.values["kl"]}))
    for x in known
  ]
  drawing = point_figures.scatter(
    {names.method(method): dots},
    name=f"swept_{method}_frontier",
    x=point_figures.Axis("KL divergence from the SFT model, nats per response"),
    y=point_figures.Axis("win rate", percent=True, lines={0.5: ""}),
  )
  return markup.figure(
    drawing.svg(),
    f"{names.method_title(method)}: what a win costs",
    "win rate over one SFT sample against KL",
    "; ".join(
      f"{dot.label}: {findings.percent(dot.y)} at {dot.x:.2f}" for dot in dots
    ),
  )


def _spoken(
  ticks: Sequence[str],
  y: point_figures.Axis,
  lines: Mapping[str, value_figures.Line],
) -> str:
  return "; ".join(
    f"{label}: "
    + ", ".join(
      f"{tick.split()[0]} {y.number(round(mark.value, 4))}"
      for tick, mark in zip(ticks, line.marks, strict=True)
      if mark
    )
    for label, line in lines.items()
  )


def of_every_axis(
  method: str, found: Points, first: swept_values.Values, judge: str
) -> Iterator[str]:
  """Of every axis, at the first values of the others."""
  for axis in swept_values.axes_of(found):
    line = swept_values.along(found, axis, first)
    if len(line) < 2:
      continue
    ticks = [
      f"{x.values[axis]:g}" + ("" if x.against else "\nbest") for x in line
    ]
    fixed = {x: first[x] for x in line[0].values if x != axis}
    at = f", {called(fixed)}" if fixed else ""
    panels = _panels(method, line, judge)
    for i, (title, bars, y, lines) in enumerate(panels):
      drawing = value_figures.against_values(
        ticks,
        lines,
        name=f"swept_{method}_{axis}_{i}",
        title=names.SWEPT[axis],
        y=y,
      )
      yield markup.figure(
        drawing.svg(),
        f"{names.method_title(method)}: {title}",
        f"against {names.SWEPT[axis]}{at}; {bars}",
        _spoken(ticks, y, lines),
      )
    if axis == "kl" and sum(x.kl is not None for x in line) > 1:
      yield _frontier(method, line)
