"""Small configurables, which say what they were called with."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import threading
from typing import Any


def total(values: Sequence[float]) -> float:
  return sum(values)


@dataclasses.dataclass(frozen=True)
class Inner:
  size: int = 1
  name: str = "a"


@dataclasses.dataclass(frozen=True)
class Outer:
  inner: Inner = Inner()
  weight: float = 0.5
  combine: Callable[..., float] = total
  tags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  _lock: Any = dataclasses.field(
    default_factory=threading.Lock, compare=False, repr=False
  )


class Opaque:
  """Its repr holds an address."""


OPAQUE = Opaque()


def rate(base: float, factor: float = 2.0) -> float:
  return base * factor


def sizes(first: int = 3, **others: int) -> dict[str, int]:
  return {"first": first, **others}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
  """A job whose run tells what it was given."""

  model_dir: str | None = None
  outer: Outer = Outer()
  inner: Inner = Inner()
  others: Sequence[Inner] = ()
  optimizer: float | None = None
  value_optimizer: float | None = None
  sizes: Mapping[str, int] | None = None
  title: str = "toy"
  opaque: Opaque = OPAQUE

  def plan(self, devices: str | None = None) -> str:
    return f"a toy's plan for {devices}"

  def run(self) -> dict[str, Any]:
    return dict(vars(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failing:
  source: float

  def __post_init__(self):
    raise ValueError(f"no such source {self.source}")

  def run(self) -> None:
    raise AssertionError("it was never made")


NAMES = {
  "toy.run": "toy_jobs:Run",
  "toy.failing": "toy_jobs:Failing",
  "Outer": "toy_jobs:Outer",
  "Inner": "toy_jobs:Inner",
  "total": "toy_jobs:total",
  "rate": "toy_jobs:rate",
  "sizes": "toy_jobs:sizes",
}
