"""From SeqIO tasks to `batches.ArraySource`: the bridge between the two.

SeqIO runs once, in its own order, up to the text; the text is tokenized with
the MODEL's tokenizer and kept as arrays. From there the order is xlrm's: a
pure function of (seed, batch number).
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import importlib
import importlib.util
import os
from typing import Any

import seqio

from xlrm import batches
from xlrm import converters
from xlrm import tokenizer as tokenizer_lib
from xlrm.data import registry
from xlrm.data import rows as rows_lib


def import_module(module: str | None) -> None:
  """Imports the module that registers tasks.

  Args:
    module: its name ('xlrm.tasks.miniworld') or its file ('my_tasks.py').

  Raises:
    FileNotFoundError, ValueError: there is no such file or module.
  """
  if not module:
    return
  if module.endswith(".py"):
    _run_file(module)
    return
  try:
    importlib.import_module(module)
  except ImportError as error:
    raise ValueError(
      f"MIXTURE_OR_TASK_MODULE {module!r} cannot be imported: {error} (tasks "
      "that ship with xlrm are in xlrm.tasks; a file is named with its .py)"
    ) from error


def _run_file(path: str) -> None:
  if not os.path.isfile(path):
    raise FileNotFoundError(f"MIXTURE_OR_TASK_MODULE: no file {path}")
  name = os.path.splitext(os.path.basename(path))[0]
  spec = importlib.util.spec_from_file_location(name, path)
  spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _tasks(name: str) -> list[tuple[seqio.Task, float]]:
  """The tasks of a task or mixture, with their rates."""
  found = registry.get(name)
  if not isinstance(found, seqio.Mixture):
    return [(found, 1.0)]
  rates = registry.rates_of(found)
  return [(task, rates[task.name]) for task in found.tasks]


def _kind(name: str) -> str:
  kinds = {registry.kind_of(task.name) for task, _ in _tasks(name)}
  if len(kinds) > 1:
    raise ValueError(f"mixture {name!r} mixes kinds: {sorted(kinds)}")
  return kinds.pop()


@dataclasses.dataclass(frozen=True, eq=False)
class SeqioSource:
  """Batches of a SeqIO task or mixture; implements BatchSource.

  Attributes:
    mixture_or_task: registered name.
    lengths: tokens of `inputs` and of each target, EOS included.
    batch_size: prompts per batch, over all devices.
    tokenizer: the model's; None is that of the task.
    module: Python module that registers the name.
    seed: of the order.
    packing: several SFT examples per row.
    max_validation_examples: of each task, the first ones; None is all.
    truncate_inputs_from_left: long inputs keep their end, as dialogues should.
  """

  mixture_or_task: str
  lengths: Mapping[str, int]
  batch_size: int
  tokenizer: tokenizer_lib.Tokenizer | None = None
  module: str | None = None
  seed: int = 0
  packing: bool = False
  max_validation_examples: int | None = None
  truncate_inputs_from_left: bool = False

  def __post_init__(self):
    """Checks the name; reads nothing yet."""
    import_module(self.module)
    _kind(self.mixture_or_task)

  def _examples(self, task: seqio.Task, split: str) -> list[batches.Example]:
    if split not in task.splits:
      return []
    kind = registry.kind_of(task.name)
    made = rows_lib.token_examples(task, split, kind, self.tokenizer)
    if self.truncate_inputs_from_left:
      for example in made:
        example["inputs"] = converters.clip(
          example["inputs"], self.lengths["inputs"], from_left=True
        )
    return made

  @functools.cached_property
  def arrays(self) -> batches.ArraySource:
    """Everything as token arrays; prints how many examples and how long."""
    train, validation, parts = [], [], []
    for task, rate in _tasks(self.mixture_or_task):
      examples = self._examples(task, "train")
      train += examples
      parts += [(len(examples), rate)] if examples else []
      held_out = self._examples(task, "validation")
      validation += held_out[: self.max_validation_examples]
    made = batches.ArraySource(
      train=train,
      validation=validation,
      lengths=self.lengths,
      batch_size=self.batch_size,
      converter=converters.CONVERTERS[_kind(self.mixture_or_task)],
      seed=self.seed,
      packing=self.packing,
      parts=parts if len(parts) > 1 else (),
    )
    self._report(made)
    return made

  def _report(self, made: batches.ArraySource) -> None:
    counts = converters.count_long(
      (*made.train, *made.validation), made.lengths
    )
    cut = " and ".join(
      f"{count} {name} over {made.lengths[name]} tokens"
      for name, count in counts.items()
    )
    print(
      f"{self.mixture_or_task}: {len(made.train)} training and "
      f"{len(made.validation)} validation examples; cut: {cut}",
      flush=True,
    )

  def train_batches(self, start_step: int) -> Iterator[Any]:
    """See BatchSource.

    Raises:
      ValueError: the task has no training examples.
    """
    if not self.arrays.train:
      raise ValueError(
        f"{self.mixture_or_task!r} has no split 'train' to train on"
      )
    return self.arrays.train_batches(start_step)

  def validation_batches(self) -> Iterator[Any]:
    return self.arrays.validation_batches()

  def fingerprint(self) -> str:
    return self.arrays.fingerprint()

  @property
  def splits(self) -> list[str]:
    """Splits that a task has."""
    found = [
      split for task, _ in _tasks(self.mixture_or_task) for split in task.splits
    ]
    return list(dict.fromkeys(found))

  def examples(self, split: str) -> list[dict[str, Any]]:
    """The texts of a split, for jobs that generate or score.

    A row has `id`, `task`, `language`, `dataset`, `inputs_pretokenized` (what
    the policy reads), `reward_inputs`, `targets_pretokenized`, and what else
    its task passes along; none for a validation split that does not exist.

    Raises:
      ValueError: no task has such a split.
    """
    if split not in self.splits and split != "validation":
      raise ValueError(
        f"{self.mixture_or_task!r} has no split {split!r}; it has "
        f"{', '.join(self.splits)}"
      )
    return [
      dict(row)
      for task, _ in _tasks(self.mixture_or_task)
      if split in task.splits
      for row in rows_lib.text_rows(task, split)
    ]


def sources_by_language(
  pattern: str,
  languages: Sequence[str],
  lengths: Mapping[str, int],
  tokenizer: tokenizer_lib.Tokenizer | None = None,
  module: str | None = None,
) -> dict[str, SeqioSource]:
  """One source per language; `pattern` has the place '{language}'."""
  if "{language}" not in pattern:
    raise ValueError(f"the task pattern {pattern!r} has no '{{language}}'")
  return {
    language: SeqioSource(
      pattern.format(language=language),
      lengths,
      batch_size=1,
      tokenizer=tokenizer,
      module=module,
    )
    for language in languages
  }


def export_npz(
  source: SeqioSource, path: str | os.PathLike, *, dry_run: bool = False
) -> None:
  """Writes a source for hosts without TensorFlow; see `batches.npz_source`."""
  texts = {split: source.examples(split) for split in source.splits}
  arrays = dataclasses.replace(source.arrays, texts=texts)
  if not dry_run:
    batches.write_npz(path, arrays)
