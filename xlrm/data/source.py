"""From SeqIO tasks to `batches.ArraySource`: the bridge between the two.

SeqIO runs once, in its own order; its texts are tokenized with the MODEL's
tokenizer and kept as arrays. From there the order is xlrm's: a pure function
of (seed, batch number).
"""

from collections.abc import Mapping, Sequence
import functools
import importlib
from typing import Any

import numpy as np
import seqio

from xlrm import batches
from xlrm import converters
from xlrm import tokenizer as tokenizer_lib
from xlrm import types
from xlrm.data import registry


def _import(module: str | None) -> None:
  if not module:
    return
  try:
    importlib.import_module(module)
  except ModuleNotFoundError as error:
    if error.name and not module.startswith(error.name):
      raise
    raise ValueError(
      f"MIXTURE_OR_TASK_MODULE {module!r} cannot be imported: {error}"
    ) from error


def _row(example: Mapping[str, Any]) -> dict[str, Any]:
  """A SeqIO example as texts and numbers of Python and NumPy."""
  row = {}
  for name, value in example.items():
    value = np.asarray(value)
    if value.dtype.kind in "OS" and value.ndim == 0:
      row[name] = value.item().decode("utf-8")
    else:
      row[name] = value.item() if value.ndim == 0 else value
  return row


def _token_ids(row, name: str, tokenizer) -> np.ndarray:
  text = row.get(f"{name}_pretokenized")
  if text is None:  # a task registered outside xlrm that keeps no text
    ids = [int(x) for x in row[name] if x != types.PAD_ID]
    ids = ids if ids and ids[-1] == types.EOS_ID else [*ids, types.EOS_ID]
  else:
    ids = [*tokenizer.encode(text), types.EOS_ID]
  return np.asarray(ids, np.int32)


def _example(row, tokenizer, kind: str) -> dict[str, np.ndarray]:
  example = {
    name: _token_ids(row, name, tokenizer) for name in ("inputs", "targets")
  }
  if kind == "rating":
    example["rating"] = np.float32(row["rating"])
  return example


def read_rows(task: seqio.Task, split: str) -> list[dict[str, Any]]:
  """A task's rows of a split; none if it has no such split."""
  if split not in task.splits:
    return []
  dataset = task.get_dataset(
    sequence_length=None, split=split, shuffle=False, num_epochs=1
  )
  rows = [_row(example) for example in dataset.as_numpy_iterator()]
  for number, row in enumerate(rows):
    row.setdefault("id", f"{task.name}/{split}/{number}")
    for name, default in (
      ("language", ""),
      ("dataset", task.name),
      ("reward_inputs", row.get("inputs_pretokenized", "")),
    ):
      row.setdefault(name, default)
    row["task"] = task.name
  return rows


def _repeats(mixture: seqio.Mixture, sizes: Mapping[str, int]) -> dict:
  """How many rows of each task stand in one epoch of a mixture.

  The rates are honoured by repeating or cutting each task's rows; the epoch
  has as many rows as the tasks together.
  """
  rates = {task.name: float(mixture.get_rate(task)) for task in mixture.tasks}
  total = sum(sizes.values())
  return {
    name: round(total * rate / sum(rates.values()))
    for name, rate in rates.items()
  }


@functools.lru_cache(maxsize=64)
def _task_rows(name: str, split: str) -> tuple[dict[str, Any], ...]:
  return tuple(read_rows(seqio.TaskRegistry.get(name), split))


def rows_of(name: str, split: str) -> list[dict[str, Any]]:
  """The rows of a task, or of all tasks of a mixture at their rates."""
  task = registry.get(name)
  if not isinstance(task, seqio.Mixture):
    return list(_task_rows(name, split))
  by_task = {t.name: _task_rows(t.name, split) for t in task.tasks}
  by_task = {name: rows for name, rows in by_task.items() if rows}
  if split != "train" or not by_task:
    return [row for rows in by_task.values() for row in rows]
  counts = _repeats(task, {name: len(rows) for name, rows in by_task.items()})
  return [
    rows[i % len(rows)]
    for name, rows in by_task.items()
    for i in range(counts[name])
  ]


def _kind(name: str) -> str:
  task = registry.get(name)
  names = (
    [t.name for t in task.tasks] if isinstance(task, seqio.Mixture) else [name]
  )
  kinds = {registry.kind_of(x) for x in names}
  if len(kinds) > 1:
    raise ValueError(f"mixture {name!r} mixes kinds: {sorted(kinds)}")
  return kinds.pop()


class SeqioSource(batches.BatchSource):
  """Batches of a SeqIO task or mixture; `train`, `validation`, `test`."""

  def __init__(
    self,
    mixture_or_task: str,
    tokenizer: tokenizer_lib.Tokenizer,
    lengths: Mapping[str, int],
    batch_size: int,
    *,
    module: str | None = None,
    seed: int = 0,
    packing: bool = False,
    max_validation_examples: int | None = None,
  ):
    """Reads nothing yet, but checks the name.

    Args:
      mixture_or_task: registered name.
      tokenizer: the model's.
      lengths: tokens of `inputs` and of each target, EOS included.
      batch_size: prompts per batch, over all devices.
      module: Python module that registers it.
      seed: of the order.
      packing: several SFT examples per row.
      max_validation_examples: first rows used; None is all.
    """
    _import(module)
    self._name = mixture_or_task
    self._tokenizer = tokenizer
    self._kind = _kind(mixture_or_task)
    self._settings = {
      "lengths": dict(lengths),
      "batch_size": batch_size,
      "seed": seed,
      "packing": packing,
      "converter": converters.CONVERTERS[self._kind],
    }
    self._max_validation = max_validation_examples

  @functools.cached_property
  def arrays(self) -> batches.ArraySource:
    """Everything as token arrays."""
    train, validation = (
      [
        _example(row, self._tokenizer, self._kind)
        for row in rows_of(self._name, split)
      ]
      for split in ("train", "validation")
    )
    return batches.ArraySource(
      train=train,
      validation=validation[: self._max_validation],
      **self._settings,
    )

  def train_batches(self, start_step: int):
    return self.arrays.train_batches(start_step)

  def validation_batches(self):
    return self.arrays.validation_batches()

  def fingerprint(self) -> str:
    return f"{self.arrays.fingerprint()}/{self._tokenizer.fingerprint()}"

  def examples(self, split: str) -> list[dict[str, Any]]:
    """The texts of a split, for jobs that generate or score."""
    return rows_of(self._name, split)


def sources_by_language(
  pattern: str,
  languages: Sequence[str],
  tokenizer: tokenizer_lib.Tokenizer,
  lengths: Mapping[str, int],
  module: str | None = None,
) -> dict[str, SeqioSource]:
  """One source per language; `pattern` has the place '{language}'."""
  if "{language}" not in pattern:
    raise ValueError(f"the task pattern {pattern!r} has no '{{language}}'")
  return {
    language: SeqioSource(
      pattern.format(language=language), tokenizer, lengths, 1, module=module
    )
    for language in languages
  }
