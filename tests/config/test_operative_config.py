"""The saved configuration: all that a job ran with, whatever changes later."""

import ast

import gin
import pytest
import toy_jobs

import xlrm
from xlrm.config import gin_bindings
from xlrm.config import gin_jobs
from xlrm.config import gin_statements
from xlrm.config import operative_config

SCOPED = """
RATE = 0.1
SIZE = 5
SHARED = @Inner()
toy.run:
  outer = @Outer()
  others = [@small/Inner(), %SHARED]
  optimizer = @policy/rate()
  value_optimizer = @value/rate()
Outer.inner = @Inner()
Inner.size = %SIZE
small/Inner.name = 'small'
SHARED/Inner.name = 'shared'
policy/rate.base = %RATE
value/rate.base = 0.2
value/rate.factor = 3.0
"""


def saved(job: gin_jobs.ConfiguredJob, tmp_path) -> str:
  path = tmp_path / "config.gin"
  path.write_text(job.text(), encoding="utf-8")
  return str(path)


def lines(job: gin_jobs.ConfiguredJob) -> list[str]:
  return job.text().splitlines()


def test_its_first_line_names_the_version(toy):
  assert lines(toy(""))[0].startswith(f"# xlrm {xlrm.__version__}: ")


@pytest.mark.parametrize("text", ["", SCOPED])
def test_the_saved_text_is_that_of_the_same_job(text, toy, tmp_path):
  job = toy(text)
  first = job.run()
  again = gin_jobs.load([saved(job, tmp_path)])
  assert again.bindings == job.bindings
  assert again.text() == job.text()
  assert again.run() == first


@pytest.mark.parametrize("text", ["", SCOPED])
def test_it_says_what_gin_says_afterwards(text, toy):
  """gin's operative configuration, which is empty until the job has run."""
  job = toy(text)
  job.run()
  said = gin_statements.Source("gin", gin.operative_config_str())
  found = gin_bindings.Bindings.of([said])
  assert found.parameters
  for (scope, short), values in found.parameters.items():
    name = next(x for x in toy_jobs.NAMES if x.endswith(short))
    given = job.bindings.given((scope, name))
    for parameter, value in values.items():
      own = job.bindings.parameters[given[parameter]][parameter]
      assert repr(own).replace("toy.", "") == repr(value), parameter


def test_every_default_is_there_and_what_nothing_calls_is_not(toy):
  assert lines(toy("toy.run.title = 'mine'\nX = 1\ntoy.run.sizes = {'a': %X}"))[
    2:
  ] == [
    "X = 1",
    "JOB = @toy.run",
    "# toy.run.opaque: its default, which has no form in gin: toy_jobs.Opaque",
    "toy.run:",
    "  model_dir = None",
    "  outer = @Outer()",
    "  inner = @Inner()",
    "  others = ()",
    "  optimizer = None",
    "  value_optimizer = None",
    "  sizes = {'a': %X}",
    "  title = 'mine'",
    "Outer:",
    "  inner = @Inner()",
    "  weight = 0.5",
    "  combine = @total",
    "  tags = {}",
    "Inner:",
    "  size = 1",
    "  name = 'a'",
  ]


def test_scopes_keep_what_is_bound_in_them(toys, tmp_path):
  (tmp_path / "base.gin").write_text("rate.base = 9.0\nJOB = @toy.run\n")
  path = tmp_path / "mine.gin"
  path.write_text(f"include 'base.gin'\n{SCOPED}")
  text = gin_jobs.load([str(path)]).text()
  # No call takes the base that is bound without a scope.
  assert (
    "\nrate:\n  factor = 2.0\n"
    "policy/rate:\n  base = %RATE\n"
    "value/rate:\n  base = 0.2\n  factor = 3.0\n"
  ) in text
  assert "\nInner:\n  size = %SIZE\n  name = 'a'\n" in text
  assert "\nSHARED/Inner:\n  name = 'shared'\n" in text


def test_what_an_included_file_binds_and_nothing_calls_is_left_out(
  toys, tmp_path
):
  (tmp_path / "base.gin").write_text(
    "JOB = @toy.run\ntoy.run.optimizer = @rate()\nrate.base = %RATE\nRATE = 1.0"
  )
  (tmp_path / "mine.gin").write_text(
    "include 'base.gin'\ntoy.run.optimizer = 3.0\n"
  )
  job = gin_jobs.load([str(tmp_path / "mine.gin")])
  assert "rate" not in job.text() and "RATE" not in job.text()
  assert job.run()["optimizer"] == 3.0


def change_defaults(monkeypatch) -> None:
  """As a later version of xlrm might."""
  monkeypatch.setattr(toy_jobs.Inner.__init__, "__defaults__", (70, "changed"))
  monkeypatch.setattr(toy_jobs.rate, "__defaults__", (20.0,))
  changed = {
    "title": "changed",
    "optimizer": 4.0,
    "others": (toy_jobs.Inner(),),
    "outer": toy_jobs.Outer(weight=5.0, combine=max),
    "inner": toy_jobs.Inner(3),
  }
  for name, value in changed.items():
    monkeypatch.setitem(toy_jobs.Run.__init__.__kwdefaults__, name, value)


