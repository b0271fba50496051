"""Checks of values that users give; errors name the value and what is valid."""

from collections.abc import Collection
import difflib

import numpy as np


def at_least(name: str, value: float, minimum: float) -> None:
  """Raises ValueError if a number is below a minimum, or is NaN."""
  if not value >= minimum:
    said = "is negative" if minimum == 0 else f"is below {minimum}"
    raise ValueError(f"{name} {value} {said}")


def positive(name: str, value: float) -> None:
  """Raises ValueError if a number is not above 0."""
  if not value > 0:
    raise ValueError(f"{name} {value} is not positive")


def fraction(name: str, value: float) -> None:
  """Raises ValueError if a number is not in [0, 1]."""
  if not 0 <= value <= 1:
    raise ValueError(f"{name} {value} is not in [0, 1]")


def fractions(what: str, values: np.ndarray) -> None:
  """Raises ValueError, with the first, if a number is not in [0, 1].

  Args:
    what: one of the numbers is: 'a rating'.
    values: of any shape.
  """
  wrong = values[~((values >= 0) & (values <= 1))]
  if wrong.size:
    raise ValueError(f"{what} is {wrong[0]}, not in [0, 1]")


def one_of(name: str, value: str, known: Collection[str]) -> None:
  """Raises ValueError, with the nearest name, if a name is none of `known`."""
  if value not in known:
    near = difflib.get_close_matches(str(value), known, 1, 0.3)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} {value!r} is none of {', '.join(known)}{hint}")
