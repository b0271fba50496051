"""A table, or a figure with its numbers, for a page and for files.

Every exhibit becomes a card of a page, a CSV with all digits, a LaTeX table,
and, if it has a drawing, an SVG and a PNG.
"""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import functools
import io
import math
import os
import pathlib

from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import markup

Value = str | int | float | None
MISSING = "\u2013"


@dataclasses.dataclass(frozen=True)
class Column:
  """A column of numbers or words.

  Attributes:
    title: its head.
    form: how numbers are shown, e.g. ".1f"; "w" is words that may wrap.
  """

  title: str
  form: str = ""

  def shown(self, value: Value) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
      return MISSING
    words = isinstance(value, str) or self.form in ("", "w")
    return str(value) if words else format(value, self.form)


@dataclasses.dataclass(frozen=True)
class Exhibit:
  """A table with an optional drawing.

  Attributes:
    name: of its files and ids.
    title: what it is.
    subtitle: of what data, in which unit.
    shows: what a reader can see in it, a sentence or two.
    columns: the first holds the rows' names.
    rows: one value per column.
    drawing: of the same numbers.
    kinds: row number -> class of the row, e.g. "same".
  """

  name: str
  title: str
  subtitle: str
  shows: str
  columns: Sequence[Column]
  rows: Sequence[Sequence[Value]]
  drawing: canvas.Drawing | None = None
  kinds: dict[int, str] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for row in self.rows:
      if len(row) != len(self.columns):
        raise ValueError(
          f"{self.name}: a row has {len(row)} values for {len(self.columns)} "
          f"columns: {row}"
        )

  @functools.cached_property
  def svg(self) -> str:
    """Of the drawing, rendered once; empty without one."""
    return self.drawing.svg() if self.drawing else ""


def to_csv(exhibit: Exhibit) -> str:
  """All digits that matter; what is missing is empty."""
  file = io.StringIO()
  writer = csv.writer(file, lineterminator="\n")
  writer.writerow([column.title for column in exhibit.columns])
  for row in exhibit.rows:
    writer.writerow(
      [
        ""
        if value is None
        else format(value, ".10g")
        if isinstance(value, float)
        else value
        for value in row
      ]
    )
  return file.getvalue()


_LATEX = {
  "\\": r"\textbackslash{}",
  "&": r"\&",
  "%": r"\%",
  "$": r"\$",
  "#": r"\#",
  "_": r"\_",
  "{": r"\{",
  "}": r"\}",
  "~": r"\textasciitilde{}",
  "^": r"\textasciicircum{}",
  "\u2013": "--",
  "\u2014": "---",
  "\u2019": "'",
  "\u2192": r"$\rightarrow$",
  "\u2212": "$-$",
  "\u00d7": r"$\times$",
  "\u03b2": r"$\beta$",
}


def latex_text(text: str) -> str:
  """Escaped for LaTeX: 50% of a_b -> 50\\% of a\\_b"""
  return "".join(_LATEX.get(letter, letter) for letter in text)


def to_latex(exhibit: Exhibit) -> str:
  """A table for booktabs, with caption and label."""
  sides = "".join(
    {"words": "p{5cm}", "text": "l", "": "r"}[_kind(exhibit, i)]
    for i in range(len(exhibit.columns))
  )
  rows = [
    " & ".join(
      latex_text(column.shown(value))
      for column, value in zip(exhibit.columns, row, strict=True)
    )
    for row in exhibit.rows
  ]
  return latex_table(
    exhibit.name,
    exhibit.title,
    exhibit.subtitle,
    sides,
    [column.title for column in exhibit.columns],
    rows,
  )


def latex_table(
  name: str,
  title: str,
  subtitle: str,
  sides: str,
  head: Sequence[str],
  rows: Sequence[str],
) -> str:
  """A table of rows that are LaTeX already; the other texts are plain.

  Args:
    name: of its label.
    title: what it is.
    subtitle: the rest of the caption.
    sides: columns as `tabular` takes them.
    head: one title per column.
    rows: without the end of the line.
  """
  stop = "" if title.endswith("?") else "."
  return "\n".join(
    [
      "% needs \\usepackage{booktabs}",
      "\\begin{table}",
      "\\centering",
      f"\\begin{{tabular}}{{{sides}}}",
      "\\toprule",
      f"{' & '.join(map(latex_text, head))} \\\\",
      "\\midrule",
      *(f"{line} \\\\" for line in rows),
      "\\bottomrule",
      "\\end{tabular}",
      f"\\caption{{{latex_text(f'{title}{stop} {subtitle}.')}}}",
      f"\\label{{tab:{name}}}",
      "\\end{table}",
      "",
    ]
  )


def _kind(exhibit: Exhibit, column: int) -> str:
  """Class of a column: words stand on the left, numbers on the right."""
  if exhibit.columns[column].form == "w":
    return "words"
  values = [row[column] for row in exhibit.rows]
  return "text" if all(isinstance(x, str | None) for x in values) else ""


def _table(exhibit: Exhibit) -> str:
  kinds = [_kind(exhibit, i) for i in range(len(exhibit.columns))]
  head = "".join(
    f'<th scope="col"{f" class={kind}" if kind else ""}>'
    f"{markup.text(x.title)}</th>"
    for x, kind in zip(exhibit.columns, kinds, strict=True)
  )
  rows = []
  for i, row in enumerate(exhibit.rows):
    first, *others = (
      column.shown(value)
      for column, value in zip(exhibit.columns, row, strict=True)
    )
    columns = [markup.cell(x, kind=k) for x, k in zip(others, kinds[1:])]
    rows.append(markup.row(first, columns, exhibit.kinds.get(i, "")))
  stop = "" if exhibit.title.endswith("?") else ":"
  caption = f"{exhibit.title}{stop} {exhibit.subtitle}"
  return markup.table(caption, f"<tr>{head}</tr>", rows)


def card(exhibit: Exhibit) -> str:
  """The drawing with its numbers one click away, or the table alone."""
  shows = markup.paragraph(exhibit.shows, "shows") if exhibit.shows else ""
  table = _table(exhibit)
  if exhibit.drawing is None:
    return table + shows
  return (
    f'<div class="exhibit">'
    f"{_figure(exhibit)}{shows}"
    f"<details><summary>Numbers</summary>{table}</details></div>"
  )


def _figure(exhibit: Exhibit) -> str:
  return markup.figure(
    exhibit.svg,
    exhibit.title,
    exhibit.subtitle,
    f"{exhibit.title}. {exhibit.shows} The numbers follow as a table.",
  )


def files(exhibit: Exhibit) -> dict[str, bytes]:
  """Path below the report's folder -> content."""
  found = {
    f"tables/{exhibit.name}.csv": to_csv(exhibit).encode(),
    f"tables/{exhibit.name}.tex": to_latex(exhibit).encode(),
  }
  if exhibit.drawing is not None:
    found[f"figures/{exhibit.name}.svg"] = exhibit.svg.encode()
    found[f"figures/{exhibit.name}.png"] = exhibit.drawing.png()
  return found


def write(folder: str | os.PathLike, content: Mapping[str, bytes]) -> None:
  """Writes every file whole, in the order given."""
  for name, data in content.items():
    path = pathlib.Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
      partial.write_bytes(data)
      os.replace(partial, path)
    finally:
      partial.unlink(missing_ok=True)
