"""Batches: where a job's data comes from, and in which order.

Examples are token arrays held in memory. Batch i is a pure function of the
examples, the seed and i: every epoch is one permutation, drawn from a counter
(Philox) keyed by (seed, epoch). So a run continues at any step without
reading what came before, on any number of hosts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import hashlib
import os
import pathlib
from typing import Any, Protocol
import zipfile

import numpy as np

from xlrm import types

Example = Mapping[str, np.ndarray]  # 'inputs' [S'], 'targets' [T'], ... ragged
Converter = Callable[[Sequence[Example], Mapping[str, int]], Any]


class BatchSource(Protocol):
  """What a job reads."""

  def train_batches(self, start_step: int) -> Iterator[Any]:
    """Endless; the first is batch number `start_step`."""

  def validation_batches(self) -> Iterator[Any]:
    """The same finite list every time; filler rows have zero weight."""

  def fingerprint(self) -> str:
    """Changes when the batches do."""


def clip(
  ids: np.ndarray, length: int, *, from_left: bool = False
) -> np.ndarray:
  """At most `length` ids, the EOS at the end kept.

  [5, 6, 7, 1], 3 -> [5, 6, 1]; from the left -> [6, 7, 1]
  """
  if len(ids) <= length:
    return np.asarray(ids)
  if from_left:
    return np.asarray(ids[-length:])
  return np.concatenate([ids[: length - 1], ids[-1:]])


def _stack(rows: Sequence[np.ndarray], length: int, fill: int) -> np.ndarray:
  result = np.full((len(rows), length), fill, np.int32)
  for index, row in enumerate(rows):
    result[index, : len(row)] = row
  return result


def to_batch(
  examples: Sequence[Example],
  lengths: Mapping[str, int],
  *,
  truncate_inputs_from_left: bool = False,
) -> types.Batch:
  """One response per prompt, N=1."""
  inputs = [
    clip(x["inputs"], lengths["inputs"], from_left=truncate_inputs_from_left)
    for x in examples
  ]
  targets = [clip(x["targets"], lengths["targets"]) for x in examples]
  padded = _stack(targets, lengths["targets"], types.PAD_ID)[:, None]
  return types.Batch(
    inputs=_stack(inputs, lengths["inputs"], types.PAD_ID),
    targets=padded,
    weights=(padded != types.PAD_ID).astype(np.float32),
  )


def to_ratings(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Ratings:
  """One rated response per prompt; `rating` in [0, 1].

  Raises:
    ValueError: a rating outside [0, 1].
  """
  ratings = np.asarray([[x["rating"]] for x in examples], np.float32)
  if not ((ratings >= 0) & (ratings <= 1)).all():
    wrong = ratings[~((ratings >= 0) & (ratings <= 1))][0]
    raise ValueError(f"rating {wrong} is not in [0, 1]")
  return types.Ratings(to_batch(examples, lengths), ratings)


def to_preferences(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Preferences:
  """Ranked responses: `targets` a list of arrays, `ranks` one int for each.

  Groups smaller than the largest are completed with rank -1.
  """
  group = max(len(x["targets"]) for x in examples)
  shape = (len(examples), group, lengths["targets"])
  targets = np.zeros(shape, np.int32)
  ranks = np.full(shape[:2], -1, np.int32)
  for row, example in enumerate(examples):
    for column, response in enumerate(example["targets"]):
      kept = clip(response, shape[2])
      targets[row, column, : len(kept)] = kept
      ranks[row, column] = example["ranks"][column]
  inputs = [clip(x["inputs"], lengths["inputs"]) for x in examples]
  batch = types.Batch(
    inputs=_stack(inputs, lengths["inputs"], types.PAD_ID),
    targets=targets,
    weights=(targets != types.PAD_ID).astype(np.float32),
  )
  return types.Preferences(batch, ranks)


def to_corrupted(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Corrupted:
  """Pre-training rows; a token asked about is not also predicted."""
  batch = to_batch(examples, lengths)
  labels = [clip(x["replaced"], lengths["targets"]) for x in examples]
  replaced = _stack(labels, lengths["targets"], -1)[:, None]
  weights = batch.weights * (replaced < 0)
  return types.Corrupted(batch.replace(weights=weights), replaced)


CONVERTERS = {
  "summary": to_batch,
  "rating": to_ratings,
  "preference": to_preferences,
  "pretraining": to_corrupted,
}


def pack(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> list[Example]:
  """Puts short examples into shared rows, in order, greedily (SFT only).

  A packed example has `inputs`, `targets` and their segment ids from 1.
  """
  packed, current, used = [], [], {"inputs": 0, "targets": 0}

  def close():
    row = {}
    for name in ("inputs", "targets"):
      row[name] = np.concatenate([x[name] for x in current])
      sizes = [len(x[name]) for x in current]
      row[f"{name}_segments"] = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    packed.append(row)

  for example in examples:
    clipped = {
      name: clip(example[name], lengths[name]) for name in ("inputs", "targets")
    }
    if current and any(
      used[name] + len(clipped[name]) > lengths[name] for name in clipped
    ):
      close()
      current, used = [], {"inputs": 0, "targets": 0}
    current.append(clipped)
    for name in clipped:
      used[name] += len(clipped[name])
  if current:
    close()
  return packed


def to_packed_batch(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Batch:
  """Rows of `pack` as a batch with segment ids."""
  batch = to_batch(examples, lengths)
  segments = {
    name: _stack([x[f"{name}_segments"] for x in examples], lengths[name], 0)
    for name in ("inputs", "targets")
  }
  return batch.replace(
    input_segments=segments["inputs"],
    target_segments=segments["targets"][:, None],
  )


def fill(batch: Any, size: int) -> Any:
  """Completes the rows of a batch to `size` with rows that count for nothing.

  Tokens, weights and ratings are 0 there, ranks and labels -1.
  """
  if isinstance(batch, types.Batch):
    return _padded(batch, size, 0)
  name = {
    types.Ratings: ("ratings", 0),
    types.Preferences: ("ranks", -1),
    types.Corrupted: ("replaced", -1),
  }[type(batch)]
  field, value = name
  return batch.replace(
    batch=_padded(batch.batch, size, 0),
    **{field: _pad_rows(getattr(batch, field), size, value)},
  )


def _pad_rows(array: np.ndarray, size: int, value: int) -> np.ndarray:
  widths = [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1)
  return np.pad(array, widths, constant_values=value)


def _padded(batch: types.Batch, size: int, value: int) -> types.Batch:
  fields = {
    name: None if array is None else _pad_rows(array, size, value)
    for name, array in vars(batch).items()
  }
  return types.Batch(**fields)


def permutation(num: int, seed: int, epoch: int) -> np.ndarray:
  """The order of one epoch."""
  generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
  return generator.permutation(num)


@dataclasses.dataclass(frozen=True)
class ArraySource:
  """Batches of examples held in memory; implements BatchSource.

  Attributes:
    train: training examples.
    validation: validation examples; may be empty.
    lengths: tokens of `inputs` and `targets`, EOS included.
    batch_size: prompts per batch; an epoch's rest is carried into the next.
    converter: examples to a batch.
    seed: of the order.
    packing: put several examples into a row; SFT only.
    texts: the texts of each split, for jobs that generate.
  """

  train: Sequence[Example]
  validation: Sequence[Example]
  lengths: Mapping[str, int]
  batch_size: int
  converter: Converter = to_batch
  seed: int = 0
  packing: bool = False
  texts: Mapping[str, Sequence[Mapping[str, Any]]] = dataclasses.field(
    default_factory=dict
  )

  def __post_init__(self):
    if self.batch_size < 1:
      raise ValueError(f"batch_size {self.batch_size} is below 1")
    if self.packing and self.converter is not to_batch:
      raise ValueError("only SFT rows (one response, no judgment) are packed")
    for name in ("inputs", "targets"):
      if self.lengths.get(name, 0) < 1:
        raise ValueError(f"lengths {dict(self.lengths)} lack {name!r}")

  @functools.lru_cache(maxsize=2)  # noqa: B019 - lives as long as the source
  def _epoch(self, epoch: int) -> Sequence[Example]:
    order = permutation(len(self.train), self.seed, epoch)
    examples = [self.train[i] for i in order]
    return pack(examples, self.lengths) if self.packing else examples

  def __hash__(self):
    return id(self)

  def _convert(self, examples: Sequence[Example]) -> Any:
    convert = to_packed_batch if self.packing else self.converter
    return fill(convert(examples, self.lengths), self.batch_size)

  def _position(self, row: int) -> tuple[int, int]:
    """(epoch, row inside it) of row number `row` of the endless stream."""
    if not self.packing:
      return divmod(row, len(self.train))
    epoch = 0
    while row >= len(self._epoch(epoch)):
      row -= len(self._epoch(epoch))
      epoch += 1
    return epoch, row

  def train_batches(self, start_step: int) -> Iterator[Any]:
    """Endless batches from number `start_step` on.

    Raises:
      ValueError: there are no training examples.
    """
    if not self.train:
      raise ValueError("the training split is empty")
    epoch, row = self._position(start_step * self.batch_size)
    while True:
      chosen = []
      while len(chosen) < self.batch_size:
        examples = self._epoch(epoch)
        taken = examples[row : row + self.batch_size - len(chosen)]
        chosen += taken
        row += len(taken)
        if row == len(examples):
          epoch, row = epoch + 1, 0
      yield self._convert(chosen)

  def validation_batches(self) -> Iterator[Any]:
    examples = self.validation
    if self.packing:
      examples = pack(examples, self.lengths)
    for start in range(0, len(examples), self.batch_size):
      yield self._convert(examples[start : start + self.batch_size])

  def examples(self, split: str) -> list[dict[str, Any]]:
    """The texts of a split; empty where there are none."""
    return list(self.texts.get(split, ()))

  def fingerprint(self) -> str:
    digest = hashlib.sha256()
    settings = (
      len(self.train),
      sorted(self.lengths.items()),
      self.batch_size,
      self.seed,
      self.packing,
      self.converter.__name__,
    )
    digest.update(repr(settings).encode())
    for example in self.train[:: max(1, len(self.train) // 512)]:
      for name in sorted(example):
        digest.update(np.asarray(example[name], np.float64).tobytes()) if (
          np.ndim(example[name]) == 0
        ) else [
          digest.update(np.asarray(part).tobytes()) for part in example[name]
        ]
    return digest.hexdigest()[:16]


NPZ_FORMAT = 1


def _flatten(examples: Sequence[Example], prefix: str) -> dict:
  """Ragged examples as flat arrays: values, and the length of each row."""
  arrays = {f"{prefix}/count": np.asarray(len(examples))}
  for name in examples[0] if examples else ():
    columns = [np.atleast_1d(x[name]) for x in examples]
    arrays[f"{prefix}/{name}/values"] = np.concatenate(columns)
    arrays[f"{prefix}/{name}/lengths"] = np.asarray([len(x) for x in columns])
    arrays[f"{prefix}/{name}/scalar"] = np.asarray(np.ndim(examples[0][name]))
  return arrays


def _unflatten(arrays: Mapping[str, np.ndarray], prefix: str) -> list[dict]:
  examples = [{} for _ in range(int(arrays[f"{prefix}/count"]))]
  names = {
    key.split("/")[1]
    for key in arrays
    if key.startswith(f"{prefix}/") and key.count("/") == 2
  }
  for name in sorted(names):
    ends = np.cumsum(arrays[f"{prefix}/{name}/lengths"])
    parts = np.split(arrays[f"{prefix}/{name}/values"], ends[:-1])
    scalar = arrays[f"{prefix}/{name}/scalar"] == 0
    for example, part in zip(examples, parts):
      example[name] = part[0] if scalar else part
  return examples


def write_npz(path: str | os.PathLike, source: ArraySource, kind: str) -> None:
  """Writes a source's examples for hosts without TensorFlow, atomically.

  Args:
    kind: a key of CONVERTERS; rankings (ragged groups) are not supported.
  """
  if CONVERTERS.get(kind) is not source.converter or kind == "preference":
    raise ValueError(f"kind {kind!r} does not fit the source's converter")
  target = pathlib.Path(path)
  temporary = target.with_name(target.name + ".partial.npz")
  np.savez(
    temporary,
    format=np.asarray(NPZ_FORMAT),
    kind=np.asarray(kind),
    **_flatten(source.train, "train"),
    **_flatten(source.validation, "validation"),
  )
  os.replace(temporary, target)


def npz_source(
  path: str | os.PathLike,
  lengths: Mapping[str, int],
  batch_size: int,
  seed: int = 0,
  packing: bool = False,
) -> ArraySource:
  """Reads what `write_npz` wrote: the same batches, byte for byte.

  Raises:
    FileNotFoundError, ValueError: no such file, a damaged one, or another
      format.
  """
  if not os.path.isfile(path):
    raise FileNotFoundError(f"no batch file {path}")
  try:
    with np.load(path) as file:
      arrays = {name: file[name] for name in file.files}
    version, kind = int(arrays["format"]), str(arrays["kind"])
  except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
    raise ValueError(f"{path} is no batch file of xlrm: {error}") from error
  if version != NPZ_FORMAT:
    raise ValueError(f"{path} has format {version}, this xlrm {NPZ_FORMAT}")
  return ArraySource(
    train=_unflatten(arrays, "train"),
    validation=_unflatten(arrays, "validation"),
    lengths=lengths,
    batch_size=batch_size,
    converter=CONVERTERS[kind],
    seed=seed,
    packing=packing,
  )
