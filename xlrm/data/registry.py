"""One way to register a task: rows of text with a name, on SeqIO's registry.

A registered task is a plain SeqIO task: `seqio.get_mixture_or_task(name)`
works, in T5X too. Registering the same definition again is fine (a notebook
cell runs twice); another definition under a taken name is an error that shows
both.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import difflib
from typing import Any

import seqio
import tensorflow as tf

from xlrm import pretrained

KINDS = ("summary", "rating")
INSTRUCTION = "Summarize the following text in {language}: "
LANGUAGE_NAMES = {
  "de": "German",
  "en": "English",
  "es": "Spanish",
  "ru": "Russian",
  "tr": "Turkish",
  "vi": "Vietnamese",
}
TEXTS = ("id", "language", "dataset", "inputs", "reward_inputs", "targets")

Reader = Callable[[str], Sequence[Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Definition:
  """What a task is; two tasks are the same if these are equal.

  Attributes:
    name: 'dataset_kind.language'.
    kind: 'summary' (SFT and prompts) or 'rating'.
    splits: names of the splits.
    settings: whatever decides the rows: files, fields, sizes.
  """

  name: str
  kind: str
  splits: tuple[str, ...]
  settings: tuple[tuple[str, Any], ...]

  def __post_init__(self):
    if self.kind not in KINDS:
      raise ValueError(f"kind {self.kind!r} is none of {', '.join(KINDS)}")


_definitions: dict[str, Definition] = {}


def _columns(rows: Sequence[Mapping[str, Any]], kind: str) -> dict[str, list]:
  names = TEXTS if kind == "summary" else (*TEXTS, "rating", "fault")
  return {name: [row[name] for row in rows] for name in names}


def _source(definition: Definition, read: Reader) -> seqio.FunctionDataSource:
  def dataset_fn(split, shuffle_files, seed=None):
    del shuffle_files, seed  # the order is the source's; xlrm shuffles later
    rows = read(split)
    if not rows:
      raise ValueError(f"task {definition.name}: the split {split!r} is empty")
    columns = _columns(rows, definition.kind)
    if "rating" in columns:
      columns["rating"] = tf.constant(columns["rating"], tf.float32)
    return tf.data.Dataset.from_tensor_slices(columns)

  return seqio.FunctionDataSource(dataset_fn, splits=definition.splits)


def register(
  name: str,
  read: Reader,
  *,
  kind: str,
  splits: Sequence[str] = ("train", "validation"),
  settings: Mapping[str, Any] | None = None,
  vocabulary: str | None = None,
  extra_ids: int = 100,
) -> str:
  """Registers a task and returns its name.

  Args:
    name: 'dataset_kind.language'.
    read: split -> rows with the texts `id`, `language`, `dataset`, `inputs`
      (what the policy reads, instruction included), `reward_inputs` (what a
      reward model reads) and `targets`; a rating task's rows also have
      `rating` in [0, 1] and `fault` (may be "").
    kind: 'summary' or 'rating'.
    splits: that `read` knows.
    settings: whatever decides the rows; the definition's identity.
    vocabulary: sentencepiece file for SeqIO's own token ids; xlrm's jobs
      tokenize the texts with their model's. None is the nano model's.
    extra_ids: sentinels of that vocabulary.

  Raises:
    ValueError: the name is taken by another definition.
  """
  if vocabulary is None:
    vocabulary = pretrained.vocabulary_path("nano")
    extra_ids = pretrained.read_description("nano").extra_ids
  chosen = {"vocabulary": vocabulary, "extra_ids": extra_ids}
  merged = {**(settings or {}), **chosen}
  definition = Definition(
    name, kind, tuple(splits), tuple(sorted(merged.items()))
  )
  known = _definitions.get(name)
  if known == definition:
    return name
  if known is not None or name in seqio.TaskRegistry.names():
    raise ValueError(
      f"task {name!r} is registered already with another definition.\n"
      f"  before: {known or 'registered outside xlrm'}\n  now:    {definition}"
    )
  pieces = seqio.SentencePieceVocabulary(vocabulary, extra_ids=extra_ids)
  policy_reads = "inputs" if kind == "summary" else "reward_inputs"
  seqio.TaskRegistry.add(
    name,
    source=_source(definition, read),
    preprocessors=[
      _choose_inputs(policy_reads),
      seqio.preprocessors.tokenize,
      seqio.preprocessors.append_eos,
    ],
    output_features={
      "inputs": seqio.Feature(pieces, add_eos=True, required=True),
      "targets": seqio.Feature(pieces, add_eos=True, required=True),
    },
    metric_fns=[],
  )
  _definitions[name] = definition
  return name


def _choose_inputs(field: str):
  """The text that this task's model reads becomes `inputs`."""

  def preprocess(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return dataset.map(lambda row: {**row, "inputs": row[field]})

  return preprocess


def register_mixture(name: str, tasks: Sequence[str]) -> str:
  """Registers an even mixture of tasks; the same again is fine."""
  if name in seqio.MixtureRegistry.names():
    known = sorted(t.name for t in seqio.MixtureRegistry.get(name).tasks)
    if known != sorted(tasks):
      raise ValueError(
        f"mixture {name!r} is registered already.\n  before: {known}\n"
        f"  now:    {sorted(tasks)}"
      )
    return name
  seqio.MixtureRegistry.add(name, list(tasks), default_rate=1.0)
  return name


def get(name: str) -> seqio.Task | seqio.Mixture:
  """A task or mixture.

  Raises:
    ValueError: none of that name; names the nearest.
  """
  names = [*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()]
  if name not in names:
    near = difflib.get_close_matches(name, names, 3, 0.3)
    raise ValueError(
      f"no task or mixture {name!r}; nearest: {', '.join(near) or 'none'} "
      "(is MIXTURE_OR_TASK_MODULE the module that registers it?)"
    )
  return seqio.get_mixture_or_task(name)


def kind_of(name: str) -> str:
  """The kind of a task; of a task registered outside xlrm 'summary'."""
  known = _definitions.get(name)
  return known.kind if known else "summary"


def with_instruction(language: str, text: str) -> str:
  """The paper's prompt of the policy."""
  if language not in LANGUAGE_NAMES:
    raise ValueError(
      f"no name for the language {language!r}; known: "
      f"{', '.join(LANGUAGE_NAMES)} (add it to registry.LANGUAGE_NAMES)"
    )
  return INSTRUCTION.format(language=LANGUAGE_NAMES[language]) + text
