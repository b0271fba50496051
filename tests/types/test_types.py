"""A batch is checked once at the door."""

import numpy as np
import pytest

from xlrm import types


def batch(**changes) -> types.Batch:
  fields = {
    "inputs": np.ones((2, 5), np.int32),
    "targets": np.ones((2, 3, 4), np.int32),
    "weights": np.ones((2, 3, 4), np.float32),
    **changes,
  }
  return types.Batch(**fields)


def test_a_good_batch_is_returned():
  packed = batch(
    targets=np.ones((2, 1, 4), np.int32),
    weights=np.ones((2, 1, 4), np.float32),
    input_segments=np.ones((2, 5), np.int32),
    target_segments=np.ones((2, 1, 4), np.int32),
  )
  assert types.check_shapes(packed) is packed


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"inputs": np.ones(5)}, r"inputs has shape \(5,\), not \[B S\]"),
    ({"targets": np.ones((2, 4))}, r"targets has shape .* not \[B N T\]"),
    ({"weights": np.ones((2, 3, 5))}, r"\(2, 3, 4\) and .* \(2, 3, 5\) differ"),
    ({"inputs": np.ones((3, 5))}, "inputs has 3 prompts, Batch.targets 2"),
    ({"input_segments": np.ones((2, 4))}, r"input_segments .* \(2, 5\)"),
  ],
)
def test_shapes_that_do_not_fit_are_named(changes, message):
  with pytest.raises(ValueError, match=message):
    types.check_shapes(batch(**changes))
