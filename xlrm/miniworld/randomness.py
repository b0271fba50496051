"""Random choices that are the same on every Python: only Random.random()."""

from collections.abc import Mapping, Sequence
import random
from typing import TypeVar

T = TypeVar("T")


def stream(*names: str | int) -> random.Random:
  """The generator that belongs to a path of names."""
  return random.Random("xlrm.miniworld/" + "/".join(map(str, names)))


def below(rng: random.Random, limit: int) -> int:
  """An integer in [0, limit)."""
  return int(rng.random() * limit)


def pick(rng: random.Random, items: Sequence[T]) -> T:
  """One of `items`, all equally likely."""
  return items[below(rng, len(items))]


def pick_other(rng: random.Random, items: Sequence[T], *taken: T) -> T:
  """One of `items` that is none of `taken`."""
  return pick(rng, [item for item in items if item not in taken])


def weighted(rng: random.Random, weights: Mapping[str, float]) -> str:
  """A key, drawn in proportion to its weight."""
  point = rng.random() * sum(weights.values())
  for key, weight in weights.items():
    point -= weight
    if point < 0:
      return key
  return key


def shuffled(rng: random.Random, items: Sequence[T]) -> list[T]:
  """The items in random order."""
  return sorted(items, key=lambda _: rng.random())
