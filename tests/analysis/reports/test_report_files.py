"""Files beside the page of the report say what it says, number by number."""

import csv
import dataclasses
import html
import io
import re

import pytest

from xlrm.analysis.exhibits import canvas
from xlrm.analysis.exhibits import exhibit
from xlrm.analysis.exhibits import markup
from xlrm.analysis.reports import report
from xlrm.analysis.reports import report_files

PNG = b"\x89PNG\r\n\x1a\n of a run"


@pytest.fixture(scope="module")
def page(inputs):
  """Two seeds, so that cells have a second interval, and a panel."""
  two = [dataclasses.replace(x, seed=1) for x in inputs.records]
  return report.render(
    dataclasses.replace(
      inputs,
      records=[*inputs.records, *two],
      panels={"PPO en \u2192 es": PNG, "PPO de \u2192 es": PNG},
      pool_curves={},
      training={},
    )
  )


def rows_of(text):
  return list(csv.reader(io.StringIO(text)))


def words(text):
  """All numbers and words, without what only parts them."""
  found = re.findall(r"[^\s\[\],;:%/()&\u2013]+", text)
  return [x for x in found if x not in ("seeds", "to", "=", "n")]


def shown(page):
  """Of every table, of every row of its body: its text."""
  for table in re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL):
    yield [
      html.unescape(re.sub(r"<[^>]+>", " ", row))
      for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]


def test_csv_says_what_the_page_says(page):
  tables = report_files.read(page).tables
  for table, expected in zip(tables, shown(page), strict=True):
    head, *body = rows_of(report_files.to_csv(table))
    assert len(set(head)) == len(head)
    assert [words(" ".join(row)) for row in body] == list(map(words, expected))


def test_a_column_with_one_number_holds_numbers_alone(page):
  words_alone = ("target", "on", "policy", "judge", "best source", "sources")
  for table in report_files.read(page).tables:
    head, *body = rows_of(report_files.to_csv(table))
    for title, values in zip(head[1:], list(zip(*body))[1:]):
      texts = [x for x in values if x and not re.fullmatch(r"[-+\d.e]+", x)]
      named = title in (*words_alone, "source", "recommended", "method")
      assert not texts or named or "\u2192" in title, (table.name, title)


def test_accuracy_is_that_of_the_inputs(page, inputs):
  table = {x.name: x for x in report_files.read(page).tables}["accuracy"]
  found = list(csv.DictReader(io.StringIO(report_files.to_csv(table))))
  for row, expected in zip(found, inputs.accuracy, strict=True):
    assert int(row["n"]) == expected.n
    for title, value in (
      ("accuracy (%)", expected.accuracy),
      ("95% interval low", expected.low),
      ("95% interval high", expected.high),
      ("majority (%)", expected.majority),
    ):
      assert float(row[title]) == pytest.approx(100 * value, abs=0.051)


def test_latex_says_what_the_page_says(page):
  tables = report_files.read(page).tables
  for table, expected in zip(tables, shown(page), strict=True):
    latex = report_files.to_latex(table)
    body = latex[latex.index("\\midrule") : latex.index("\\bottomrule")]
    rows = body.splitlines()[1:]
    sides = re.search(r"\\begin\{tabular\}\{([lr]+)\}", latex)[1]
    assert len(rows) == len(expected)
    for row, text in zip(rows, expected):
      assert row.count(" & ") == len(sides) - 1
      numbers = re.findall(r"\d[\d.]*", re.sub(r"\\rowcolor\S+", "", row))
      assert numbers == re.findall(r"\d[\d.]*", text)
    assert f"\\label{{tab:{table.name}}}" in latex
    assert latex.count("{") - latex.count("\\{") == (
      latex.count("}") - latex.count("\\}")
    )


def made(caption, head, rows):
  section = markup.section("x", "R&D", markup.table(caption, head, rows))
  return report_files.read(section).tables[0]


def test_a_cell_becomes_its_numbers_and_marks():
  head = (
    '<tr><th rowspan="2">who</th><th colspan="2">50% of a_b</th></tr>'
    "<tr><th>rate</th><th>mean<br>first / second</th></tr>"
  )
  rows = [
    markup.row(
      "<i> & {x}",
      [
        markup.cell("61.4%", "[58.8, 63.8]; seeds [-inf, inf]", "best"),
        markup.cell("0.97", "0.81 / \u2013"),
      ],
      "same",
    ),
    markup.row("y", [markup.cell("\u2013"), markup.cell("1", kind="bad")]),
  ]
  table = made("a_b", head, rows)
  assert rows_of(report_files.to_csv(table)) == [
    [
      "who",
      "50% of a_b: rate (%)",
      "50% of a_b: rate low",
      "50% of a_b: rate high",
      "50% of a_b: rate seeds low",
      "50% of a_b: rate seeds high",
      "50% of a_b: mean",
      "50% of a_b: mean first",
    ],
    ["<i> & {x}", "61.4", "58.8", "63.8", "-inf", "inf", "0.97", "0.81"],
    ["y", "", "", "", "", "", "1", ""],
  ]
  latex = report_files.to_latex(table)
  assert (
    r"\rowcolor[gray]{0.93} <i> \& \{x\} & \textbf{61.4\% [58.8, 63.8]; seeds "
    r"[-inf, inf]} & 0.97 (0.81 / --) \\"
  ) in latex
  assert r"y & -- & \textcolor{red}{1} \\" in latex
  assert r"50\% of a\_b: mean (first / second)" in latex
  assert r"\caption{R\&D. a\_b.}" in latex


def test_a_panel_is_the_picture_that_the_run_made(page):
  found = report_files.read(page).figures
  assert len([x for x in found if not x.png]) == page.count("<svg ")
  panels = [x for x in found if x.png]
  assert [x.name for x in panels] == ["panel", "panel2"]
  assert [x.png for x in panels] == [PNG, PNG]
  start = page.index("<figure><figcaption>PPO en")
  alone = page[start : page.index("</figure>", start)] + "</figure>"
  title = "PPO en \u2192 es: the panel against reward hacking"
  assert report_files.files(alone, {}) == {
    "figures/panel.png": PNG,
    report_files.CAPTIONS: f"figure,title,subtitle\npanel,{title},\n".encode(),
  }


def test_drawings_are_told_apart_by_who_asks():
  def paint(axes):
    axes.plot([0, 1], [0, 1])

  outside = canvas.Drawing(paint, "outside", 1.0, 1.0)
  inside = canvas.Drawing(paint, "inside", 1.0, 1.0)
  outside.svg()
  with canvas.drawn() as found:
    svg = inside.svg()
  outside.svg()
  assert found == {"inside": (inside, svg)}


def test_files_of_an_earlier_page_do_not_stay(study, tmp_path):
  for name in ("tables/gone.csv", "figures/gone.png", "figures/mine.txt"):
    exhibit.write(tmp_path, {name: b"old"})
  records = [
    dataclasses.replace(x, scores={"gold": 0.5}) for x in study.make_records(3)
  ]
  content = report.write(tmp_path, study.make_small_inputs(records=records))
  files = {x.relative_to(tmp_path).as_posix() for x in tmp_path.rglob("*.*")}
  assert files == {*content, "figures/mine.txt"}
  head, *rows = rows_of(content[report_files.CAPTIONS].decode())
  assert head == ["figure", "title", "subtitle"]
  for name, title, _ in rows:
    assert title and f"figures/{name}.svg" in content
    assert f"figures/{name}.png" in content
