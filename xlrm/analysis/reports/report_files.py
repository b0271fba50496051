"""The tables and figures of the report's page, as files beside it.

Sections of the page are text, and a table of it holds more than a CSV shows: a
win rate with its interval is one cell for a reader and three numbers for a
program. So tables are read back from the page, which is why a file never says
anything else than the page.
"""

import base64
from collections.abc import Iterator, Sequence
import dataclasses
import html.parser
import re

from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import exhibit

CAPTIONS = "figures/captions.csv"
KINDS = ("tables/*.csv", "tables/*.tex", "figures/*.svg", "figures/*.png")
_FIRST_ID = "-figure_1"  # of every SVG, after the drawing's name
_UNDER = re.compile(
  r"\[(?P<low>.+?), (?P<high>.+?)\]"
  r"(?:; seeds \[(?P<seeds_low>.+?), (?P<seeds_high>.+?)\])?"
  r"(?:, n = (?P<n>\d+))?"
)
_RANGE = re.compile(r"(?P<low>\S+) to (?P<high>\S+)")

Text = list[str]  # its lines: what is large, then what is small


@dataclasses.dataclass
class Cell:
  """A cell; heads span rows and columns.

  Attributes:
    text: what it says.
    kind: its class, or else that of its row.
    width: columns.
    height: rows.
  """

  text: Text
  kind: str
  width: int
  height: int


