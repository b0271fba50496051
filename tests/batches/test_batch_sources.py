"""Sources: order, resume, validation, npz files."""

import dataclasses
import itertools
import mmap
import zipfile

import jax
import numpy as np
import pytest

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


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("parts", [(), ((20, 3.0), (3, 1.0))])
def test_g18_batches_from_a_step_on_are_the_tail(packing, parts):
  made = source(packing=packing, parts=parts)
  whole = take(made, 0, 20)
  for start in (1, 5, 6, 19):
    fresh = source(packing=packing, parts=parts)
    equal(take(fresh, start, 20 - start), whole[start:])


def test_every_epoch_has_every_row_once_in_another_order():
  firsts = [x.inputs[:, 0] for x in take(source(), 0, 23)]
  epochs = np.concatenate(firsts).reshape(4, 23)
  for epoch in epochs:
    assert sorted(epoch) == list(range(10, 33))
  assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_seed_changes_the_order_and_a_batch_may_exceed_the_split():
  one, other = (take(source(seed=seed), 0, 3) for seed in (0, 1))
  assert any((a.inputs != b.inputs).any() for a, b in zip(one, other))
  batch = take(source(num=3, batch_size=8), 0, 1)[0]
  assert sorted(set(batch.inputs[:, 0])) == [10, 11, 12]


def test_packed_rows_hold_every_training_token():
  wide = {"inputs": 20, "targets": 20}
  made = source(packing=True, batch_size=1, lengths=wide)
  rows = len(made._stream[0])
  assert rows < 23
  kept = np.concatenate([x.inputs[x.inputs > 0] for x in take(made, 0, rows)])
  wanted = np.concatenate([x["inputs"] for x in made.train])
  assert sorted(kept) == sorted(wanted)


def test_validation_is_all_rows_once_with_empty_filler_rows():
  made = source()
  seen = list(made.validation_batches())
  equal(seen, list(made.validation_batches()))
  assert [x.inputs.shape for x in seen] == [(4, 8), (4, 8)]
  firsts = np.concatenate([x.inputs[:, 0] for x in seen])
  assert firsts.tolist() == [*range(500, 507), 0]
  assert seen[1].weights[3].sum() == 0
  assert not list(source(validation=0).validation_batches())


def test_group_sizes_are_fixed_over_all_batches():
  rows = [
    {"inputs": [1], "targets": [[1]] * size, "ranks": list(range(size))}
    for size in (2, 2, 2, 5)
  ]
  made = batch_sources.ArraySource(
    rows, rows[:2], LENGTHS, 2, converter=converters.to_preferences
  )
  shapes = {
    x.ranks.shape for x in (*take(made, 0, 4), *made.validation_batches())
  }
  assert shapes == {(2, 5)}


def test_the_fingerprint_changes_with_the_batches_only():
  first = source().fingerprint()
  assert source().fingerprint() == first
  for change in (
    dict(seed=1),
    dict(batch_size=5),
    dict(num=22),
    dict(packing=True),
    dict(lengths={"inputs": 8, "targets": 5}),
    dict(parts=((20, 1.0), (3, 1.0))),
  ):
    assert source(**change).fingerprint() != first
  rows = drawn(23)
  rows[7]["targets"] = rows[7]["targets"].copy()
  rows[7]["targets"][0] += 1
  changed = dataclasses.replace(source(), train=rows)
  assert changed.fingerprint() != first


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


@pytest.mark.parametrize("kind", list(KINDS))
def test_npz_gives_the_same_batches(kind, tmp_path):
  made = of_kind(kind)
  batch_sources.write_npz(tmp_path / "batches.npz", made)
  assert [x.name for x in tmp_path.iterdir()] == ["batches.npz"]
  read = batch_sources.npz_source(tmp_path / "batches.npz", LENGTHS, 4)
  equal(take(read, 2, 5), take(made, 2, 5))
  equal(list(read.validation_batches()), list(made.validation_batches()))
  assert read.examples("validation") == made.examples("validation")
  assert read.fingerprint() == made.fingerprint()


@pytest.mark.parametrize(
  ("kind", "packing"), [("summary", True), *((kind, False) for kind in KINDS)]
)
def test_own_rows_of_a_batch_are_those_of_the_whole(kind, packing):
  made = dataclasses.replace(of_kind(kind), packing=packing)
  halves = slice(0, 2), slice(2, 4)
  whole = [*take(made, 3, 6), *made.validation_batches()]
  parts = [
    [
      *itertools.islice(made.train_batches(3, own), 6),
      *made.validation_batches(own),
    ]
    for own in halves
  ]
  join = lambda *x: np.concatenate(x)
  equal([jax.tree.map(join, *pair) for pair in zip(*parts)], whole)


def test_a_process_may_have_none_of_the_last_validation_rows():
  made = source(validation=5)  # batches of 4: one row, three of no weight
  *_, last = made.validation_batches(slice(2, 4))
  assert last.inputs.shape == (2, 8) and not last.inputs.any()
  assert last.weights.shape == (2, 1, 6) and not last.weights.any()


def test_rows_of_a_plain_file_stay_in_it_until_they_are_asked_for(tmp_path):
  path = tmp_path / "rows.npz"
  made = dataclasses.replace(source(num=9000), packing=True)
  batch_sources.write_npz(path, made, compressed=False)
  read = batch_sources.npz_source(path, LENGTHS, 4, packing=True)
  owner = read.train[7]["targets"]
  while isinstance(owner, np.ndarray):
    assert not owner.flags.writeable
    owner = owner.base
  assert isinstance(owner.obj, mmap.mmap)
  equal(take(read, 2, 5), take(made, 2, 5))
  equal(list(read.validation_batches()), list(made.validation_batches()))
  assert read.fingerprint() == made.fingerprint()


def test_g28_npz_files_that_cannot_be_read_are_named(tmp_path):
  path = tmp_path / "batches.npz"
  with pytest.raises(FileNotFoundError, match="no batch file .*batches.npz"):
    batch_sources.npz_source(path, LENGTHS, 4)
  batch_sources.write_npz(path, source())
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) // 2])
  with pytest.raises(ValueError, match="batches.npz is no .npz file"):
    batch_sources.npz_source(path, LENGTHS, 4)
  with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
    file.writestr("train.npy", "no array")
  with pytest.raises(ValueError, match="x.npz was not written by"):
    batch_sources.npz_source(tmp_path / "x.npz", LENGTHS, 4)
  np.savez(path, inputs=np.zeros(3))
  with pytest.raises(ValueError, match="was not written by"):
    batch_sources.npz_source(path, LENGTHS, 4)
  np.savez(path, format=np.asarray(99), kind=np.asarray("summary"))
  with pytest.raises(ValueError, match="has format 99, this xlrm reads"):
    batch_sources.npz_source(path, LENGTHS, 4)


def test_g28_a_flipped_byte_in_an_npz_file_is_noticed(tmp_path):
  path = tmp_path / "batches.npz"
  batch_sources.write_npz(path, source(num=200))
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0xFF
  path.write_bytes(content)
  with pytest.raises(ValueError, match="damaged"):
    batch_sources.npz_source(path, LENGTHS, 4)


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
    source(**settings)


def test_g28_an_empty_training_split_is_an_error():
  with pytest.raises(ValueError, match="training split is empty"):
    next(source(num=0).train_batches(0))
