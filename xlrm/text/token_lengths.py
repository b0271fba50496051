"""How long token sequences may be: cut to a length, padded to a few lengths."""

import numpy as np

LENGTH_STEP = 32  # tokens; padded prompt lengths are multiples
MAX_LENGTHS = 8  # different padded lengths at most


def clip(
  ids: np.ndarray, length: int, *, from_left: bool = False
) -> np.ndarray:
  """The ids cut to at most `length`, with the EOS at the end.

  [5, 6, 7, 1], 3 -> [5, 6, 1]; from the left -> [6, 7, 1]
  """
  if len(ids) <= length:
    return np.asarray(ids)
  if from_left:
    return np.asarray(ids[-length:])
  return np.concatenate([ids[: length - 1], ids[-1:]])


def padded_lengths(max_length: int) -> list[int]:
  """The lengths to which prompts are padded, at most MAX_LENGTHS of them.

  72 -> [32, 64, 72];  1024 -> [128, 256, .., 1024]
  """
  unit = LENGTH_STEP * -(-max_length // (LENGTH_STEP * MAX_LENGTHS))
  return [*range(unit, max_length, unit), max_length]
