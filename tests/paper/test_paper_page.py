"""The report of the paper's numbers: complete, self-contained, same bytes."""

import csv
import io
import os
import pathlib
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from xlrm.analysis.exhibits import exhibit as exhibit_lib
from xlrm.analysis.exhibits import point_figures
from xlrm.paper import paper_claims
from xlrm.paper import paper_page
from xlrm.paper import paper_tables


@pytest.fixture(scope="module")
def content():
  return paper_page.files()


@pytest.fixture(scope="module")
def page(content):
  return content[paper_page.PAGE].decode()


def test_g27_same_bytes_in_another_process(content, tmp_path):
  script = (
    "import sys\n"
    "from xlrm.analysis.exhibits import exhibit\n"
    "from xlrm.paper import paper_page\n"
    "found = paper_page.sections()\n"
    "open('page', 'w', encoding='utf-8').write(paper_page.render(found))\n"
    "for x in sys.argv[1:]:\n"
    "  own = next(e for own in found.values() for e in own if e.name == x)\n"
    "  open(x, 'wb').write(b''.join(exhibit.files(own).values()))\n"
  )
  # A reader's own settings, another hash seed, another folder
  (tmp_path / "matplotlibrc").write_text("font.size: 20\nlines.linewidth: 9\n")
  environment = {
    **os.environ,
    "PYTHONHASHSEED": "7",
    "PYTHONPATH": str(pathlib.Path(__file__).parents[2]),
    "MPLCONFIGDIR": str(tmp_path),
  }
  names = ("table08", "wals08", "divergence", "claims")  # one of each kind
  subprocess.run(
    [sys.executable, "-c", script, *names],
    check=True,
    env=environment,
    cwd=tmp_path,
  )
  # The page holds every drawing and every number
  assert (tmp_path / "page").read_bytes() == content[paper_page.PAGE]
  for name in names:
    ours = [
      data
      for path, data in content.items()
      if pathlib.PurePath(path).stem == name
    ]
    assert (tmp_path / name).read_bytes() == b"".join(ours)


def test_page_shows_every_claim_and_every_difference(page):
  for claim in paper_claims.claims():
    assert claim.statement.stated in page and claim.computed in page
  warning = page[page.index("Where the paper differs") :].split("</div>")[0]
  assert "54A" in warning and "computed .24" in warning
  assert "1A (p = 2.4e-7)" in warning


def test_page_is_self_contained(page):
  assert "<script" not in page and "<link" not in page
  assert not re.search(r'(?:src|href)="(?!#)', page.replace("xmlns:", ""))
  assert "@import" not in page and "url(http" not in page
  ids = re.findall(r' id="([^"]+)"', page)
  assert len(ids) == len(set(ids))
  assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
  assert not re.search(r"20\d\d-\d\d-\d\d", page)


def test_every_exhibit_has_its_files(content, page):
  tables = {name for name in content if name.startswith("tables/")}
  stems = {pathlib.PurePath(name).stem for name in tables}
  assert tables == {
    f"tables/{x}.{kind}" for x in stems for kind in ("csv", "tex")
  }
  figures = {x for x in content if x.startswith("figures/")}
  drawn = {pathlib.PurePath(name).stem for name in figures}
  assert figures == {
    f"figures/{x}.{kind}" for x in drawn for kind in ("svg", "png")
  }
  assert drawn < stems and page.count("<figure") == len(drawn) >= 28
  for name in figures:
    if name.endswith("svg"):
      xml.etree.ElementTree.fromstring(content[name])
    else:
      assert content[name][:8] == b"\x89PNG\r\n\x1a\n"
      width, height = struct.unpack(">II", content[name][16:24])
      assert 600 < width < 1700 and 250 < height < 1400


def test_csv_holds_the_table_and_the_figure_its_numbers(content):
  rows = list(csv.reader(io.StringIO(content["tables/table08.csv"].decode())))
  assert rows[0][1:4] == ["German", "English", "Spanish"]
  with open(paper_tables.path(8), encoding="utf-8") as file:
    printed = [row[1:] for row in csv.reader(file)][1:]
  ours = [[float(x) for x in row[1:]] for row in rows[1:]]
  expected = [[float(x) for x in row] for row in printed]
  assert sum(ours, []) == pytest.approx(sum(expected, []))
  svg = content["figures/table08.svg"].decode()
  shown = re.findall(r">(\d\d\.\d)</text>", svg)
  assert sorted(shown) == sorted(f"{x:.1f}" for row in expected for x in row)


def test_g10_accuracy_stands_beside_its_baselines(content):
  svg = content["figures/table18.svg"].decode()
  assert ">majority</text>" in svg and ">length</text>" in svg
  assert svg.count(">baseline</text>") == 12


def exhibit(**changes):
  fields = {
    "name": "x",
    "title": "50% of a_b",
    "subtitle": "R&D",
    "shows": "<b>",
    "columns": [exhibit_lib.Column("a"), exhibit_lib.Column("b", ".1f")],
    "rows": [["p \u2192 q", 1 / 3], ["<i>", None]],
  }
  return exhibit_lib.Exhibit(**{**fields, **changes})


def test_latex_and_csv_of_a_table():
  latex = exhibit_lib.to_latex(exhibit())
  assert r"p $\rightarrow$ q & 0.3 \\" in latex
  assert r"\caption{50\% of a\_b. R\&D.}" in latex
  assert r"<i> & -- \\" in latex and latex.count("{") == latex.count("}")
  assert exhibit_lib.to_csv(exhibit()) == (
    "a,b\np \u2192 q,0.3333333333\n<i>,\n"
  )
  assert list(exhibit_lib.files(exhibit())) == ["tables/x.csv", "tables/x.tex"]


def test_text_of_a_card_is_inert():
  card = exhibit_lib.card(exhibit())
  assert "<b>" not in card and "<i>" not in card and "&lt;b&gt;" in card


def test_a_row_of_another_width_is_refused():
  with pytest.raises(ValueError, match="x: a row has 1 values for 2"):
    exhibit(rows=[["p"]])


def test_axis_numbers():
  percent = point_figures.Axis("", percent=True)
  assert [percent.number(x) for x in (0.625, 0.5)] == ["62.5%", "50%"]
  plain = point_figures.Axis("")
  assert [plain.number(x) for x in (30000, 0.01)] == ["30,000", "0.01"]
