"""T5X's pipeline gives the batches of xlrm's own jobs, row by row."""

import jax
import numpy as np
import pytest
import seqio

from xlrm.batches import converters
from xlrm.data import feature_converter
from xlrm.data import seqio_source

LENGTHS = {"inputs": 10, "targets": 6}
MORE = {
  "summary": {},
  "rating": {"rating": 0.25},
  "preference": {"responses": ["dos", "tres y más"], "ranks": [1, 0]},
}


def register(registry, kind, count=5):
  def read(split):
    return [
      {
        "id": f"{i}",
        "language": "es",
        "dataset": "letters",
        "inputs": "niebla en la costa " * (1 + i),
        "reward_inputs": "niebla en la costa " * (1 + i),
        "targets": "91 grupos",
        **MORE[kind],
      }
      for i in range(count)
    ]

  registry.register(f"letters_{kind}.es", read, kind=kind)
  return f"letters_{kind}.es"


def theirs(name, kind, lengths, **options):
  task = seqio.get_mixture_or_task(name)
  converter = feature_converter.FeatureConverter(
    kind=kind,
    vocabulary=task.output_features["inputs"].vocabulary,
    **options,
  )
  rows = converter(task.get_dataset(None, "train", shuffle=False), lengths)
  return list(rows.as_numpy_iterator())


@pytest.mark.parametrize("kind", list(MORE))
def test_rows_are_those_of_our_own_batches(registry, kind):
  name = register(registry, kind)
  source = seqio_source.SeqioSource(name, LENGTHS, 5)
  lengths = {**LENGTHS, "responses": 2}
  convert = converters.CONVERTERS[kind]
  own = feature_converter.to_arrays(convert(source.arrays.train, lengths))
  rows = theirs(name, kind, LENGTHS)
  assert len(rows) == 5 and rows[0].keys() == own.keys()
  for column, array in own.items():
    found = np.stack([row[column] for row in rows])
    assert found.dtype == np.asarray(array).dtype
    np.testing.assert_array_equal(found, array)


def test_long_inputs_may_lose_their_beginning(registry):
  name = register(registry, "summary")
  ids = seqio_source.SeqioSource(name, LENGTHS, 5).arrays.train[4]["inputs"]
  assert len(ids) > 10
  right, left = (
    theirs(name, "summary", LENGTHS, from_left=x)[4]["inputs"]
    for x in (False, True)
  )
  assert right.tolist() == [*ids[:9], 1] and left.tolist() == list(ids[-10:])


def test_nested_batches_are_flat_without_what_is_none():
  rows = [{"inputs": np.asarray([5, 1]), "targets": np.asarray([1])}]
  rows[0]["rating"] = np.float32(1)
  batch = converters.to_ratings(rows, LENGTHS)
  flat = feature_converter.to_arrays(batch)
  assert set(flat) == {"inputs", "targets", "weights", "ratings"}
  assert len(jax.tree.leaves(batch)) == len(flat)


def test_g28_what_does_not_fit_is_named(registry):
  with pytest.raises(ValueError, match="set pack = False"):
    feature_converter.FeatureConverter(True, kind="summary", vocabulary=None)
  name = register(registry, "summary")
  with pytest.raises(ValueError, match="no rating but"):
    theirs(name, "rating", LENGTHS)
  with pytest.raises(ValueError, match="have no 'targets' of at least 1"):
    theirs(name, "summary", {"inputs": 4})
