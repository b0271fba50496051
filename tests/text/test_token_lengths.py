"""Token sequences are cut before their EOS, and padded to a few lengths."""

import numpy as np

from xlrm.text import token_lengths


def test_padded_lengths():
  assert token_lengths.padded_lengths(72) == [32, 64, 72]
  assert token_lengths.padded_lengths(20) == [20]
  assert token_lengths.padded_lengths(64) == [32, 64]
  assert token_lengths.padded_lengths(1024) == list(range(128, 1025, 128))
  assert token_lengths.padded_lengths(1025)[-2:] == [960, 1025]


def test_g02_truncation_keeps_eos_on_either_side():
  ids = np.asarray([5, 6, 7, 8, 1])
  assert token_lengths.clip(ids, 3).tolist() == [5, 6, 1]
  assert token_lengths.clip(ids, 3, from_left=True).tolist() == [7, 8, 1]
  assert token_lengths.clip(ids, 1).tolist() == [1]
  assert token_lengths.clip(ids, 5).tolist() == ids.tolist()
