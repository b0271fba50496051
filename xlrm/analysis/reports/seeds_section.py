"""Section of the report: how much do the seeds differ?"""

from collections.abc import Sequence
import statistics

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import point_figures


def _row(method: str, cell: transfer_matrices.Cell) -> str:
  rates = list(cell.by_seed.values())
  return markup.row(
    names.pair(cell.source, cell.target),
    [
      markup.cell(names.method(method), kind="text"),
      markup.cell(str(len(rates))),
      markup.cell(findings.percent(cell.win.rate), findings.intervals(cell)),
      markup.cell(findings.percent(min(rates))),
      markup.cell(findings.percent(max(rates))),
      markup.cell(f"{100 * statistics.stdev(rates):.1f}"),
    ],
    "" if cell.cross_lingual else "same",
  )


def _figure(method: str, found: Sequence[transfer_matrices.Cell]) -> str:
  rows = {
    names.pair(x.source, x.target): {
      f"seed {seed}": point_figures.Mark(rate)
      for seed, rate in x.by_seed.items()
    }
    for x in found
  }
  spoken = "; ".join(
    f"{pair}: "
    + ", ".join(f"{s} {findings.percent(m.value)}" for s, m in marks.items())
    for pair, marks in rows.items()
  )
  axis = point_figures.Axis("win rate", percent=True, lines={0.5: ""})
  return markup.figure(
    point_figures.dots(rows, name=f"seeds_{method}", x=axis).svg(),
    f"{names.method_title(method)}: win rate with every seed",
    "over one SFT sample",
    spoken,
  )


def section(found: findings.Results) -> str:
  """Win rates by the deciding judge with every seed; empty with one seed."""
  several = {
    matrix.method: [x for x in matrix.cells.values() if len(x.by_seed) > 1]
    for matrix in found.deciding
  }
  several = {method: x for method, x in several.items() if x}
  if not several:
    return ""
  table = markup.table(
    "Win rates over one SFT sample: mean over seeds with 95% intervals over "
    "prompts and between seeds, the lowest and the highest seed, and the "
    "standard deviation between seeds in points",
    markup.columns(
      "reward model \u2192 policy",
      "method",
      "seeds",
      "win rate",
      "lowest",
      "highest",
      "deviation",
    ),
    [_row(method, x) for method, own in several.items() for x in own],
  )
  return markup.section(
    "seeds",
    "How much do the seeds differ?",
    markup.paragraph(
      "Everything was trained and drawn anew with every seed. By the "
      f"{names.judge(found.judges[0])}.",
      "lead",
    ),
    markup.grid(_figure(*x) for x in several.items()),
    table,
  )
