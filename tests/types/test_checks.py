"""Errors of values that users give name the value and what is valid."""

import numpy as np
import pytest

from xlrm.types import checks


@pytest.mark.parametrize(
  ("check", "message"),
  [
    (lambda: checks.at_least("n", 0, 1), "n 0 is below 1"),
    (lambda: checks.at_least("factor", 0.5, 1.5), "factor 0.5 is below 1.5"),
    (lambda: checks.at_least("seed", -1, 0), "seed -1 is negative"),
    (lambda: checks.at_least("n", float("nan"), 1), "n nan is below 1"),
    (lambda: checks.positive("scale", 0.0), "scale 0.0 is not positive"),
    (lambda: checks.positive("scale", float("nan")), "scale nan is not"),
    (lambda: checks.fraction("share", 1.1), r"share 1.1 is not in \[0, 1\]"),
    (
      lambda: checks.fractions("a rating", np.array([0.0, 1.0, -2.0, 3.0])),
      r"a rating is -2.0, not in \[0, 1\]",
    ),
    (
      lambda: checks.fractions("a rating", np.array([[0.5, np.nan]])),
      r"a rating is nan, not in \[0, 1\]",
    ),
    (
      lambda: checks.one_of("method", "pp", ["best_of_n", "ppo"]),
      r"method 'pp' is none of best_of_n, ppo; did you mean 'ppo'\?",
    ),
    (
      lambda: checks.one_of("mode", "qq", ("min", "max")),
      "mode 'qq' is none of min, max$",
    ),
  ],
)
def test_what_is_not_valid_is_named(check, message):
  with pytest.raises(ValueError, match=f"^{message}"):
    check()


def test_limits_themselves_are_valid():
  checks.at_least("n", 1, 1)
  checks.fraction("share", 0)
  checks.fractions("a rating", np.array([[0.0, 1.0]]))
  checks.fractions("a rating", np.array([]))
  checks.positive("scale", 1e-300)
  checks.one_of("mode", "min", ("min", "max"))
