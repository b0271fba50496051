"""Batches of prompts, for jobs that draw while they train.

Batch i is a pure function of the prompts, the seed and i.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import hashlib
import json
from typing import Any

import numpy as np

from xlrm import types
from xlrm.batches import row_order
from xlrm.text import token_lengths
from xlrm.text import tokenizer as tokenizer_lib

Rows = Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class PromptSplit:
  """Prompts that are learnt from, and others that are not.

  Attributes:
    training: rows.
    validation: rows, none of them in `training`.
    words: where the validation prompts come from.
  """

  training: Rows
  validation: Rows
  words: str


def split(
  training: Rows, validation: Rows, num_validation: int, seed: int
) -> PromptSplit:
  """The first validation prompts; of a source without any, some held out.

  A source whose validation prompts are all among its training prompts, such as
  a file, has no split of its own: then `num_validation` of the training
  prompts, chosen by `seed`, are not learnt from.

  Raises:
    ValueError: no prompt would be left to learn from.
  """
  known = {(row["id"], row["inputs_pretokenized"]) for row in training}
  if not validation or not all(
    (row["id"], row["inputs_pretokenized"]) in known for row in validation
  ):
    chosen = validation[:num_validation]
    words = f"{len(chosen)} validation prompts of a split of their own"
    return PromptSplit(training, chosen, words)
  if len(training) <= num_validation:
    raise ValueError(
      f"the {len(training)} prompts have no validation split, and "
      f"{num_validation} held out of them would leave none to learn from: "
      "hold out fewer (PPOEvaluation.num_prompts) or give more prompts"
    )
  order = row_order.permutation(len(training), seed, epoch=0, stream=4)
  held_out = set(order[:num_validation].tolist())
  return PromptSplit(
    [row for i, row in enumerate(training) if i not in held_out],
    [training[i] for i in sorted(held_out)],
    f"{num_validation} of the {len(training)} prompts, chosen by seed {seed}, "
    "are held out for validation and not learnt from: there is no validation "
    "split",
  )


@dataclasses.dataclass(frozen=True)
class PromptBatch:
  """B prompts on the host.

  Attributes:
    number: of the batch.
    inputs: [B S] int32, what the policy reads.
    rows: the rows that the prompts come from, with `id` and `reward_inputs`.
  """

  number: int
  inputs: np.ndarray
  rows: Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class PromptBatches:
  """Endless batches of prompts, each epoch in another order.

  Attributes:
    rows: with `id`, `inputs_pretokenized` and `reward_inputs`.
    tokenizer: of the policy.
    max_input_length: tokens of a prompt, EOS included.
    batch_size: prompts per batch.
    seed: of the order.
    truncate_inputs_from_left: long prompts lose their beginning.
  """

  rows: Sequence[Mapping[str, Any]]
  tokenizer: tokenizer_lib.Tokenizer
  max_input_length: int
  batch_size: int
  seed: int = 0
  truncate_inputs_from_left: bool = False

  def __post_init__(self):
    if not self.rows:
      raise ValueError("no prompts to sample for: the training split is empty")
    if self.batch_size < 1:
      raise ValueError(f"{self.batch_size} prompts per batch is below 1")

  @functools.cached_property
  def _order(self):
    return functools.lru_cache(maxsize=2)(
      lambda epoch: row_order.permutation(
        len(self.rows), self.seed, epoch, stream=3
      )
    )

  @functools.cached_property
  def _ids(self):
    """Tokens of a row; kept, as every epoch asks again."""

    @functools.cache
    def ids(index: int) -> np.ndarray:
      row = self.rows[index]
      tokens = self.tokenizer.encode(row["inputs_pretokenized"])
      if not tokens:
        raise ValueError(f"the prompt of example id {row['id']!r} is empty")
      return token_lengths.clip(
        np.asarray([*tokens, types.EOS_ID], np.int32),
        self.max_input_length,
        from_left=self.truncate_inputs_from_left,
      )

    return ids

  def train_batches(self, start_step: int) -> Iterator[PromptBatch]:
    """Endless; the first is batch number `start_step`."""
    number = start_step
    while True:
      chosen = []
      first = number * self.batch_size
      for place in range(first, first + self.batch_size):
        epoch, index = divmod(place, len(self.rows))
        chosen.append(int(self._order(epoch)[index]))
      inputs = np.zeros((self.batch_size, self.max_input_length), np.int32)
      for row, index in enumerate(chosen):
        ids = self._ids(index)
        inputs[row, : len(ids)] = ids
      yield PromptBatch(number, inputs, [self.rows[i] for i in chosen])
      number += 1

  def fingerprint(self) -> str:
    """Of the prompts, their order and their shapes."""
    settings = (
      self.batch_size,
      self.max_input_length,
      self.seed,
      self.truncate_inputs_from_left,
    )
    digest = hashlib.sha256(repr(settings).encode())
    for row in self.rows:
      texts = [row["id"], row["inputs_pretokenized"], row["reward_inputs"]]
      digest.update(json.dumps(texts).encode())
    return digest.hexdigest()[:16]
