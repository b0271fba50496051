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


def run(
  *,
  model_dir: str | None = None,
  outer: Outer = Outer(),
  inner: Inner = Inner(),
  others: Sequence[Inner] = (),
  optimizer: float | None = None,
  value_optimizer: float | None = None,
  sizes: Mapping[str, int] | None = None,
  title: str = "toy",
  opaque: Opaque = OPAQUE,
  dry_run: bool = False,
) -> dict[str, Any]:
  if dry_run:
    print("a toy's plan")
  return {k: v for k, v in locals().items() if k != "dry_run"}


def failing(*, source: float, dry_run: bool = False) -> None:
  raise ValueError(f"no such source {source}")


NAMES = {
  "toy.run": "toy_jobs:run",
  "toy.failing": "toy_jobs:failing",
  "Outer": "toy_jobs:Outer",
  "Inner": "toy_jobs:Inner",
  "total": "toy_jobs:total",
  "rate": "toy_jobs:rate",
  "sizes": "toy_jobs:sizes",
}
