"""One token from one row of logits, exactly, with two random words.

A draw inverts the cumulative distribution in vocabulary order: one word picks
a block of the vocabulary, one a token of the block, instead of one random
number per token of a 250,112-row vocabulary. Top-k and top-p find their
threshold by bisection, without sorting the vocabulary.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, UInt32

from xlrm import losses
from xlrm import types

BLOCK = 256  # tokens; divides mT5's 250,112 rows


def _pick(masses: jax.Array, word: jax.Array) -> jax.Array:
  """Index i with probability masses[i] / sum(masses), from one uint32 word.

  The probabilities become integers that sum to 2^31, so that cumulative sums
  are exact and an entry without mass is never picked. The largest entry takes
  the sum of the rounding errors.
  """
  counts = jnp.round(masses / jnp.sum(masses) * 2.0**31).astype(jnp.uint32)
  rest = jnp.uint32(2**31) - jnp.sum(counts)
  largest = jnp.arange(masses.size) == jnp.argmax(masses)
  counts = counts + jnp.where(largest, rest, jnp.uint32(0))
  return jnp.sum(jnp.cumsum(counts) <= word >> 1)


def _ordered(bits: jax.Array) -> jax.Array:
  """Bits of a float32 as an int32 with the same order; its own inverse."""
  return jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)


def _largest(
  holds: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array
) -> jax.Array:
  """The largest float32 x in [low, high] for which `holds`, by bisection.

  Exact: 32 halvings of the ordered bit patterns. `holds(low)` is taken for
  granted, and what holds for x holds for every smaller number.
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


def _restrict(
  blocks: jax.Array, peak: jax.Array, top_k: int, top_p: float
) -> jax.Array:
  """Logits in which only what top-k and then top-p keep can be drawn."""
  low = jnp.float32(losses.EXCLUDED)

  def keep(blocks, holds):
    threshold = _largest(lambda x: holds(blocks >= x), low, peak)
    return jnp.where(blocks >= threshold, blocks, low)

  if top_k:
    blocks = keep(blocks, lambda kept: jnp.sum(kept) >= top_k)
  if top_p < 1:
    unnormed = jnp.exp(blocks - peak)
    mass = lambda kept: jnp.sum(
      jnp.sum(jnp.where(kept, unnormed, 0.0), axis=-1)
    )
    needed = top_p * mass(jnp.ones_like(blocks, bool))
    blocks = keep(blocks, lambda kept: mass(kept) >= needed)
  return blocks


def draw(
  logits: Float[types.Array, " V"],
  words: UInt32[types.Array, "2"],
  *,
  top_k: int = 0,
  top_p: float = 1.0,
  greedy: bool = False,
) -> tuple[Int[types.Array, ""], Float[types.Array, ""]]:
  """One token of softmax(logits) and its log-probability.

  The log-probability is that under all logits: top-k and top-p restrict the
  draw only. Ties with the last token that they keep are kept too.

  Args:
    logits: float32, divided by the temperature; losses.EXCLUDED where a token
      cannot be drawn.
    words: uniform random bits.
    top_k: draw from the k likeliest tokens only; 0 is off.
    top_p: draw from the fewest likeliest tokens with at least this share of
      what top-k left; 1 is off.
    greedy: take the likeliest token, the lowest id of equal ones.
  """
  padding = -logits.size % BLOCK
  logits = jnp.pad(logits, (0, padding), constant_values=losses.EXCLUDED)
  blocks = logits.reshape(-1, BLOCK)
  block_peaks = jnp.max(blocks, axis=-1)
  peak = jnp.max(block_peaks)
  masses = jnp.sum(jnp.exp(blocks - peak), axis=-1)
  log_z = peak + jnp.log(jnp.sum(masses))
  if greedy:
    # On CPU much faster than one argmax over the vocabulary.
    block = jnp.argmax(block_peaks)
    within = jnp.argmax(blocks[block])
  else:
    if top_k or top_p < 1:
      blocks = _restrict(blocks, peak, top_k, top_p)
      masses = jnp.sum(jnp.exp(blocks - peak), axis=-1)
    block = _pick(masses, words[0])
    chosen = blocks[block]
    # Relative to the block's own peak: a block of rare tokens keeps its bits.
    within = _pick(jnp.exp(chosen - jnp.max(chosen)), words[1])
  token = block * BLOCK + within
  return token.astype(jnp.int32), logits[token] - log_z
