"""Sources: order, resume, validation."""

import dataclasses
import itertools

import array_sources
import jax
import numpy as np
import pytest

from xlrm.batches import batch_sources
from xlrm.batches import converters


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("parts", [(), ((20, 3.0), (3, 1.0))])
def test_g18_batches_from_a_step_on_are_the_tail(packing, parts):
  made = array_sources.source(packing=packing, parts=parts)
  whole = array_sources.take(made, 0, 20)
  for start in (1, 5, 6, 19):
    fresh = array_sources.source(packing=packing, parts=parts)
    array_sources.equal(
      array_sources.take(fresh, start, 20 - start), whole[start:]
    )


def test_every_epoch_has_every_row_once_in_another_order():
  firsts = [
    x.inputs[:, 0] for x in array_sources.take(array_sources.source(), 0, 23)
  ]
  epochs = np.concatenate(firsts).reshape(4, 23)
  for epoch in epochs:
    assert sorted(epoch) == list(range(10, 33))
  assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_seed_changes_the_order_and_a_batch_may_exceed_the_split():
  one, other = (
    array_sources.take(array_sources.source(seed=seed), 0, 3) for seed in (0, 1)
  )
  assert any((a.inputs != b.inputs).any() for a, b in zip(one, other))
  batch = array_sources.take(array_sources.source(num=3, batch_size=8), 0, 1)[0]
  assert sorted(set(batch.inputs[:, 0])) == [10, 11, 12]


def test_packed_rows_hold_every_training_token():
  wide = {"inputs": 20, "targets": 20}
  made = array_sources.source(packing=True, batch_size=1, lengths=wide)
  rows = len(made._stream[0])
  assert rows < 23
  kept = np.concatenate(
    [x.inputs[x.inputs > 0] for x in array_sources.take(made, 0, rows)]
  )
  wanted = np.concatenate([x["inputs"] for x in made.train])
  assert sorted(kept) == sorted(wanted)


def test_validation_is_all_rows_once_with_empty_filler_rows():
  made = array_sources.source()
  seen = list(made.validation_batches())
  array_sources.equal(seen, list(made.validation_batches()))
  assert [x.inputs.shape for x in seen] == [(4, 8), (4, 8)]
  firsts = np.concatenate([x.inputs[:, 0] for x in seen])
  assert firsts.tolist() == [*range(500, 507), 0]
  assert seen[1].weights[3].sum() == 0
  assert not list(array_sources.source(validation=0).validation_batches())


def test_group_sizes_are_fixed_over_all_batches():
  rows = [
    {"inputs": [1], "targets": [[1]] * size, "ranks": list(range(size))}
    for size in (2, 2, 2, 5)
  ]
  made = batch_sources.ArraySource(
    rows,
    rows[:2],
    array_sources.LENGTHS,
    2,
    converter=converters.to_preferences,
  )
  shapes = {
    x.ranks.shape
    for x in (*array_sources.take(made, 0, 4), *made.validation_batches())
  }
  assert shapes == {(2, 5)}


def test_the_fingerprint_changes_with_the_batches_only():
  first = array_sources.source().fingerprint()
  assert array_sources.source().fingerprint() == first
  for change in (
    dict(seed=1),
    dict(batch_size=5),
    dict(num=22),
    dict(packing=True),
    dict(lengths={"inputs": 8, "targets": 5}),
    dict(parts=((20, 1.0), (3, 1.0))),
  ):
    assert array_sources.source(**change).fingerprint() != first
  rows = array_sources.drawn(23)
  rows[7]["targets"] = rows[7]["targets"].copy()
  rows[7]["targets"][0] += 1
  changed = dataclasses.replace(array_sources.source(), train=rows)
  assert changed.fingerprint() != first


@pytest.mark.parametrize(
  ("kind", "packing"),
  [("summary", True), *((kind, False) for kind in array_sources.KINDS)],
)
def test_own_rows_of_a_batch_are_those_of_the_whole(kind, packing):
  made = dataclasses.replace(array_sources.of_kind(kind), packing=packing)
  halves = slice(0, 2), slice(2, 4)
  whole = [*array_sources.take(made, 3, 6), *made.validation_batches()]
  parts = [
    [
      *itertools.islice(made.train_batches(3, own), 6),
      *made.validation_batches(own),
    ]
    for own in halves
  ]
  join = lambda *x: np.concatenate(x)
  array_sources.equal(
    [jax.tree.map(join, *pair) for pair in zip(*parts)], whole
  )


def test_a_process_may_have_none_of_the_last_validation_rows():
  made = array_sources.source(
    validation=5
  )  # batches of 4: one row, three of no weight
  *_, last = made.validation_batches(slice(2, 4))
  assert last.inputs.shape == (2, 8) and not last.inputs.any()
  assert last.weights.shape == (2, 1, 6) and not last.weights.any()


@pytest.mark.parametrize(
  "settings, message",
  [
    (dict(batch_size=0), "batch_size 0"),
    (dict(seed=-1), "seed -1"),
    (dict(lengths={"inputs": 8}), "no 'targets'"),
    (dict(parts=((3, 1.0),)), "parts of 3 examples, not 23"),
    (dict(packing=True, converter=converters.to_ratings), "only SFT rows"),
  ],
)
def test_wrong_settings_are_named(settings, message):
  with pytest.raises(ValueError, match=message):
    array_sources.source(**settings)


def test_g28_an_empty_training_split_is_an_error():
  with pytest.raises(ValueError, match="training split is empty"):
    next(array_sources.source(num=0).train_batches(0))
