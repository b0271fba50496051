"""Small sources of drawn examples, for tests of batches."""

import itertools

import jax
import numpy as np

from xlrm.batches import batch_sources
from xlrm.batches import converters

LENGTHS = {"inputs": 8, "targets": 6}


def drawn(num, start=10, **more):
  rng = np.random.default_rng(start)
  rows = []
  for index in range(num):
    rows.append(
      {
        "inputs": np.asarray([start + index, *rng.integers(2, 9, 3), 1]),
        "targets": np.asarray([*rng.integers(2, 9, rng.integers(1, 5)), 1]),
        **{name: make(rng) for name, make in more.items()},
      }
    )
  return rows


def source(num=23, validation=7, **settings):
  settings = {"lengths": LENGTHS, "batch_size": 4, **settings}
  return batch_sources.ArraySource(
    train=drawn(num), validation=drawn(validation, 500), **settings
  )


def take(source_, start, count):
  return list(itertools.islice(source_.train_batches(start), count))


def equal(one, other):
  leaves, structure = jax.tree.flatten(one)
  others, other_structure = jax.tree.flatten(other)
  assert structure == other_structure
  for a, b in zip(leaves, others, strict=True):
    assert a.dtype == b.dtype and a.shape == b.shape
    assert a.tobytes() == b.tobytes()


KINDS = {
  "summary": {},
  "rating": {"rating": lambda rng: np.float32(rng.integers(2))},
  "pretraining": {"replaced": lambda rng: None},
  "preference": {},
}


def of_kind(kind):
  rows = drawn(11, **KINDS[kind])
  for row in rows:
    if kind == "pretraining":
      row["replaced"] = np.full(len(row["targets"]), -1)
    if kind == "preference":
      row["ranks"] = list(range(len(row["targets"])))
      row["targets"] = [np.asarray([x, 1]) for x in row["targets"]]
  return batch_sources.ArraySource(
    train=rows,
    validation=rows[:3],
    lengths=LENGTHS,
    batch_size=4,
    converter=converters.CONVERTERS[kind],
    parts=((8, 2.0), (3, 1.0)),
    texts={"validation": [{"id": "a", "inputs_pretokenized": "ı ж"}]},
  )
