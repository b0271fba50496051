"""One way to register a task: rows of text with a name, on SeqIO's registry.

A registered task is a plain SeqIO task: `seqio.get_mixture_or_task(name)`
works, in T5X too. Registering the same definition again is fine (a notebook
cell runs twice); another definition under a taken name is an error that shows
both.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import difflib
import json
from typing import Any

import seqio
import tensorflow as tf

from xlrm.data import identity
from xlrm.storage import files
from xlrm.storage import package_data
from xlrm.text import language_names

INSTRUCTION = "Summarize the following text in {language}: "
TEXTS = ("id", "language", "dataset", "inputs", "reward_inputs", "targets")
COLUMNS = {
  "summary": TEXTS,
  "rating": (*TEXTS, "rating"),
  "preference": (*TEXTS, "responses", "ranks"),
}  # kind -> what its rows must have

Reader = Callable[[str], Sequence[Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Definition:
  """What a task is; two tasks are the same if these are equal.

  Attributes:
    name: 'dataset_kind.language'.
    kind: a key of COLUMNS.
    splits: names of the splits.
    reader: what reads the rows, in words: its name, arguments and code.
    vocabulary: path and sentinels of SeqIO's own vocabulary.
    from_left: long inputs lose their beginning, not their end.
  """

  name: str
  kind: str
  splits: tuple[str, ...]
  reader: str
  vocabulary: tuple[str, int]
  from_left: bool = False

  def __post_init__(self):
    if self.kind not in COLUMNS:
      raise ValueError(f"kind {self.kind!r} is none of {', '.join(COLUMNS)}")
    if not self.splits:
      raise ValueError(f"task {self.name!r} has no split")

  def __str__(self):
    fields = dataclasses.asdict(self)
    return "\n".join(f"    {name}: {value}" for name, value in fields.items())


_definitions: dict[str, Definition] = {}


def register(
  name: str,
  read: Reader,
  *,
  kind: str,
  splits: Sequence[str] = ("train", "validation"),
  vocabulary: str | None = None,
  extra_ids: int = 0,
  truncate_inputs_from_left: bool = False,
) -> str:
  """Registers a task and returns its name.

  Args:
    name: 'dataset_kind.language'.
    read: split -> rows with the texts `id`, `language`, `dataset`, `inputs`
      (what the policy reads, instruction included), `reward_inputs` (what a
      reward model reads) and `targets`. A rating's rows also have `rating` in
      [0, 1]; rankings have `responses`, a list of texts, and `ranks`, one int
      each (0 best, equal is a tie), and may have `margin`, by how much scores
      should differ at least. Further columns of text or numbers travel along.
    kind: a key of COLUMNS.
    splits: those that `read` knows.
    vocabulary: sentencepiece file for SeqIO's own token ids; xlrm's jobs
      tokenize with their model's. None is the nano model's.
    extra_ids: sentinels behind its pieces.
    truncate_inputs_from_left: long inputs lose their beginning, as
      conversations should; reward models remember it.

  Raises:
    ValueError: the name is taken by another definition.
  """
  if vocabulary is None:
    nano = package_data.asset("nano")
    vocabulary = str(nano / "spiece.model")
    extra_ids = json.loads(files.read_text(nano / "model.json"))["extra_ids"]
  definition = Definition(
    name,
    kind,
    tuple(splits),
    identity.describe(read),
    (vocabulary, extra_ids),
    truncate_inputs_from_left,
  )
  known = _definitions.get(name)
  if known == definition and name in seqio.TaskRegistry.names():
    return name
  if known is not None or name in seqio.TaskRegistry.names():
    raise ValueError(
      f"task {name!r} is registered already, with another definition.\n"
      f"  before:\n{known or '    (outside xlrm)'}\n  now:\n{definition}\n"
      "  Choose another name, or call registry.remove(name) first."
    )
  pieces = seqio.SentencePieceVocabulary(vocabulary, extra_ids=extra_ids)
  features = {
    feature: seqio.Feature(pieces, add_eos=True)
    for feature in ("inputs", "targets")
  }
  if kind == "rating":
    features["rating"] = seqio.ContinuousFeature(dtype=tf.float32, rank=0)
  seqio.TaskRegistry.add(
    name,
    source=_source(definition, read),
    preprocessors=[
      choose_inputs if kind == "summary" else choose_reward_inputs,
      seqio.preprocessors.tokenize,
      seqio.preprocessors.append_eos,
    ],
    output_features=features,
    metric_fns=[],
  )
  _definitions[name] = definition
  return name


def choose_inputs(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """A policy reads `inputs`, with the instruction."""
  return dataset


def choose_reward_inputs(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """A reward model reads `reward_inputs`, without an instruction."""
  return dataset.map(lambda row: {**row, "inputs": row["reward_inputs"]})


def _source(definition: Definition, read: Reader) -> seqio.FunctionDataSource:
  def dataset_fn(split, shuffle_files, seed=None):
    del shuffle_files, seed  # the order is the reader's; xlrm shuffles later
    rows = read(split)
    if not rows:
      raise ValueError(f"task {definition.name!r}: split {split!r} is empty")
    return tf.data.Dataset.from_tensor_slices(
      _columns(rows, f"task {definition.name!r}, split {split!r}", definition)
    )

  return seqio.FunctionDataSource(dataset_fn, splits=definition.splits)


def _columns(rows, place: str, definition: Definition) -> dict[str, Any]:
  """Rows as tensors by column, all of them checked."""
  names = set(rows[0]) | set(COLUMNS[definition.kind])
  for number, row in enumerate(rows):
    if set(row) != names:
      wrong = ", ".join(sorted(set(row) ^ names))
      raise ValueError(f"{place}, row {number}: lacks or adds {wrong}")
    if "rating" in names and not 0 <= row["rating"] <= 1:
      raise ValueError(
        f"{place}, row {number}: rating {row['rating']} is not in [0, 1]"
      )
  columns = {}
  for name in sorted(names):
    values = [row[name] for row in rows]
    if isinstance(values[0], list | tuple):
      columns[name] = tf.ragged.constant(values)
    elif isinstance(values[0], float):
      columns[name] = tf.constant(values, tf.float32)
    else:
      columns[name] = tf.constant(values)
  return columns


def register_mixture(
  name: str, tasks: Sequence[str], rates: Sequence[float] | None = None
) -> str:
  """Registers a mixture of tasks, even by default; the same again is fine.

  Raises:
    ValueError: the name is taken by another mixture, or a task is unknown.
  """
  wanted = dict(zip(tasks, rates or [1.0] * len(tasks), strict=True))
  for task in tasks:
    get(task)
  if name in seqio.MixtureRegistry.names():
    known = rates_of(seqio.MixtureRegistry.get(name))
    if known != wanted:
      raise ValueError(
        f"mixture {name!r} is registered already.\n  before: {known}\n"
        f"  now:    {wanted}"
      )
    return name
  seqio.MixtureRegistry.add(name, list(wanted.items()))
  return name


def rates_of(mixture: seqio.Mixture) -> dict[str, float]:
  """Task name -> rate."""
  return {task.name: float(mixture.get_rate(task)) for task in mixture.tasks}


def remove(name: str) -> None:
  """Forgets a task or mixture."""
  _definitions.pop(name, None)
  for known in (seqio.TaskRegistry, seqio.MixtureRegistry):
    if name in known.names():
      known.remove(name)


def names() -> list[str]:
  """Every registered task and mixture."""
  return [*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()]


def get(name: str) -> seqio.Task | seqio.Mixture:
  """A task or mixture.

  Raises:
    ValueError: none of that name; names the nearest.
  """
  if name not in names():
    near = difflib.get_close_matches(name, names(), 3, 0.3)
    raise ValueError(
      f"no task or mixture {name!r}; nearest: {', '.join(near) or 'none'} "
      "(is MIXTURE_OR_TASK_MODULE the module that registers it?)"
    )
  return seqio.get_mixture_or_task(name)


def kind_of(name: str) -> str:
  """The kind of a task; of a task registered outside xlrm 'summary'."""
  known = _definitions.get(name)
  return known.kind if known else "summary"


def from_left(name: str) -> bool:
  """Whether the long inputs of a task lose their beginning."""
  known = _definitions.get(name)
  return known is not None and known.from_left


def instruction(
  language: str,
  language_name: str | None = None,
  template: str = INSTRUCTION,
) -> str:
  """The paper's instruction, which stands before what a policy reads.

  Raises:
    ValueError: no English name of the language is known or given.
  """
  spoken = language_name or language_names.ENGLISH.get(language)
  if spoken is None:
    near = difflib.get_close_matches(language, language_names.ENGLISH, 1, 0.5)
    hint = f" (nearest: {near[0]})" if near else ""
    raise ValueError(
      f"the language {language!r} has no English name here{hint}; known: "
      f"{', '.join(language_names.ENGLISH)}; give language_name"
    )
  return template.format(language=spoken)
