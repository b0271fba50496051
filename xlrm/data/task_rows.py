"""SeqIO tasks read once: rows of text, and examples of token ids.

Nearly every text task ends with `tokenize` and `append_eos`. Of those only
the steps before run in TensorFlow; sentencepiece in Python gives the same ids
several times faster, and the rows serve every tokenizer. A task with other
steps behind `tokenize` (span corruption, say) runs whole, with the model's
vocabulary in place of its own.
"""

import functools
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from xlrm import types
from xlrm.text import tokenizer as tokenizer_lib

FEATURES = ("inputs", "targets")
READ_TOGETHER = 512  # rows; one at a time is ten times slower
LAST_STEPS = (
  seqio.preprocessors.append_eos,
  seqio.preprocessors.append_eos_after_trim,
)


def _text_steps(task: seqio.Task) -> list | None:
  """The preprocessors before tokenization, if it is the plain one."""
  steps = [
    step
    for step in task.preprocessors
    if not isinstance(step, seqio.CacheDatasetPlaceholder)
  ]
  if seqio.preprocessors.tokenize not in steps:
    return None
  place = steps.index(seqio.preprocessors.tokenize)
  plain = all(step in LAST_STEPS for step in steps[place + 1 :])
  return steps[:place] if plain else None


def _own_tokenizer(task: seqio.Task) -> tokenizer_lib.Tokenizer | None:
  """The tokenizer of a task's vocabulary, if it is sentencepiece."""
  vocabulary = task.output_features["inputs"].vocabulary
  if not isinstance(vocabulary, seqio.SentencePieceVocabulary):
    return None
  return tokenizer_lib.Tokenizer.load(
    vocabulary.sentencepiece_model_file, extra_ids=vocabulary.extra_ids
  )


def _python(value: Any) -> Any:
  """b'a' -> 'a', also inside lists; numbers stay."""
  if isinstance(value, list):
    return [_python(part) for part in value]
  return value.decode("utf-8") if isinstance(value, bytes) else value


def _column(value: tf.Tensor | tf.RaggedTensor) -> list:
  ragged = isinstance(value, tf.RaggedTensor)
  return _python(value.to_list() if ragged else value.numpy().tolist())


def _read(task: seqio.Task, split: str) -> list[dict[str, Any]]:
  """SeqIO's examples as texts, numbers and lists of them, in its order."""
  dataset = task.get_dataset(
    sequence_length=None, split=split, shuffle=False, num_epochs=1
  )
  rows = []
  for batch in dataset.ragged_batch(READ_TOGETHER):
    columns = {name: _column(value) for name, value in batch.items()}
    rows += [dict(zip(columns, values)) for values in zip(*columns.values())]
  return rows


@functools.lru_cache(maxsize=64)
def text_rows(task: seqio.Task, split: str) -> tuple[dict[str, Any], ...]:
  """Rows with `inputs_pretokenized`, `targets_pretokenized` and the rest.

  Raises:
    ValueError: the split is empty, or the task keeps no text.
  """
  steps = _text_steps(task)
  if steps is None:
    rows = _read(task, split)
  else:
    text = seqio.ContinuousFeature(dtype=tf.string, rank=0)
    features = dict.fromkeys(FEATURES, text)
    plain = task.replace(preprocessors=steps, output_features=features)
    rows = _read(plain, split)
    for row in rows:
      for name in FEATURES:
        row[f"{name}_pretokenized"] = row.pop(name)
  if not rows:
    raise ValueError(f"task {task.name!r}: split {split!r} is empty")
  for number, row in enumerate(rows):
    defaults = {
      "id": f"{task.name}/{split}/{number}",
      "language": "",
      "dataset": task.name,
      "reward_inputs": row.get("inputs_pretokenized", ""),
    }
    for name, value in defaults.items():
      row.setdefault(name, value)
    row["task"] = task.name
  return tuple(rows)


def token_examples(
  task: seqio.Task,
  split: str,
  kind: str,
  tokenizer: tokenizer_lib.Tokenizer | None,
) -> list[dict[str, Any]]:
  """Token arrays of a split, each ending in EOS.

  Args:
    task: of SeqIO.
    split: one of its splits.
    kind: of the task, see `registry`.
    tokenizer: None is the task's own.
  """
  tokenizer = tokenizer or _own_tokenizer(task)
  if tokenizer is None or _text_steps(task) is None:
    return _whole_task(task, split, tokenizer)

  def ids(text: str) -> np.ndarray:
    return np.asarray([*tokenizer.encode(text), types.EOS_ID], np.int32)

  examples = []
  for row in text_rows(task, split):
    example = {name: ids(row[f"{name}_pretokenized"]) for name in FEATURES}
    if kind == "rating":
      example["rating"] = np.float32(row["rating"])
    if kind == "preference":
      example["targets"] = [ids(text) for text in row["responses"]]
      example["ranks"] = list(row["ranks"])
      example["margin"] = np.float32(row.get("margin", 0.0))
    examples.append(example)
  return examples


def _whole_task(
  task: seqio.Task, split: str, tokenizer: tokenizer_lib.Tokenizer | None
) -> list[dict[str, Any]]:
  """All steps of a task registered outside xlrm, in SeqIO."""
  features = {name: task.output_features[name] for name in FEATURES}
  if tokenizer is not None:
    vocabulary = seqio.SentencePieceVocabulary(
      tokenizer.path, extra_ids=tokenizer.extra_ids
    )
    features = {
      name: seqio.Feature(vocabulary, add_eos=feature.add_eos)
      for name, feature in features.items()
    }
  examples = []
  for row in _read(task.replace(output_features=features), split):
    examples.append({name: _ended(row[name]) for name in FEATURES})
  return examples


def _ended(ids: list[int]) -> np.ndarray:
  ids = [x for x in ids if x != types.PAD_ID]
  if not ids or ids[-1] != types.EOS_ID:
    ids.append(types.EOS_ID)
  return np.asarray(ids, np.int32)
