"""Ragged examples to flat arrays and back."""

import numpy as np
import pytest

from xlrm.batches import flat_examples


def test_values_lie_one_after_another():
  rows = [
    {"inputs": np.asarray([5, 6]), "rating": 0.5},
    {"inputs": np.asarray([7]), "rating": 1.0},
  ]
  found = flat_examples.flatten(rows, "train")
  assert {name: array.tolist() for name, array in found.items()} == {
    "train/count": 2,
    "train/inputs/values": [5, 6, 7],
    "train/inputs/lengths": [2, 1],
    "train/rating/scalars": [0.5, 1.0],
  }
  kinds = [
    found[f"train/{x}"].dtype for x in ("inputs/values", "rating/scalars")
  ]
  assert kinds == [np.int32, np.float32]


@pytest.mark.parametrize(
  "rows",
  [
    [],
    [{"inputs": [1, 2, 3], "weights": [0.5, 0.25, 1.0]}],
    [
      {"targets": [[1], [2, 3]], "ranks": [0, 1]},
      {"targets": [[4, 5, 6]], "ranks": [0]},
    ],
    [{"inputs": [1], "rating": 0.0}, {"inputs": [], "rating": 1.0}],
  ],
)
def test_there_and_back(rows):
  arrays = lambda x: [np.asarray(y) for y in x] if isinstance(x[0], list) else x
  given = [
    {
      name: arrays(x) if isinstance(x, list) and x else np.asarray(x)
      for name, x in row.items()
    }
    for row in rows
  ]
  flat = {
    **flat_examples.flatten(given, "train"),
    **flat_examples.flatten([{"other": [1]}], "validation"),
  }
  found = flat_examples.unflatten(flat, "train")
  plain = lambda x: (
    [y.tolist() for y in x] if isinstance(x, list) else x.tolist()
  )
  assert [{n: plain(x) for n, x in row.items()} for row in found] == rows
