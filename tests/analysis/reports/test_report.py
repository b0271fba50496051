"""The report: complete, self-contained, the same bytes, inert."""

import collections
import dataclasses
import html.parser
import os
import pathlib
import re
import subprocess
import sys

import pytest

from xlrm.analysis import report_inputs
from xlrm.analysis.reports import models_section
from xlrm.analysis.reports import outputs_section
from xlrm.analysis.reports import report

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Reader(html.parser.HTMLParser):
  """Checks nesting; collects ids, attributes and tags."""

  def __init__(self):
    super().__init__()
    self.stack, self.tags, self.attributes = [], [], []

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += [(tag, *pair) for pair in attrs]
    if tag not in VOID:
      self.stack.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += [(tag, *pair) for pair in attrs]

  def handle_endtag(self, tag):
    assert self.stack.pop() == tag


def parse(page):
  reader = Reader()
  reader.feed(page)
  reader.close()
  assert reader.stack == []
  return reader


@pytest.fixture(scope="module")
def content(inputs):
  return report.files(inputs)


@pytest.fixture(scope="module")
def page(content):
  return content[report.PAGE].decode()


SECTIONS = (
  "what",
  "matrix",
  "sources",
  "curves",
  "ppo",
  "divergence",
  "judges",
  "outputs",
  "accuracy",
  "generalisation",
  "faults",
  "fidelity",
  "training",
  "expectations",
  "again",
)


def test_every_section_is_there_and_linked(page):
  for name in SECTIONS:
    assert f'<section id="{name}"' in page
    assert f'href="#{name}"' in page


def test_page_is_well_formed_and_ids_are_unique(page):
  reader = parse(page)
  ids = [value for _, name, value in reader.attributes if name == "id"]
  twice = [x for x, count in collections.Counter(ids).items() if count > 1]
  assert twice == []
  for _, name, value in reader.attributes:
    if name in ("href", "xlink:href"):
      assert value.startswith("#") and value[1:] in ids


def test_page_loads_nothing_and_runs_nothing(page):
  reader = parse(page)
  assert not {"script", "link", "iframe", "object"} & set(reader.tags)
  for _, name, value in reader.attributes:
    assert not name.startswith("on")
    assert name not in ("src", "action", "data")
    if name.startswith("xmlns"):
      continue
    assert "http:" not in (value or "") and "https:" not in (value or "")
  assert "url(http" not in page and "@import" not in page


def test_g27_page_and_files_have_the_same_bytes_in_another_process(
  content, tmp_path
):
  script = (
    "import runpy, sys; from xlrm.analysis.reports import report\n"
    "study = runpy.run_path(sys.argv[1])\n"
    "report.write(sys.argv[2], study['make_inputs']())\n"
  )
  out = tmp_path / "out"
  # A reader's own settings, another hash seed, another folder
  (tmp_path / "matplotlibrc").write_text("font.size: 20\nlines.linewidth: 9\n")
  here = pathlib.Path(__file__)
  environment = {
    **os.environ,
    "PYTHONHASHSEED": "7",
    "PYTHONPATH": str(here.parents[3]),
    "MPLCONFIGDIR": str(tmp_path),
  }
  study = here.parents[1] / "study.py"
  subprocess.run(
    [sys.executable, "-c", script, str(study), str(out)],
    check=True,
    env=environment,
    cwd=tmp_path,
  )
  written = {
    path.relative_to(out).as_posix(): path.read_bytes()
    for path in out.rglob("*")
    if path.is_file()
  }
  assert written == content
  for name, data in content.items():
    assert not re.search(rb"20\d\d-\d\d-\d\d", data), name


def test_every_table_and_figure_has_its_files(content, page):
  assert list(content)[-1] == report.PAGE
  kinds = collections.Counter(pathlib.PurePath(x).suffix for x in content)
  tables, figures = page.count("<table"), page.count("<figure")
  assert tables > 9 and figures > 25
  assert kinds == {
    ".csv": tables + 1,  # captions of the figures
    ".tex": tables,
    ".svg": figures,
    ".png": figures,
    ".html": 1,
  }
  for name, data in content.items():
    if name.endswith(".svg"):
      assert data.decode() in page
    elif name.endswith(".png"):
      assert data[:8] == b"\x89PNG\r\n\x1a\n"


def test_hostile_text_is_inert(study):
  evil = '</p><script>alert(1)</script><img src=x onerror="x">$\\frac{'
  records = [
    dataclasses.replace(
      r, output=evil + str(i), input=evil, reference=evil, study=evil
    )
    for i, r in enumerate(study.make_records(4))
  ]
  page = report.render(
    study.make_small_inputs(
      title=evil,
      records=records,
      facts={evil: evil},
      notes=(evil,),
      configs={evil: evil},
      versions={evil: evil},
      training={f"SFT {evil}": study.make_training()["SFT es"]},
    )
  )
  reader = parse(page)
  assert "script" not in reader.tags and "img" not in reader.tags
  assert "&lt;script&gt;" in page


def test_the_study_is_called_by_its_name(page, study):
  assert "xlrm report &middot; demo<" in page  # as its records say
  inputs = study.make_small_inputs(
    study="betas & co", records=study.make_records(2), num_examples=0
  )
  assert "xlrm report &middot; betas &amp; co<" in report.render(inputs)