def test_a_default_that_changes_later_does_not_change_a_rerun(
  toy, tmp_path, monkeypatch
):
  text = "toy.run.value_optimizer = @rate()\nrate.base = 1.5\n"
  job = toy(text)
  first, path = job.run(), saved(job, tmp_path)
  assert first["title"] == "toy" and first["value_optimizer"] == 3.0
  change_defaults(monkeypatch)
  assert gin_jobs.load([path]).run() == first
  assert gin_jobs.load([path]).text() == job.text()
  # The file that it was saved from has the new ones.
  changed = toy(text).run()
  assert changed["title"] == "changed" and changed["value_optimizer"] == 30.0
  assert changed["inner"].name == "changed"


def test_a_default_keeps_its_values_beside_bindings_of_its_name(
  toy, tmp_path, monkeypatch
):
  """`@Inner()` would take what is bound for another call."""
  job = toy("toy.run.others = [@Inner()]\nInner.size = 9\n")
  first = job.run()
  assert first["others"] == [toy_jobs.Inner(9)]
  assert first["inner"] == first["outer"].inner == toy_jobs.Inner(1)
  assert "  inner = @toy_run_inner/Inner()" in lines(job)
  path = saved(job, tmp_path)
  change_defaults(monkeypatch)
  again = gin_jobs.load([path])
  assert again.text() == job.text() and again.run() == first


def test_two_defaults_of_one_name_and_different_values(toy, monkeypatch):
  two = {"inner": toy_jobs.Inner(2), "others": (toy_jobs.Inner(3, "c"),) * 2}
  for name, value in two.items():
    monkeypatch.setitem(toy_jobs.Run.__init__.__kwdefaults__, name, value)
  job = toy("")
  made = job.run()
  assert {x: made[x] for x in two} == two
  assert made["outer"] == toy_jobs.Outer()
  # A scope that is in use is no place for a default.
  text = "toy.run.sizes = @toy_run_inner/sizes()\ntoy.run.others = [@Inner()]\n"
  job = toy(text)
  made = job.run()
  assert made["inner"] == toy_jobs.Inner(2)
  assert made["others"] == [toy_jobs.Inner()]
  assert "  inner = @toy_run_inner_/Inner()" in lines(job)


def test_a_default_with_no_form_in_gin_remains_the_default(toy, monkeypatch):
  outer = toy_jobs.Outer(combine=lambda x: 0.0)
  monkeypatch.setitem(toy_jobs.Run.__init__.__kwdefaults__, "outer", outer)
  monkeypatch.setitem(
    toy_jobs.Run.__init__.__kwdefaults__, "title", float("nan")
  )
  job = toy("")
  made = job.run()
  assert made["outer"] is outer and made["opaque"] is toy_jobs.OPAQUE
  assert " at 0x" not in job.text()
  assert "# toy.run.title: its default, which has no form in gin: nan" in lines(
    job
  )
  assert "Outer:" not in lines(job)


@pytest.mark.parametrize(
  "value",
  [
    *(1, -2.5, 1e-05, 1e22, True, None, "a'b\"c\\d\n#@%é", b"x", (), [], {}),
    *((1,), ("a", (2, [3])), {"k": {1: (None, -0.0)}}, "word " * 40),
    {"long": ["word " * 20, "x" * 100], "other": ("y" * 70, "z" * 20)},
  ],
)
def test_values_are_read_as_they_were_written(
  value, toy, tmp_path, monkeypatch
):
  monkeypatch.setitem(toy_jobs.Run.__init__.__kwdefaults__, "sizes", value)
  job = toy("")
  again = gin_jobs.load([saved(job, tmp_path)])
  (bound,) = (
    x.value
    for x in gin_statements.Source("", job.text()).bindings
    if x.parameter == "sizes"
  )
  assert repr(bound) == repr(value)
  assert repr(again.run()["sizes"]) == repr(value)


def test_the_order_of_a_mapping_stays(toy):
  text = "toy.run.sizes = {'z': 1, 'a': 2, 'm': {'y': 1, 'b': 2}}"
  (line,) = (x for x in lines(toy(text)) if "'z'" in x)
  assert line == "  sizes = {'z': 1, 'a': 2, 'm': {'y': 1, 'b': 2}}"


def test_further_parameters_come_after_those_of_the_signature(toy, tmp_path):
  job = toy("toy.run.sizes = @sizes()\nsizes.c = 1\nsizes.b = 2\nsizes.first=4")
  text = "\n".join(lines(job))
  assert "sizes:\n  first = 4\n  c = 1\n  b = 2" in text
  assert gin_jobs.load([saved(job, tmp_path)]).text() == job.text()


def test_imports_are_kept_once(toys, tmp_path):
  path = tmp_path / "a.gin"
  path.write_text("import json\nfrom os import path\nJOB = @toy.run\n")
  (tmp_path / "b.gin").write_text("import json\n")
  job = gin_jobs.load([str(path), str(tmp_path / "b.gin")])
  assert lines(job)[2:4] == ["import json", "from os import path"]
  assert gin_jobs.load([saved(job, tmp_path)]).text() == job.text()


def test_long_values_stay_within_the_width(toy):
  text = f"toy.run.title = {'word ' * 60!r}\ntoy.run.sizes = " + repr(
    {f"number_{i}": i for i in range(30)}
  )
  job = toy(text)
  assert max(map(len, lines(job))) <= operative_config.WIDTH
  assert ast.literal_eval(repr(job.run()["title"])) == "word " * 60
