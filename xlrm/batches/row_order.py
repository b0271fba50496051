"""In which order training rows are read: pure functions of (seed, row number).

Random bits come from counters (Philox), so that any place of the endless
stream is found without reading what came before.
"""

from collections.abc import Sequence

import numpy as np

BLOCK = 1024  # rows in which the rates of a mixture are kept exactly


def permutation(num: int, seed: int, epoch: int, stream: int = 0) -> np.ndarray:
  """An order of `num` rows; the same with every version of NumPy."""
  bits = np.random.Philox(np.random.SeedSequence([seed, stream, epoch]))
  return np.argsort(bits.random_raw(num), kind="stable")


def apportion(rates: Sequence[float], total: int) -> np.ndarray:
  """`total` rows shared out at `rates`, by largest remainder.

  [1, 1, 2], 10 -> [3, 2, 5]

  Raises:
    ValueError: a rate is too small for a single row, or not positive.
  """
  exact = np.asarray(rates, np.float64) / np.sum(rates) * total
  counts = np.floor(exact).astype(np.int64)
  rest = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
  counts[rest] += 1
  if (counts < 1).any():
    raise ValueError(
      f"rates {list(rates)}: one is below 1/{total} of their sum"
    )
  return counts


def mixed_order(
  sizes: Sequence[int],
  rates: Sequence[float],
  seed: int,
  start: int,
  stop: int,
) -> np.ndarray:
  """Example numbers of rows [start, stop) of an endless stream of parts.

  Each block of BLOCK rows holds the parts at exactly their rates (rounded to
  a row), interleaved at random; each part has epochs of its own.

  Args:
    sizes: of the parts, which follow each other in the examples.
    rates: of the parts, relative.
    seed: of the order.
    start: first row.
    stop: row behind the last.
  """
  shares = apportion(rates, BLOCK)
  offsets = np.concatenate([[0], np.cumsum(sizes)])
  blocks = []
  for block in range(start // BLOCK, -(-stop // BLOCK)):
    owners = np.repeat(np.arange(len(sizes)), shares)
    owners = owners[permutation(BLOCK, seed, block, stream=1)]
    rows = np.empty(BLOCK, np.int64)
    for part, (size, share) in enumerate(zip(sizes, shares)):
      position = block * share + np.arange(share)
      epochs = range(position[0] // size, position[-1] // size + 1)
      drawn = [permutation(size, seed, e, stream=2 + part) for e in epochs]
      place = position - epochs[0] * size
      rows[owners == part] = offsets[part] + np.concatenate(drawn)[place]
    blocks.append(rows)
  first = start // BLOCK * BLOCK
  return np.concatenate(blocks)[start - first : stop - first]
