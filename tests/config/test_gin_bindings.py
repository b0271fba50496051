"""What a job comes to, against what gin calls when it does it."""

import gin
import pytest

from xlrm.config import gin_bindings
from xlrm.config import gin_statements

NAMES = ("main", "part", "leaf")
TEXT = """
JOB = @main
SHARED = @part()
RATE = %BASE
BASE = 0.5
UNUSED = @leaf()
main:
  a = @x/part()
  b = {'k': [@x/y/part(), @part()]}
  c = %SHARED
  d = (%RATE, 1)
part.a = @leaf()
part.b = 1
x/part.b = 2
x/y/part.c = %BASE
SHARED/part.b = 3
leaf.a = 'any'
x/leaf.a = 'in x'
SHARED/leaf.b = 'in SHARED'
y/leaf.a = 'of nobody'
unreached.a = %UNUSED
"""
SOURCE = gin_statements.Source("x.gin", TEXT)


@pytest.fixture
def called() -> dict[tuple, dict]:
  """(scope, name) -> what it was given, as gin itself calls them."""
  found = {}

  def recorded(name):
    def function(a=None, b=None, c=None, d=None):
      given = {"a": a, "b": b, "c": c, "d": d}
      own = {k: v for k, v in given.items() if v is not None}
      found[tuple(gin.current_scope()), name] = own
      return name

    return function

  with gin.config.interactive_mode():
    for name in (*NAMES, "unreached"):
      gin.external_configurable(
        recorded(name), name=name, module="test_bindings"
      )
  gin.clear_config()
  gin.parse_config(TEXT)
  gin.get_configurable("test_bindings.main")()
  gin.clear_config()
  return found


def test_the_calls_and_their_parameters_are_gin_s(called):
  bindings = gin_bindings.Bindings.of([SOURCE])
  found = {}
  for call in bindings.reached.calls:
    found[call] = {
      parameter: gin_statements.replaced(
        bindings.resolved(bindings.parameters[place][parameter]),
        lambda x: x.name,  # what it returns here
      )
      for parameter, place in bindings.given(call).items()
    }
  assert len(called) == 9 and found == called


def test_only_what_some_call_takes_is_reached():
  reached = gin_bindings.Bindings.of([SOURCE]).reached
  assert list(reached.macros) == ["JOB", "BASE", "SHARED", "RATE"]
  assert (("y",), "leaf") not in reached.parameters
  assert reached.names == ["main", "part", "leaf"]
  # x hides it, and only there.
  assert reached.parameters[(), "part"]["b"] == 1


def test_later_sources_win_and_the_first_place_stays():
  sources = [
    gin_statements.Source("a", "A = 1\nB = 2\nf.x = 1\nf.y = 1\n"),
    gin_statements.Source("b", "A = %B\nf.x = 2\n"),
  ]
  bindings = gin_bindings.Bindings.of(sources)
  assert list(bindings.macros) == ["A", "B"]
  assert bindings.parameters == {((), "f"): {"x": 2, "y": 1}}
  assert bindings.resolved(bindings.macros["A"]) == 2
  assert bindings.resolved([{"k": gin_statements.Macro("A")}]) == [{"k": 2}]


@pytest.mark.parametrize(
  ("text", "job"),
  [("JOB = @main", "@main"), ("JOB = %X\nX = @main", "@main"), ("X = 1", None)],
)
def test_the_job_is_what_the_macro_names(text, job):
  found = gin_bindings.Bindings.of([gin_statements.Source("a", text)]).job
  assert (None if found is None else repr(found)) == job
