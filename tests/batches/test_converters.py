"""Examples to batches: padding, truncation, groups, packing, filler rows."""

import numpy as np
import pytest

from xlrm import types
from xlrm.batches import converters

LENGTHS = {"inputs": 6, "targets": 4}


def example(inputs, targets, **more):
  arrays = {"inputs": np.asarray(inputs), "targets": np.asarray(targets)}
  return {**arrays, **more}


def drawn(num, seed=0, longest=6):
  """Examples whose tokens are all different."""
  rng = np.random.default_rng(seed)
  token, result = 10, []
  for _ in range(num):
    parts = []
    for limit in (longest, 4):
      size = int(rng.integers(1, limit))
      parts.append([*range(token, token + size), 1])
      token += size
    result.append(example(*parts))
  return result


def test_g02_rows_are_padded_on_the_right_and_end_in_eos():
  batch = converters.to_batch(
    [example([5, 1], [6, 7, 1]), example([5, 6, 7, 8, 9, 10, 1], [1])], LENGTHS
  )
  types.check_shapes(batch)
  assert batch.inputs.tolist() == [[5, 1, 0, 0, 0, 0], [5, 6, 7, 8, 9, 1]]
  assert batch.targets.tolist() == [[[6, 7, 1, 0]], [[1, 0, 0, 0]]]
  assert batch.weights.tolist() == [[[1, 1, 1, 0]], [[1, 0, 0, 0]]]
  assert batch.inputs.dtype == np.int32 and batch.weights.dtype == np.float32


def test_truncated_examples_are_counted():
  examples = [example([5, 1], [1]), example([5] * 9, [6] * 5)]
  counts = converters.count_long(examples, LENGTHS)
  assert counts == {"inputs": 1, "targets": 1}
  groups = [{"inputs": np.asarray([1]), "targets": [[1] * 5, [1], [1] * 9]}]
  assert converters.count_long(groups, LENGTHS)["targets"] == 2


def test_ratings_are_float_and_inside_their_range():
  made = converters.to_ratings([example([1], [1], rating=0.25)], LENGTHS)
  assert made.ratings.tolist() == [[0.25]]
  assert made.ratings.dtype == np.float32
  for wrong in (1.5, -0.1, float("nan")):
    with pytest.raises(ValueError, match=f"rating {wrong}"):
      converters.to_ratings([example([1], [1], rating=wrong)], LENGTHS)


def test_groups_are_completed_with_no_response():
  examples = [
    {"inputs": [5, 1], "targets": [[6, 1], [7, 1]], "ranks": [1, 0]},
    {"inputs": [5, 1], "targets": [[8, 9, 9, 9, 1]], "ranks": [0]},
  ]
  lengths = {**LENGTHS, "responses": 3}
  made = converters.to_preferences(examples, lengths)
  assert made.ranks.tolist() == [[1, 0, -1], [0, -1, -1]]
  assert made.batch.targets[1, 0].tolist() == [8, 9, 9, 1]
  assert made.batch.weights.sum(-1).tolist() == [[2, 2, 0], [4, 0, 0]]
  assert converters.to_preferences(examples, LENGTHS).ranks.shape == (2, 2)
  with pytest.raises(ValueError, match="2 responses with 2 ranks"):
    converters.to_preferences(examples, {**LENGTHS, "responses": 1})


def test_a_response_with_a_replaced_token_is_not_predicted():
  rows = [
    example([5, 1], [6, 7, 1], replaced=[-1, -1, -1]),
    example([5, 1], [6, 7, 1], replaced=[0, 1, 1]),
    example([5, 1], [6, 7, 1], replaced=[0, 0, 0]),
  ]
  made = converters.to_corrupted(rows, LENGTHS)
  labels = [[[-1] * 4], [[0, 1, 1, -1]], [[0, 0, 0, -1]]]
  assert made.replaced.tolist() == labels
  weights = [[[1, 1, 1, 0]], [[0, 0, 0, 0]], [[1, 1, 1, 0]]]
  assert made.batch.weights.tolist() == weights


def test_packing_keeps_every_token_once_and_segments_apart():
  examples = drawn(40)
  packed = converters.pack(examples, LENGTHS)
  assert len(packed) < len(examples)
  batch = converters.to_packed_batch(packed, LENGTHS)
  for name, ids, segments in (
    ("inputs", batch.inputs, batch.input_segments),
    ("targets", batch.targets[:, 0], batch.target_segments[:, 0]),
  ):
    found = []
    for row, marks in zip(ids, segments):
      assert ((row == 0) == (marks == 0)).all()
      for segment in range(1, marks.max() + 1):
        found.append(row[marks == segment].tolist())
    assert found == [x[name].tolist() for x in examples]
  assert batch.weights.sum() == sum(len(x["targets"]) for x in examples)


def test_packing_cuts_what_is_longer_than_a_row():
  packed = converters.pack([example([5] * 8 + [1], [6] * 8 + [1])], LENGTHS)
  assert packed[0]["inputs"].tolist() == [5, 5, 5, 5, 5, 1]
  assert packed[0]["targets"].tolist() == [6, 6, 6, 1]


def test_filler_rows_count_for_nothing():
  rows = [example([5, 1], [6, 1], rating=1.0, replaced=[0, 1])]
  rated = converters.fill(converters.to_ratings(rows, LENGTHS), 3)
  assert rated.ratings.tolist() == [[1], [0], [0]]
  assert rated.batch.weights.sum((1, 2)).tolist() == [2, 0, 0]
  assert rated.batch.input_segments is None
  corrupted = converters.fill(converters.to_corrupted(rows, LENGTHS), 2)
  assert (corrupted.replaced[1] == -1).all()
  ranked = [{"inputs": [1], "targets": [[1]], "ranks": [0]}]
  ranked = converters.fill(converters.to_preferences(ranked, LENGTHS), 2)
  assert ranked.ranks.tolist() == [[0], [-1]]