def test_runs_of_one_kind_share_a_figure(study):
  history = study.make_training()["SFT es"]
  labels = ("SFT es", "SFT, seed 1 es", "PPO en \u2192 es", "PPO de \u2192 es")
  labels += ("PPO, seed 1 en \u2192 es", "alone")
  section = models_section.training(dict.fromkeys(labels, history))
  titles = re.findall("<figcaption>([^<]*)<span>training loss", section)
  assert titles == ["SFT", "SFT, seed 1", "PPO", "PPO, seed 1", "run"]
  ends = re.findall('aria-label="training loss at the end: ([^"]*)"', section)
  lines = [re.findall(r"([^;]+?) [\d.]+(?:; |$)", x) for x in ends]
  assert lines[2] == ["English \u2192 Spanish", "German \u2192 Spanish"]
  assert lines[0] == lines[1] == ["Spanish"] and lines[4] == ["alone"]


def test_outputs_carry_their_language(page):
  found = set(re.findall(r'<p lang="(\w+)" dir="auto">', page))
  assert found == {"es", "ru"}
  assert '<html lang="en">' in page


def test_g10_accuracy_stands_beside_its_baselines(page, inputs):
  table = page[page.index('<section id="accuracy"') :]
  table = table[: table.index("</section>")]
  for word in ("majority", "length", "accuracy", "95% interval"):
    assert f">{word}</th>" in table
  for row in inputs.accuracy:
    pattern = (
      rf"{row.n}</td><td[^>]*>{100 * row.accuracy:.1f}%</td><td>.*?</td>"
      rf"<td>{100 * row.majority:.1f}%</td><td>{100 * row.length:.1f}%</td>"
    )
    assert re.search(pattern, table)


def test_shortfalls_stand_at_the_top(page, study):
  assert page.index("expectations missed") < page.index('<section id="what"')
  goal = report_inputs.Expectations(min_prompts=1, flat_change=1.0)
  fine = study.make_inputs(
    records=study.make_records(100, lift=0.35), expectations=goal
  )
  text = report.render(fine)
  assert "7 met, 0 missed" in text and "expectations missed" not in text


def test_a_study_without_gold_judge_and_without_extras(study):
  records = [
    dataclasses.replace(r, scores={"chrf": r.scores["gold"], "rouge_l": 0.5})
    for r in study.make_records(10)
  ]
  page = report.render(
    report_inputs.ReportInputs(
      title="realtext", records=records, expectations=None
    )
  )
  parse(page)
  for name in ("what", "curves", "accuracy", "faults", "training", "again"):
    assert f'id="{name}"' not in page
  assert "chrF against the reference" in page and "gold" not in page


def test_records_without_any_score_still_make_a_page(study):
  records = [
    dataclasses.replace(r, scores={}, output="", reference="")
    for r in study.make_records(3)
  ]
  page = report.render(study.make_small_inputs(records=records))
  parse(page)
  assert "Not measured." in page


def test_examples_are_chosen_by_order_not_by_score(inputs):
  shown = outputs_section.chosen_examples(inputs.records, 12)
  assert len(shown) == 12
  pairs = collections.Counter((r.source, r.target) for r in shown)
  assert set(pairs.values()) == {3} and len(pairs) == 4
  documents = [(r.target, r.example_id) for r in shown]
  assert len(set(documents)) == 12
  flipped = [
    dataclasses.replace(r, scores={"gold": 1 - r.scores["gold"]})
    for r in inputs.records
  ]
  again = outputs_section.chosen_examples(flipped, 12)
  assert [r.id for r in again] == [r.id for r in shown]


def test_long_documents_open_on_demand(study):
  records = [
    dataclasses.replace(r, input="palabra " * 500)
    for r in study.make_records(3)
  ]
  page = report.render(study.make_small_inputs(records=records, num_examples=2))
  assert page.count("whole document") == 2


def test_g28_nothing_half_written(study, tmp_path):
  path = tmp_path / report.PAGE
  path.write_text("before")
  mixed = study.make_records(2)
  mixed[0] = dataclasses.replace(mixed[0], study="another")
  with pytest.raises(ValueError, match="2 studies"):
    report.write(tmp_path, study.make_inputs(records=mixed))
  assert path.read_text() == "before"
  assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"title": ""}, "no title"),
    ({"records": []}, "no records"),
    ({"num_examples": -1}, "num_examples -1"),
  ],
)
def test_g28_inputs_without_content_are_refused(study, changes, message):
  with pytest.raises(ValueError, match=message):
    study.make_inputs(**changes)


def test_analysis_imports_without_matplotlib():
  script = (
    "import sys; sys.modules['matplotlib'] = None\n"
    "from xlrm.analysis.reports import report\n"
  )
  root = str(pathlib.Path(__file__).parents[3])
  environment = {**os.environ, "PYTHONPATH": root}
  subprocess.run([sys.executable, "-c", script], check=True, env=environment)


def test_intervals_between_seeds_stand_beside_those_over_prompts(inputs, page):
  assert "seeds [" not in page and "between 2" not in page
  two = [dataclasses.replace(r, seed=1) for r in inputs.records]
  both = dataclasses.replace(inputs, records=[*inputs.records, *two])
  found = report.render(both)
  pairs, judges = 6, len(report_inputs.judges_of(inputs))
  pairs += 1  # PPO's
  # Over sample and greedy by every judge, and in the section on seeds.
  assert found.count("; seeds [") == pairs * judges * 2 + pairs
  assert "between 2 seeds" in found
