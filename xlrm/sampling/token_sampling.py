"""One token per row of a batch, exactly, with two random words each.

Logits are [V R], vocabulary first. A draw inverts the cumulative distribution
in vocabulary order: one word picks a block of the vocabulary, one a token of
the block, instead of one random number per token of a 250,112-row vocabulary.
Top-k and top-p find their threshold by bisection, without sorting.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, UInt32

from xlrm import types
from xlrm.losses import vocabulary_head

# Tokens; mT5's 250,112 rows are 3,908 blocks, which 2 or 4 devices can share.
BLOCK = 64


def _cumulative(counts: jax.Array) -> jax.Array:
  """Cumulative sums [M R] along M; two short sums instead of one long one."""
  groups = jnp.pad(counts, ((0, -len(counts) % BLOCK), (0, 0)))
  groups = groups.reshape(-1, BLOCK, counts.shape[1])
  totals = jnp.sum(groups, axis=1)
  before = jnp.cumsum(totals, axis=0) - totals  # [groups R]
  within = jnp.cumsum(groups, axis=1) + before[:, None]
  return within.reshape(-1, counts.shape[1])[: len(counts)]


def _pick(masses: jax.Array, words: jax.Array) -> jax.Array:
  """[M R], [R]: index i with probability masses[i] / sum(masses) of each row.

  The probabilities become integers that sum to 2^31, so that cumulative sums
  are exact and an entry without mass is never picked. The largest entry takes
  the sum of the rounding errors.
  """
  shares = masses / jnp.sum(masses, axis=0, keepdims=True)
  counts = jnp.round(shares * 2.0**31).astype(jnp.uint32)
  rest = jnp.uint32(2**31) - jnp.sum(counts, axis=0, keepdims=True)
  places = jnp.arange(len(masses))[:, None]
  largest = places == jnp.argmax(masses, axis=0, keepdims=True)
  counts = counts + jnp.where(largest, rest, jnp.uint32(0))
  return jnp.sum(_cumulative(counts) <= words[None] >> 1, axis=0)


def _ordered(bits: jax.Array) -> jax.Array:
  """Bits of a float32 as an int32 with the same order; its own inverse."""
  return jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)


def _largest(
  holds: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array
) -> jax.Array:
  """Per row the largest float32 x in [low, high] for which `holds`.

  Exact, by bisection: 32 halvings of the ordered bit patterns. `holds(low)` is
  taken for granted, and what holds for x holds for every smaller number.
  """
  as_int = lambda x: _ordered(jax.lax.bitcast_convert_type(x, jnp.int32))
  as_float = lambda i: jax.lax.bitcast_convert_type(_ordered(i), jnp.float32)

  def halve(_, bounds):
    inside, outside = bounds
    # The mean without the sum, which may overflow.
    middle = (inside >> 1) + (outside >> 1) + (inside & outside & 1)
    ok = holds(as_float(middle))
    return jnp.where(ok, middle, inside), jnp.where(ok, outside, middle)

  bounds = (as_int(low), as_int(high) + 1)
  return as_float(jax.lax.fori_loop(0, 32, halve, bounds)[0])


def _sum(masses: jax.Array) -> jax.Array:
  """Sum [1 1 R] of [M BLOCK R], by blocks: rounding errors stay small."""
  of_blocks = jnp.sum(masses, axis=1, keepdims=True)
  return jnp.sum(of_blocks, axis=0, keepdims=True)


def _restrict(
  blocks: jax.Array, peaks: jax.Array, top_k: int, top_p: float
) -> jax.Array:
  """Logits in which only what top-k and then top-p keep can be drawn."""
  low = jnp.full_like(peaks, vocabulary_head.EXCLUDED)

  def keep(blocks, holds):
    threshold = _largest(lambda x: holds(blocks >= x), low, peaks)
    return jnp.where(blocks >= threshold, blocks, low)

  if top_k:
    count = lambda kept: jnp.sum(kept, axis=(0, 1), keepdims=True)
    blocks = keep(blocks, lambda kept: count(kept) >= top_k)
  if top_p < 1:
    masses = jnp.exp(blocks - peaks)
    mass = lambda kept: _sum(jnp.where(kept, masses, 0.0))
    needed = top_p * mass(jnp.ones_like(blocks, bool))
    blocks = keep(blocks, lambda kept: mass(kept) >= needed)
  return blocks


def _row_entries(array: jax.Array, index: jax.Array) -> jax.Array:
  """[M .. R], [R] -> [.. R]: entry index[r] of row r."""
  index = jnp.expand_dims(index, range(array.ndim - 1))
  return jnp.take_along_axis(array, index, axis=0)[0]


# What stands in it is computed once: XLA would turn a sum of sums into one sum,
# and take a quarter of a million exponentials per row a second time for it.
_kept = jax.lax.optimization_barrier


def draw(
  logits: Float[types.Array, "V R"],
  words: UInt32[types.Array, "2 R"],
  *,
  top_k: int = 0,
  top_p: float = 1.0,
  greedy: bool = False,
) -> tuple[Int[types.Array, " R"], Float[types.Array, " R"]]:
  """One token per row r from softmax(logits[:, r]), and its log-probability.

  The log-probability is that under all logits: top-k and top-p restrict the
  draw only. Ties with the last token that they keep are kept too.

  Args:
    logits: float32, divided by the temperature; vocabulary_head.EXCLUDED or
      about that where a token cannot be drawn.
    words: uniform random bits.
    top_k: draw from the k likeliest tokens only; 0 is off.
    top_p: draw from the fewest likeliest tokens with at least this share of
      what top-k left; 1 is off.
    greedy: take the likeliest token, the lowest id of equal ones.
  """
  padding = ((0, -len(logits) % BLOCK), (0, 0))
  logits = jnp.pad(logits, padding, constant_values=vocabulary_head.EXCLUDED)
  blocks = logits.reshape(-1, BLOCK, logits.shape[1])
  block_peaks = _kept(jnp.max(blocks, axis=1))
  peaks = jnp.max(block_peaks, axis=0, keepdims=True)[None]
  masses = _kept(jnp.sum(jnp.exp(blocks - peaks), axis=1))
  log_z = peaks[0, 0] + jnp.log(jnp.sum(masses, axis=0))
  if greedy:
    block = jnp.argmax(block_peaks, axis=0)
    chosen = _row_entries(blocks, block)
    within = jnp.argmax(chosen, axis=0)
  else:
    if top_k or top_p < 1:
      blocks = _restrict(blocks, peaks, top_k, top_p)
      masses = _kept(jnp.sum(jnp.exp(blocks - peaks), axis=1))
    block = _pick(masses, words[0])
    chosen = _row_entries(blocks, block)
    # Relative to the block's own peak: a block of rare tokens keeps its bits.
    own_peak = jnp.max(chosen, axis=0, keepdims=True)
    within = _pick(jnp.exp(chosen - own_peak), words[1])
  token = (block * BLOCK + within).astype(jnp.int32)
  return token, _row_entries(chosen, within) - log_z
