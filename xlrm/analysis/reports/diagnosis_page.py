"""The diagnosis of reward models as figures and as one page.

Made from its tables and nothing else, so the same scores give the same bytes.
"""

from collections.abc import Mapping, Sequence

from xlrm.analysis import names
from xlrm.analysis.exhibits import heatmaps
from xlrm.analysis.exhibits import line_figures
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import stylesheet
from xlrm.analysis.reports import diagnosis_tables
from xlrm.evaluation import diagnosis

CURVES = "reliability"


def drawings(
  tables: Sequence[diagnosis_tables.Table],
  rows: Sequence[diagnosis.DiagnosisRow],
) -> dict[str, str]:
  """Name of a file, without ending -> SVG."""
  drawn = {
    table.name: heatmaps.values(
      table.cells(), name=table.name, middle=table.middle, span=table.span
    ).svg()
    for table in tables
    if table.name != CURVES
  }
  for language in dict.fromkeys(row.language for row in rows):
    lines = {
      x.reward_model: x.calibration.bins for x in rows if x.language == language
    }
    name = f"{CURVES}_{language}"
    drawn[name] = line_figures.reliability(lines, name=name).svg()
  return drawn


def _description(table: diagnosis_tables.Table) -> str:
  cells = table.cells().items()
  return "; ".join(
    f"{names.language(model)} on {names.language(language)} {main} ({small})"
    for (model, language), (_, main, small) in cells
  )


def render(
  title: str,
  tables: Sequence[diagnosis_tables.Table],
  drawn: Mapping[str, str],
  notes: Sequence[str],
) -> str:
  """The page as text; figures in the order of the tables."""
  cards = [
    markup.figure(drawn[x.name], x.title, x.subtitle, _description(x))
    for x in tables
    if x.name in drawn
  ]
  curves = [
    markup.figure(
      svg,
      f"Reliability on {names.language(name.removeprefix(CURVES + '_'))}",
      "share rated good against predicted probability; diagonal: right",
      "see reliability.csv",
    )
    for name, svg in drawn.items()
    if name.startswith(CURVES + "_")
  ]
  files = "".join(
    f'<li><a href="{name}.csv">{name}.csv</a></li>'
    for name in (markup.text(x.name) for x in tables)
  )
  said = "".join(markup.paragraph(note) for note in notes)
  body = markup.section(
    "matrices",
    "Rows: reward models; columns: languages",
    markup.paragraph(
      "Outlined: a reward model in its own language. Blue is better or more, "
      "brown worse or less.",
      "lead",
    ),
    markup.grid(cards),
  ) + markup.section("curves", "Reliability", markup.grid(curves))
  listed = markup.section("files", "The numbers", f"<ul>{files}</ul>")
  return markup.page(
    "xlrm diagnosis", title, said, body + listed, stylesheet.CSS
  )
