"""Batches: where a job's data comes from, and in which order.

Examples are token arrays in memory, or in a file (see `npz_files`). Batch i is
a pure function of the examples, the seed and i, so a run continues at any step
without reading what came before, on any number of hosts.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import hashlib
from typing import Any, Protocol

import numpy as np

from xlrm.batches import converters
from xlrm.batches import flat_examples
from xlrm.batches import row_order
from xlrm.text import token_lengths
from xlrm.types import checks


class BatchSource(Protocol):
  """What a job reads."""

  def train_batches(self, start_step: int) -> Iterator[Any]:
    """Endless; the first is batch number `start_step`."""

  def validation_batches(self) -> Iterator[Any]:
    """The same finite list every time; filler rows have zero weight."""

  def examples(self, split: str) -> list[dict[str, Any]]:
    """The texts of a split, for jobs that generate or score."""

  def fingerprint(self) -> str:
    """Changes when the batches do."""

  @property
  def truncate_inputs_from_left(self) -> bool:
    """Long inputs lose their beginning, as conversations should."""


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
  """Batches of examples held in memory; implements BatchSource.

  Attributes:
    train: training examples.
    validation: validation examples; may be empty.
    lengths: tokens of `inputs` and `targets`, EOS included; for rankings also
      `responses`, by default the largest group of all.
    batch_size: prompts per batch; an epoch's rest is carried into the next.
    converter: examples to a batch.
    seed: of the order, >= 0.
    packing: put several examples into a row, the same ones each epoch; SFT.
    texts: the texts of each split, for jobs that generate.
    parts: (number of examples, rate) of the tasks of a mixture, in the order
      of `train`; empty is one part.
    truncate_inputs_from_left: long inputs keep their end, as conversations
      should.
  """

  train: Sequence[converters.Example]
  validation: Sequence[converters.Example]
  lengths: Mapping[str, int]
  batch_size: int
  converter: converters.Converter = converters.to_batch
  seed: int = 0
  packing: bool = False
  texts: Mapping[str, Sequence[Mapping[str, Any]]] = dataclasses.field(
    default_factory=dict
  )
  parts: Sequence[tuple[int, float]] = ()
  truncate_inputs_from_left: bool = False

  def __post_init__(self):
    checks.at_least("batch_size", self.batch_size, 1)
    checks.at_least("seed", self.seed, 0)
    if self.packing and self.converter is not converters.to_batch:
      raise ValueError("only SFT rows (one response, no judgment) are packed")
    for name in converters.FEATURES:
      if self.lengths.get(name, 0) < 1:
        raise ValueError(
          f"lengths {dict(self.lengths)} have no {name!r} of at least 1"
        )
    total = sum(size for size, _ in self.parts)
    if self.parts and total != len(self.train):
      raise ValueError(f"parts of {total} examples, not {len(self.train)}")

  @functools.cached_property
  def _lengths(self) -> Mapping[str, int]:
    if self.converter is not converters.to_preferences:
      return self.lengths
    groups = [len(x["targets"]) for x in (*self.train, *self.validation)]
    return {"responses": max(groups, default=1), **self.lengths}

  def _from_left(
    self, examples: Sequence[converters.Example]
  ) -> Sequence[converters.Example]:
    if not self.truncate_inputs_from_left:
      return examples
    longest = self.lengths["inputs"]
    return [
      {**x, "inputs": token_lengths.clip(x["inputs"], longest, from_left=True)}
      for x in examples
    ]

  @functools.cached_property
  def _stream(self) -> tuple[Sequence[Any], list[int], list[float]]:
    """Training rows, and sizes and rates of their parts.

    A row is an example, or the group of those that are packed into it.
    """
    parts = self.parts or [(len(self.train), 1.0)]
    rates = [rate for _, rate in parts]
    train = self._from_left(self.train)
    if not self.packing:
      return train, [size for size, _ in parts], rates
    packed, sizes, start = [], [], 0
    for index, (size, _) in enumerate(parts):
      order = start + row_order.permutation(size, self.seed, index, stream=0)
      rows = converters.groups([train[i] for i in order], self.lengths)
      packed += rows
      sizes.append(len(rows))
      start += size
    return packed, sizes, rates

  @functools.cached_property
  def _order(self):
    return functools.lru_cache(maxsize=2)(self._make_order)

  def _make_order(self, chunk: int) -> np.ndarray:
    """Example numbers of stream rows [chunk * n, (chunk + 1) * n)."""
    examples, sizes, rates = self._stream
    num = len(examples)
    if len(sizes) == 1:
      return row_order.permutation(num, self.seed, chunk, stream=2)
    return row_order.mixed_order(
      sizes, rates, self.seed, chunk * num, (chunk + 1) * num
    )

  def _convert(self, rows: Sequence[Any], own: slice | None) -> Any:
    """Own rows of a batch; those behind the last one count for nothing."""
    own = own or slice(0, self.batch_size)
    size, kept = own.stop - own.start, rows[own]
    made = kept or rows[:1]  # something to take the shapes from
    convert = self.converter
    if self.packing:
      made = [converters.packed_row(x, self.lengths) for x in made]
      convert = converters.to_packed_batch
    return converters.fill(convert(made, self._lengths), size, len(kept))

  def train_batches(
    self, start_step: int, own: slice | None = None
  ) -> Iterator[Any]:
    """Endless batches from number `start_step` on.

    Args:
      start_step: number of the first.
      own: rows of each that are made, of `batch_size`; None is all.

    Raises:
      ValueError: there are no training examples.
    """
    if not self.train:
      raise ValueError("the training split is empty")
    examples = self._stream[0]
    row = start_step * self.batch_size
    while True:
      chosen = []
      for number in range(row, row + self.batch_size):
        chunk, place = divmod(number, len(examples))
        chosen.append(examples[self._order(chunk)[place]])
      row += self.batch_size
      yield self._convert(chosen, own)

  def validation_batches(self, own: slice | None = None) -> Iterator[Any]:
    """All validation examples in their order, the last batch filled up.

    Args:
      own: as in `train_batches`.
    """
    rows = self._from_left(self.validation)
    if self.packing:
      rows = converters.groups(rows, self.lengths)
    for start in range(0, len(rows), self.batch_size):
      yield self._convert(rows[start : start + self.batch_size], own)

  def examples(self, split: str) -> list[dict[str, Any]]:
    """The texts of a split; empty where there are none."""
    return [dict(row) for row in self.texts.get(split, ())]

  def fingerprint(self) -> str:
    """Of the examples, their order and their shapes."""
    return self._fingerprint

  @functools.cached_property
  def _fingerprint(self) -> str:
    settings = (
      sorted(self._lengths.items()),
      self.batch_size,
      self.seed,
      self.packing,
      converters.name_of(self.converter),
      [(int(size), float(rate)) for size, rate in self.parts],
      *(["from left"] if self.truncate_inputs_from_left else ()),
    )
    digest = hashlib.sha256(repr(settings).encode())
    for split in ("train", "validation"):
      for name, array in flat_examples.flatten(
        getattr(self, split), split
      ).items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
