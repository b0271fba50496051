"""What gin names stand for."""

import pytest
import toy_jobs

from xlrm.config import gin_statements
from xlrm.config import gin_targets
from xlrm.training import optimizers

pytestmark = pytest.mark.usefixtures("toys")


def test_every_name_is_a_function_or_class_with_parameters():
  for name in gin_targets.names():
    assert callable(gin_targets.target(name)), name
    assert "self" not in gin_targets.parameters(name)


def test_parameters_have_their_defaults():
  assert gin_targets.parameters("Outer") == {
    "inner": toy_jobs.Inner(),
    "weight": 0.5,
    "combine": toy_jobs.total,
    "tags": {},  # made anew, no mark of a factory
  }
  assert gin_targets.parameters("rate") == {
    "base": gin_targets.NO_DEFAULT,
    "factor": 2.0,
  }


def test_takes_what_a_call_would():
  assert gin_targets.takes("rate", "factor")
  assert not gin_targets.takes("rate", "others")
  assert gin_targets.takes("sizes", "any_other")
  assert gin_targets.takes("Outer", "_lock")


def test_name_of_is_the_inverse_of_target():
  assert gin_targets.name_of(toy_jobs.total) == "total"
  assert gin_targets.name_of(toy_jobs.Outer) == "Outer"
  assert gin_targets.name_of(optimizers.adamw) == "adamw"
  assert gin_targets.name_of(toy_jobs.Opaque) is None

  def total():
    """Another of that name."""

  total.__qualname__ = "total"
  assert gin_targets.name_of(total) is None
  assert gin_targets.name_of(3) is None


def test_a_host_without_seqio_is_told_what_to_do(monkeypatch):
  def missing(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name="seqio")

  monkeypatch.setattr(gin_targets.importlib, "import_module", missing)
  with pytest.raises(gin_statements.ConfigError, match=r"xlrm\[data\].*npz"):
    gin_targets.target("SeqioSource")


def test_an_unknown_parameter_names_the_nearest_and_its_line():
  source = gin_statements.Source("x.gin", "rate.base = 1\nx/rate.fcator = 3\n")
  with pytest.raises(
    gin_statements.ConfigError,
    match="x.gin:2: rate has no parameter 'fcator'; nearest: factor",
  ):
    gin_targets.check_parameters([source], {"rate"})
  gin_targets.check_parameters([source], {"sizes"})


def test_the_last_word_is_looked_at_first():
  """So that a typo there imports only what it is of."""
  sources = [
    gin_statements.Source("x.gin", "Outer.none = 1\n"),
    gin_statements.Source("command line", "rate.none = 1\n"),
  ]
  with pytest.raises(gin_statements.ConfigError, match="command line:1: rate"):
    gin_targets.check_parameters(sources, {"rate", "Outer"})
