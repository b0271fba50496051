"""What gin gives to those that it calls."""

import gin
import pytest
import toy_jobs

from xlrm.config import gin_registration
from xlrm.config import gin_statements


def test_gin_has_what_is_bound_and_nothing_of_before(toy):
  toy("toy.run.title = 'first'\nX = 3\ntoy.run.sizes = {'a': %X}")
  toy("toy.run.inner = @small/Inner()\nsmall/Inner.size = 7")
  assert gin.query_parameter("toy.run.title") == "toy"  # the default
  assert gin.query_parameter("small/Inner.size") == 7
  with pytest.raises(ValueError, match="no value bound|no bound"):
    gin.query_parameter("X/gin.macro.value")


def test_a_function_without_parameters_is_passed_as_it_is(toy):
  bound = "toy.run.outer = @Outer()\nOuter.combine = @total\n"
  job = toy(f"{bound}toy.run.opaque = @rate\nrate.base = 4.0")
  made = job.run()
  assert made["outer"].combine is toy_jobs.total
  # One that has is called with them.
  assert made["opaque"]() == 8.0


@pytest.mark.parametrize("kind", [ValueError, FileNotFoundError, KeyError])
def test_undecorated_is_what_was_raised(kind):
  first = kind("what is wrong")

  def fail(x=None):
    raise first

  with gin.config.interactive_mode():
    call = gin.external_configurable(fail, "outer_call", module="toys")
    gin.external_configurable(fail, "inner_call", module="toys")
  gin.clear_config()
  gin.parse_config("toys.outer_call.x = @toys.inner_call()")
  with pytest.raises(kind) as caught:
    call()
  assert caught.value is not first
  assert str(caught.value).count("In call to configurable") == 1
  assert gin_registration.undecorated(caught.value) is first


@pytest.mark.parametrize("kind", [ValueError, gin_statements.ConfigError])
def test_an_error_with_a_cause_of_its_own_is_itself(kind):
  own = kind("what is wrong")
  with pytest.raises(ValueError) as caught:
    try:
      raise ValueError("its cause")
    except ValueError as error:
      raise own from error
  assert gin_registration.undecorated(caught.value) is own
  assert gin_registration.undecorated(None) is None
