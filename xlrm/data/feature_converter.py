"""Rows of SeqIO tasks as batches of `types`, by SeqIO's own pipeline.

For trainers that read through `seqio.get_dataset`, such as T5X's; xlrm's own
jobs read through `seqio_source`, and get the same rows.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from xlrm import types
from xlrm.batches import converters
from xlrm.text import token_lengths

COLUMNS = {
  "summary": ("inputs", "targets"),
  "rating": ("inputs", "targets", "rating"),
  "preference": ("inputs", "responses", "ranks"),
}  # kind -> what its rows must have


def to_arrays(batch: Any) -> dict[str, Any]:
  """A batch of `types` as one flat dict; fields that are None are left out.

  Ratings(Batch(inputs, ..), ratings) -> {"inputs": .., "ratings": ..}
  """
  arrays = {}
  for field in dataclasses.fields(batch):
    value = getattr(batch, field.name)
    if dataclasses.is_dataclass(value):
      arrays |= to_arrays(value)
    elif value is not None:
      arrays[field.name] = value
  return arrays


class FeatureConverter(seqio.FeatureConverter):
  """Rows of a task as rows of the batches that xlrm's own jobs train on.

  `converters.CONVERTERS` does the work, row by row, so that rows are clipped
  and padded alike: EOS stays at the end. For that SeqIO must not have trimmed
  them (`utils.DatasetConfig.trim_output_features = False`).
  """

  def __init__(
    self,
    pack: bool = False,
    use_custom_packing_ops: bool = False,
    *,
    kind: str,
    vocabulary: seqio.Vocabulary,
    from_left: bool = False,
  ):
    """
    Args:
      pack: T5X's switch; must be off.
      use_custom_packing_ops: T5X's; without packing nothing to say.
      kind: of the task, a key of `converters.CONVERTERS`.
      vocabulary: of the task; ranked responses are tokenized here.
      from_left: long inputs lose their beginning.

    Raises:
      ValueError: rows are to be packed.
    """
    del use_custom_packing_ops
    if pack:
      raise ValueError(
        "xlrm's batches are not packed by T5X's trainer: set pack = False in "
        "train/utils.DatasetConfig and train_eval/utils.DatasetConfig"
      )
    self._kind = kind
    self._vocabulary = vocabulary
    self._from_left = from_left

  def __call__(
    self, ds: tf.data.Dataset, task_feature_lengths: Mapping[str, int]
  ) -> tf.data.Dataset:
    """One row of the batch per row of the task.

    Args:
      ds: tokenized rows of a task of the converter's kind.
      task_feature_lengths: tokens of `inputs` and `targets`, EOS included; of
        rankings also `responses`, how many a prompt has at most (default 2).

    Raises:
      ValueError: the rows are of another kind, or a length is missing.
    """
    lengths = dict(task_feature_lengths or {})
    if self._kind == "preference":
      lengths.setdefault("responses", 2)
    columns = self._columns(ds.element_spec)
    for name in converters.FEATURES:
      if lengths.get(name, 0) < 1:
        raise ValueError(
          f"TASK_FEATURE_LENGTHS {lengths} have no {name!r} of at least 1"
        )
    arrays = self._row(lengths, self._example({}))
    names, dtypes = list(arrays), [x.dtype for x in arrays.values()]

    def convert(*values):
      example = self._example(dict(zip(columns, values)))
      return list(self._row(lengths, example).values())

    def row(given):
      values = [_dense(given[name]) for name in columns]
      made = tf.numpy_function(convert, values, dtypes)
      return {
        name: tf.ensure_shape(x, arrays[name].shape)
        for name, x in zip(names, made)
      }

    return ds.map(row, num_parallel_calls=tf.data.AUTOTUNE)

  def _columns(self, spec: Mapping[str, Any]) -> list[str]:
    needed = COLUMNS[self._kind]
    missing = [name for name in needed if name not in spec]
    if missing:
      raise ValueError(
        f"a task of the kind {self._kind!r} has rows with {needed}; these have "
        f"no {', '.join(missing)} but {sorted(spec)}"
      )
    optional = ["margin"] if self._kind == "preference" else []
    return [*needed, *(name for name in optional if name in spec)]

  def _example(self, row: Mapping[str, Any]) -> converters.Example:
    """A row as `converters` wants it; missing columns get fillers."""
    eos = np.asarray([types.EOS_ID], np.int32)
    inputs = _ended(row.get("inputs", eos))
    if self._kind != "preference":
      targets = _ended(row.get("targets", eos))
      rating = np.float32(row.get("rating", 0.0))
      return {"inputs": inputs, "targets": targets, "rating": rating}
    return {
      "inputs": inputs,
      "targets": [self._ids(x) for x in row.get("responses", [b"", b""])],
      "ranks": list(row.get("ranks", [0, 1])),
      "margin": np.float32(row.get("margin", 0.0)),
    }

  def _ids(self, text: bytes) -> np.ndarray:
    ids = self._vocabulary.encode(text.decode("utf-8"))
    return np.asarray([*ids, types.EOS_ID], np.int32)

  def _row(self, lengths, example) -> dict[str, np.ndarray]:
    inputs = token_lengths.clip(
      example["inputs"], lengths["inputs"], from_left=self._from_left
    )
    convert = converters.CONVERTERS[self._kind]
    arrays = to_arrays(convert([{**example, "inputs": inputs}], lengths))
    return {name: np.asarray(x)[0] for name, x in arrays.items()}

  def _convert_features(self, ds, task_feature_lengths):
    return self(ds, task_feature_lengths)

  def get_model_feature_lengths(
    self, task_feature_lengths: Mapping[str, int]
  ) -> Mapping[str, int]:
    """The lengths of the task: the converter checks lengths itself."""
    return task_feature_lengths


def _dense(value):
  return value.to_tensor() if isinstance(value, tf.RaggedTensor) else value


def _ended(ids: np.ndarray) -> np.ndarray:
  """[5, 7, 0] -> [5, 7, 1]; [5, 1] stays."""
  ids = np.asarray(ids, np.int32)
  ids = ids[ids != types.PAD_ID]
  if len(ids) and ids[-1] == types.EOS_ID:
    return ids
  return np.append(ids, np.int32(types.EOS_ID))
