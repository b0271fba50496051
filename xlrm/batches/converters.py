"""Ragged token examples to the batches of `types`, padded on the right.

An example is a dict of arrays: `inputs` [S'], `targets` [T'], both ending in
EOS, and what its kind of batch needs beside. Shapes are fixed by `lengths`,
so that a step compiles once. NumPy only.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from xlrm import types
from xlrm.text import token_lengths

Example = Mapping[str, Any]
Converter = Callable[[Sequence[Example], Mapping[str, int]], Any]
FEATURES = ("inputs", "targets")
FILLER = {"ranks": -1, "replaced": -1}  # of rows that count for nothing


def count_long(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> dict[str, int]:
  """How many `inputs` and `targets` are longer than `lengths`."""
  counts = dict.fromkeys(FEATURES, 0)
  for example in examples:
    for name in FEATURES:
      value = example[name]
      parts = value if isinstance(value, list) else [value]
      counts[name] += sum(len(part) > lengths[name] for part in parts)
  return counts


def balance(examples: Sequence[Example]) -> str:
  """How often which judgment occurs, in words; '' if there are none."""
  if not examples or not {"rating", "ranks"} & set(examples[0]):
    return ""
  if "rating" in examples[0]:
    ratings = np.asarray([x["rating"] for x in examples])
    good, total = int((ratings > 0.5).sum()), len(ratings)
    graded = int(((ratings > 0) & (ratings < 1)).sum())
    return (
      f"{good / total:.1%} rated good, {1 - good / total:.1%} bad, "
      f"{graded} of {total} between yes and no"
    )
  sizes = [len(x["ranks"]) for x in examples]
  tied = sum(len(set(x["ranks"])) < len(x["ranks"]) for x in examples)
  first = sum(x["ranks"][0] == min(x["ranks"]) for x in examples)
  return (
    f"{min(sizes)} to {max(sizes)} responses per prompt, {tied} of "
    f"{len(sizes)} with ties, the first is best in {first}"
  )


def _stack(rows: Sequence[np.ndarray], length: int, fill: int) -> np.ndarray:
  """[[5, 1], [1]], 3, 0 -> [[5, 1, 0], [1, 0, 0]]"""
  result = np.full((len(rows), length), fill, np.int32)
  for index, row in enumerate(rows):
    kept = token_lengths.clip(row, length)
    result[index, : len(kept)] = kept
  return result


def _weights(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
  sizes = np.asarray([min(len(row), length) for row in rows])
  return (np.arange(length) < sizes[:, None]).astype(np.float32)


def to_batch(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Batch:
  """One response per prompt, N=1."""
  targets = [x["targets"] for x in examples]
  return types.Batch(
    inputs=_stack([x["inputs"] for x in examples], lengths["inputs"], 0),
    targets=_stack(targets, lengths["targets"], 0)[:, None],
    weights=_weights(targets, lengths["targets"])[:, None],
  )


def to_ratings(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Ratings:
  """One rated response per prompt; `rating` in [0, 1].

  Raises:
    ValueError: a rating outside [0, 1], or NaN.
  """
  ratings = np.asarray([[x["rating"]] for x in examples], np.float32)
  wrong = ratings[~((ratings >= 0) & (ratings <= 1))]
  if wrong.size:
    raise ValueError(f"rating {wrong[0]} is not in [0, 1]")
  return types.Ratings(to_batch(examples, lengths), ratings)


def to_preferences(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Preferences:
  """Ranked responses: `targets` a list of arrays, `ranks` one int for each.

  Args:
    examples: the prompts; `margin` says by how much scores should differ.
    lengths: also `responses`, the size N of a group; smaller groups are
      completed with rank -1. Without it N is the largest of these groups.

  Raises:
    ValueError: a group larger than N, or with another number of ranks.
  """
  group = lengths.get("responses") or max(len(x["targets"]) for x in examples)
  targets = np.zeros((len(examples), group, lengths["targets"]), np.int32)
  weights = np.zeros(targets.shape, np.float32)
  ranks = np.full(targets.shape[:2], -1, np.int32)
  for row, example in enumerate(examples):
    responses = example["targets"]
    count = len(responses)
    if count > group or count != len(example["ranks"]):
      raise ValueError(
        f"{count} responses with {len(example['ranks'])} ranks do not fit a "
        f"group of {group}"
      )
    targets[row, :count] = _stack(responses, lengths["targets"], 0)
    weights[row, :count] = _weights(responses, lengths["targets"])
    ranks[row, :count] = example["ranks"]
  inputs = _stack([x["inputs"] for x in examples], lengths["inputs"], 0)
  margins = np.asarray([x.get("margin", 0.0) for x in examples], np.float32)
  batch = types.Batch(inputs, targets, weights)
  return types.Preferences(batch, ranks, margins)


def to_corrupted(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Corrupted:
  """Pre-training rows; no response with a replaced token is predicted."""
  batch = to_batch(examples, lengths)
  labels = [x["replaced"] for x in examples]
  replaced = _stack(labels, lengths["targets"], -1)[:, None]
  untouched = replaced.max(axis=2, keepdims=True) < 1
  weights = batch.weights * untouched
  return types.Corrupted(batch.replace(weights=weights), replaced)


CONVERTERS: Mapping[str, Converter] = {
  "summary": to_batch,
  "rating": to_ratings,
  "preference": to_preferences,
  "pretraining": to_corrupted,
}


def name_of(converter: Converter) -> str:
  """Its name in CONVERTERS, or where it is defined."""
  for name, known in CONVERTERS.items():
    if known is converter:
      return name
  return f"{converter.__module__}.{converter.__qualname__}"


def packed_row(
  members: Sequence[Example], lengths: Mapping[str, int]
) -> Example:
  """A group of `groups` as one row, with segment ids from 1."""
  row = {}
  for name in FEATURES:
    parts = [token_lengths.clip(x[name], lengths[name]) for x in members]
    sizes = [len(part) for part in parts]
    row[name] = np.concatenate(parts)
    row[f"{name}_segments"] = np.repeat(np.arange(1, len(sizes) + 1), sizes)
  return row


def groups(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> list[list[Example]]:
  """Short examples that share a row, in order, greedily (SFT only).

  Only their lengths are looked at.
  """
  made, members = [], []
  used = dict.fromkeys(FEATURES, 0)
  for example in examples:
    sizes = {name: min(len(example[name]), lengths[name]) for name in FEATURES}
    if any(used[name] + sizes[name] > lengths[name] for name in FEATURES):
      made.append(members)
      members, used = [], dict.fromkeys(FEATURES, 0)
    members.append(example)
    used = {name: used[name] + sizes[name] for name in FEATURES}
  if members:
    made.append(members)
  return made


def pack(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> list[Example]:
  """The rows of `groups`."""
  return [packed_row(x, lengths) for x in groups(examples, lengths)]


def to_packed_batch(
  examples: Sequence[Example], lengths: Mapping[str, int]
) -> types.Batch:
  """Rows of `pack` as a batch with segment ids."""
  inputs, targets = (
    _stack([x[f"{name}_segments"] for x in examples], lengths[name], 0)
    for name in FEATURES
  )
  return to_batch(examples, lengths).replace(
    input_segments=inputs, target_segments=targets[:, None]
  )


def fill(batch: Any, size: int, kept: int | None = None) -> Any:
  """Completes a batch to `size` rows with rows that count for nothing.

  Tokens, weights and ratings are 0 there, ranks and labels -1.

  Args:
    kept: the first rows, which stay; None is all.
  """

  def filled(name: str, value: Any) -> Any:
    if value is None:
      return None
    if dataclasses.is_dataclass(value):
      return fill(value, size, kept)
    value = value[:kept]
    widths = [(0, size - len(value))] + [(0, 0)] * (value.ndim - 1)
    return np.pad(value, widths, constant_values=FILLER.get(name, 0))

  return type(batch)(
    **{
      field.name: filled(field.name, getattr(batch, field.name))
      for field in dataclasses.fields(batch)
    }
  )
