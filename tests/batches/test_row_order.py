"""The order of training rows: permutations, and the rates of mixtures."""

import numpy as np
import pytest

from xlrm.batches import row_order


def test_a_permutation_belongs_to_seed_epoch_and_stream():
  first = row_order.permutation(50, 0, 0)
  assert sorted(first) == list(range(50))
  assert (first == row_order.permutation(50, 0, 0)).all()
  for other in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
    assert (first != row_order.permutation(50, *other)).any()
  assert row_order.permutation(1, 0, 0).tolist() == [0]
  # Pinned: a run must continue under another version of NumPy.
  assert row_order.permutation(6, 3, 1).tolist() == [4, 3, 2, 5, 0, 1]


def test_shares_are_exact():
  assert row_order.apportion([1, 1, 2], 10).tolist() == [3, 2, 5]
  assert row_order.apportion([0.3, 0.7], 1024).sum() == 1024
  with pytest.raises(ValueError, match="below 1/10"):
    row_order.apportion([1, 1000], 10)


def test_mixtures_keep_their_rates_and_read_every_row():
  sizes, rates = [700, 90], [1.0, 1.0]
  rows = row_order.mixed_order(sizes, rates, 0, 0, 4 * row_order.BLOCK)
  for block in rows.reshape(4, -1):
    assert (block < 700).sum() == row_order.BLOCK // 2
  big, small = rows[rows < 700], rows[rows >= 700] - 700
  # Each part in whole epochs: no row twice before every row came once.
  assert set(big[:700]) == set(range(700))
  counts = np.bincount(small, minlength=90)
  assert counts.max() - counts.min() <= 1


def test_any_window_of_a_mixture_is_found_directly():
  arguments = ([30, 50, 7], [1.0, 2.0, 1.0], 5)
  whole = row_order.mixed_order(*arguments, 0, 3000)
  for start, stop in ((0, 1), (1000, 1100), (1024, 2048), (2500, 3000)):
    window = row_order.mixed_order(*arguments, start, stop)
    assert (window == whole[start:stop]).all()
