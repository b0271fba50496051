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

from xlrm.batches import batch_feed
from xlrm.batches import batch_sources
from xlrm.batches import converters
from xlrm.batches import npz_files
from xlrm.data import registry
from xlrm.data import task_rows
from xlrm.text import tokenizer as tokenizer_lib


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


Names = str | Sequence[str] | Mapping[str, float]


def _tasks(names: Names) -> list[tuple[seqio.Task, float]]:
  """The tasks of tasks and mixtures, with their rates."""
  if isinstance(names, Mapping):
    wanted = dict(names)
  else:
    wanted = dict.fromkeys([names] if isinstance(names, str) else names, 1.0)
  tasks: dict[str, tuple[seqio.Task, float]] = {}
  for name, weight in wanted.items():
    if not weight > 0:
      raise ValueError(f"the weight of {name!r} is {weight}, not above 0")
    found, rates = registry.get(name), {name: 1.0}
    if isinstance(found, seqio.Mixture):
      rates = registry.rates_of(found)
    total = sum(rates.values())
    parts = found.tasks if isinstance(found, seqio.Mixture) else [found]
    for task in parts:
      if task.name in tasks:
        raise ValueError(f"{names}: the task {task.name!r} is in it twice")
      share = rates[task.name] / total if len(wanted) > 1 else rates[task.name]
      tasks[task.name] = (task, weight * share)
  if not tasks:
    raise ValueError("no task was named")
  return list(tasks.values())


def _one(names: Names, property_of, what: str) -> Any:
  """What all tasks agree in."""
  found = {property_of(task.name) for task, _ in _tasks(names)}
  if len(found) > 1:
    raise ValueError(f"{names!r} mixes {what}: {sorted(map(str, found))}")
  return found.pop()


def _kind(names: Names) -> str:
  return _one(names, registry.kind_of, "kinds")


@dataclasses.dataclass(frozen=True, eq=False)
class SeqioSource:
  """Batches of a SeqIO task or mixture; implements BatchSource.

  Attributes:
    mixture_or_task: registered name, or several: a list (evenly mixed), or
      names with their weights, {'seahorse_rating.en': 2, 'seahorse_rating.de':
      1}; a mixture among several counts as one.
    lengths: tokens of `inputs` and of each target, EOS included.
    batch_size: prompts per batch, over all devices.
    tokenizer: the model's; None is that of the task.
    module: Python module that registers the name.
    seed: of the order.
    packing: several SFT examples per row.
    max_validation_examples: of each task, the first ones; None is all.
    truncate_inputs_from_left: long inputs keep their end, as conversations
      should; None is what the tasks say.
  """

  mixture_or_task: Names
  lengths: Mapping[str, int]
  batch_size: int
  tokenizer: tokenizer_lib.Tokenizer | None = None
  module: str | None = None
  seed: int = 0
  packing: bool = False
  max_validation_examples: int | None = None
  truncate_inputs_from_left: bool | None = None

  def __post_init__(self):
    """Checks the name; reads nothing yet."""
    import_module(self.module)
    _kind(self.mixture_or_task)
    if self.truncate_inputs_from_left is None:
      side = _one(self.mixture_or_task, registry.from_left, "sides to cut")
      object.__setattr__(self, "truncate_inputs_from_left", side)

  def _examples(self, task: seqio.Task, split: str) -> list[converters.Example]:
    if split not in task.splits:
      return []
    kind = registry.kind_of(task.name)
    return task_rows.token_examples(task, split, kind, self.tokenizer)

  @functools.cached_property
  def arrays(self) -> batch_sources.ArraySource:
    """Everything as token arrays; prints how many examples and how long."""
    train, validation, parts = [], [], []
    for task, rate in _tasks(self.mixture_or_task):
      examples = self._examples(task, "train")
      train += examples
      parts += [(len(examples), rate)] if examples else []
      held_out = self._examples(task, "validation")
      validation += held_out[: self.max_validation_examples]
    made = batch_sources.ArraySource(
      train=train,
      validation=validation,
      lengths=self.lengths,
      batch_size=self.batch_size,
      converter=converters.CONVERTERS[_kind(self.mixture_or_task)],
      seed=self.seed,
      packing=self.packing,
      parts=parts if len(parts) > 1 else (),
      truncate_inputs_from_left=self.truncate_inputs_from_left,
    )
    self._report(made)
    return made

  def shared(self, path: str | os.PathLike) -> batch_sources.ArraySource:
    """The same batches in several processes, of which one reads the task.

    Args:
      path: of a file that all processes see, see `batch_feed.shared`.
    """
    made = batch_feed.shared(lambda: self.arrays, path)
    self.__dict__.pop("arrays", None)  # now they are in the file
    return made

  def _report(self, made: batch_sources.ArraySource) -> None:
    counts = converters.count_long(
      (*made.train, *made.validation), made.lengths
    )
    cut = " and ".join(
      f"{count} {name} over {made.lengths[name]} tokens"
      for name, count in counts.items()
    )
    side = " (from the left)" if self.truncate_inputs_from_left else ""
    print(
      f"{self.mixture_or_task}: {len(made.train)} training and "
      f"{len(made.validation)} validation examples; cut: {cut}{side}",
      flush=True,
    )
    judged = converters.balance(made.train)
    if judged:
      print(f"{self.mixture_or_task}, training: {judged}", flush=True)

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
    """The batches of the validation split, the last one filled up."""
    return self.arrays.validation_batches()

  def fingerprint(self) -> str:
    """A text that changes with the batches; see `ArraySource`."""
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
      for row in task_rows.text_rows(task, split)
    ]


def sources_by_language(
  pattern: str,
  languages: Sequence[str],
  lengths: Mapping[str, int],
  tokenizer: tokenizer_lib.Tokenizer | None = None,
  module: str | None = None,
) -> dict[str, SeqioSource]:
  """One source per language.

  Args:
    pattern: task with the place '{language}': 'seahorse_rating.{language}'.
    languages: codes.
    lengths: tokens of `inputs` and of `targets`, EOS included.
    tokenizer: of the model that reads them; None is the tasks' own.
    module: file or module that registers the tasks.
  """
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
  """Writes a source for hosts without TensorFlow; see `npz_files`.

  Args:
    source: whose batches and texts are written.
    path: .npz file.
    dry_run: read everything, write nothing.
  """
  texts = {split: source.examples(split) for split in source.splits}
  arrays = dataclasses.replace(source.arrays, texts=texts)
  if not dry_run:
    npz_files.write_npz(path, arrays)
