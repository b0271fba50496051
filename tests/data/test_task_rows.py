"""Rows and tokens of tasks, against SeqIO's own pipeline."""

import numpy as np
import pytest
import seqio

from xlrm.data import task_rows

TEXTS = ["niebla en la costa", "дождь", "91 grupos ılık", ""]


def register(registry, name="rows_summary.es", kind="summary", **more):
  def read(split):
    if split == "test":
      return []
    return [
      {
        "id": f"{split}/{i}",
        "language": "es",
        "dataset": "rows",
        "inputs": f"Di: {text}",
        "reward_inputs": text,
        "targets": text[::-1],
        **more,
      }
      for i, text in enumerate(TEXTS)
    ]

  registry.register(name, read, kind=kind, splits=("train", "test"))
  return seqio.get_mixture_or_task(name)


def test_texts_are_what_the_task_says_of_them(registry):
  rows = task_rows.text_rows(register(registry), "train")
  assert [row["inputs_pretokenized"] for row in rows] == [
    f"Di: {x}" for x in TEXTS
  ]
  first = rows[0]
  assert first["targets_pretokenized"] == TEXTS[0][::-1]
  assert first["reward_inputs"] == TEXTS[0]
  assert (first["id"], first["task"]) == ("train/0", "rows_summary.es")


def test_tokens_are_those_of_seqio(registry):
  task = register(registry, "rows_rating.es", "rating", rating=0.5)
  found = task_rows.token_examples(task, "train", "rating", None)
  theirs = list(
    task.get_dataset(None, "train", shuffle=False).as_numpy_iterator()
  )
  assert len(found) == len(theirs) == len(TEXTS)
  for ours, row in zip(found, theirs):
    for name in task_rows.FEATURES:
      np.testing.assert_array_equal(ours[name], row[name])
    assert ours["rating"] == row["rating"] == 0.5


def test_ranked_responses_are_tokenized_one_by_one(registry):
  task = register(
    registry,
    "rows_preference.es",
    "preference",
    responses=["dos", "más"],
    ranks=[1, 0],
    margin=2.0,
  )
  vocabulary = task.output_features["inputs"].vocabulary
  (first, *_) = task_rows.token_examples(task, "train", "preference", None)
  assert [x.tolist() for x in first["targets"]] == [
    [*vocabulary.encode(x), 1] for x in ("dos", "más")
  ]
  assert first["ranks"] == [1, 0] and first["margin"] == 2.0


def test_a_foreign_task_gets_what_every_row_has(registry):
  import tensorflow as tf

  def read(split, shuffle_files):
    return tf.data.Dataset.from_tensor_slices(
      {"inputs": ["uno"], "targets": ["dos"]}
    )

  pieces = register(registry).output_features["inputs"].vocabulary
  feature = seqio.Feature(pieces, add_eos=True)
  task = seqio.TaskRegistry.add(
    "rows_foreign",
    seqio.FunctionDataSource(read, ["train"]),
    {"inputs": feature, "targets": feature},
    [seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
  )
  (row,) = task_rows.text_rows(task, "train")
  assert row == {
    "inputs_pretokenized": "uno",
    "targets_pretokenized": "dos",
    "id": "rows_foreign/train/0",
    "language": "",
    "dataset": "rows_foreign",
    "reward_inputs": "uno",
    "task": "rows_foreign",
  }


def test_g28_an_empty_split_is_named(registry):
  task = register(registry)
  with pytest.raises(ValueError, match="'rows_summary.es'.*'test'"):
    task_rows.text_rows(task, "test")