@dataclasses.dataclass
class Table:
  """A table of the page.

  Attributes:
    name: of its files: the section's id, with a number from the second on.
    title: of its section.
    caption: of the table.
    head: rows of cells.
    body: rows of cells.
  """

  name: str
  title: str
  caption: str
  head: list[list[Cell]] = dataclasses.field(default_factory=list)
  body: list[list[Cell]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Figure:
  """A figure of the page.

  Attributes:
    name: of its files.
    caption: title, subtitle.
    png: of a figure that was a picture already.
  """

  name: str = ""
  caption: Text = dataclasses.field(default_factory=list)
  png: bytes = b""


class Reader(html.parser.HTMLParser):
  """Collects the tables and the figures of a page."""

  def __init__(self):
    super().__init__()
    self.tables: list[Table] = []
    self.figures: list[Figure] = []
    self._section, self._title = "", ""
    self._text: Text = [""]
    self._rows: list[list[Cell]] = []
    self._kind = ""

  @staticmethod
  def _name(base: str, taken: Sequence[Table | Figure]) -> str:
    """x, x2, x3, ..."""
    number = 1 + sum(re.sub(r"\d+$", "", x.name) == base for x in taken)
    return f"{base}{number}" if number > 1 else base

  def handle_starttag(self, tag, attrs):
    given = dict(attrs)
    if tag == "section":
      self._section = given["id"]
    elif tag == "table":
      name = self._name(self._section, self.tables)
      self.tables.append(Table(name, self._title, given["aria-label"]))
    elif tag == "thead":
      self._rows = self.tables[-1].head
    elif tag == "tbody":
      self._rows = self.tables[-1].body
    elif tag == "tr":
      self._rows.append([])
      self._kind = given.get("class", "")
    elif tag in ("th", "td"):
      self._text = [""]
      spans = [int(given.get(x, 1)) for x in ("colspan", "rowspan")]
      kind = given.get("class", self._kind)
      self._rows[-1].append(Cell(self._text, kind, *spans))
    elif tag in ("h2", "figcaption"):
      self._text = [""]
    elif tag in ("br", "small", "span"):
      self._text.append("")
    elif tag == "figure":
      self.figures.append(Figure())
    elif tag == "img":
      self.figures[-1].name = self._name("panel", self.figures)
      self.figures[-1].png = base64.b64decode(given["src"].partition(",")[2])
    elif given.get("id", "").endswith(_FIRST_ID) and self.figures:
      self.figures[-1].name = given["id"].removesuffix(_FIRST_ID)

  def handle_data(self, data):
    self._text[-1] += data

  def handle_endtag(self, tag):
    if tag == "h2":
      self._title = self._text[0]
    elif tag == "figcaption":
      self.figures[-1].caption = self._text
    if tag in ("h2", "th", "td", "figcaption"):
      self._text = [""]


def read(page: str) -> Reader:
  """The tables and figures of a page of `report.render`."""
  reader = Reader()
  reader.feed(page)
  reader.close()
  return reader


def _heads(table: Table) -> list[Text]:
  """One per column; what stands over several is part of each."""
  width = sum(cell.width for cell in table.head[0])
  found: list[list[Cell]] = [[] for _ in range(width)]
  for number, row in enumerate(table.head):
    free = [
      x for x in found if sum(cell.height for cell in x) == number
    ]  # no cell from above reaches into this row
    cells = [cell for cell in row for _ in range(cell.width)]
    for column, cell in zip(free, cells, strict=True):
      column.append(cell)
  return [
    [": ".join(cell.text[0] for cell in x), *x[-1].text[1:]] for x in found
  ]


def _parts(head: Text, text: Text) -> Iterator[tuple[str, str]]:
  """(title, value) of all that one cell says, in columns of a CSV."""
  title, main = head[0], text[0]
  if match := _UNDER.fullmatch(main):
    yield from _named(title, match)
  elif " / " in title and " / " in main:
    yield from zip(title.split(" / "), main.split(" / "), strict=True)
  else:
    yield title, main
  for small in text[1:]:
    if match := _UNDER.fullmatch(small) or _RANGE.fullmatch(small):
      yield from _named(title, match)
    else:
      parts = zip(head[1].split(" / "), small.split(" / "), strict=True)
      yield from ((f"{title} {part}", value) for part, value in parts)


def _named(title: str, match: re.Match) -> Iterator[tuple[str, str]]:
  for part, value in match.groupdict().items():
    if value is not None:
      yield f"{title} {part.replace('_', ' ')}", value


def _columns(
  head: Text, texts: Sequence[Text]
) -> Iterator[tuple[str, list[str | None]]]:
  """(title, values) of the columns of a CSV that one of the page becomes."""
  missing = ("", exhibit.MISSING)
  found = [
    {title: x for title, x in _parts(head, text) if x not in missing}
    for text in texts
  ]
  for title in dict.fromkeys(x for row in found for x in row) or [head[0]]:
    values = [row.get(title) for row in found]
    shown = [x for x in values if x is not None]
    if shown and all(re.fullmatch(r"[-+.\d]+%", x) for x in shown):
      title += " (%)"
      values = [x and x.removesuffix("%") for x in values]
    yield title, values


def _csv(columns: Sequence[str], rows: Sequence[Sequence[exhibit.Value]]):
  titles = [exhibit.Column(title) for title in columns]
  return exhibit.to_csv(exhibit.Exhibit("", "", "", "", titles, rows))


def to_csv(table: Table) -> str:
  """One number or one word per cell; what is missing is empty."""
  columns = [
    column
    for head, cells in zip(_heads(table), zip(*table.body), strict=True)
    for column in _columns(head, [cell.text for cell in cells])
  ]
  titles, values = zip(*columns)
  return _csv(titles, list(zip(*values, strict=True)))


def _line(text: Text) -> str:
  """61.4% [58.8, 63.8]; 0.97 (0.81 / 1.00)"""
  main, *small = text
  return " ".join([main, *(x if x[:1] == "[" else f"({x})" for x in small)])


def _latex_row(row: Sequence[Cell]) -> str:
  shade = "\\rowcolor[gray]{0.93} " if row[0].kind == "same" else ""
  marks = {"best": "\\textbf{%s}", "bad": "\\textcolor{red}{%s}"}
  return shade + " & ".join(
    marks.get(cell.kind, "%s") % exhibit.latex_text(_line(cell.text))
    for cell in row
  )


def to_latex(table: Table) -> str:
  """The cells of the page, intervals beside their numbers, marks as there."""
  sides = "".join(
    "l" if i == 0 or all(x.kind == "text" for x in cells) else "r"
    for i, cells in enumerate(zip(*table.body))
  )
  return "% needs \\usepackage[table]{xcolor}\n" + exhibit.latex_table(
    table.name,
    table.title,
    table.caption,
    sides,
    [_line(head) for head in _heads(table)],
    [_latex_row(row) for row in table.body],
  )


def files(page: str, drawings: canvas.Drawn) -> dict[str, bytes]:
  """Path below the page's folder -> content.

  Args:
    page: of `report.render`.
    drawings: what became its SVGs.
  """
  found = read(page)
  content: dict[str, bytes] = {}
  for table in found.tables:
    content[f"tables/{table.name}.csv"] = to_csv(table).encode()
    content[f"tables/{table.name}.tex"] = to_latex(table).encode()
  for figure in found.figures:
    if figure.png:
      content[f"figures/{figure.name}.png"] = figure.png
      continue
    drawing, svg = drawings[figure.name]
    content[f"figures/{figure.name}.svg"] = svg.encode()
    content[f"figures/{figure.name}.png"] = drawing.png()
  if found.figures:
    # A figure's title is on the page, not in the figure.
    rows = [[x.name, *x.caption, None][:3] for x in found.figures]
    captions = _csv(["figure", "title", "subtitle"], rows)
    content[CAPTIONS] = captions.encode()
  return content
