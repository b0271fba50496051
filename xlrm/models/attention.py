"""Attention of T5 over prompts with a group of responses, as pure functions.

Queries carry the group axis, [B N T H K]. Keys carry it too (self-attention
within a response) or not (cross attention: the N responses of a prompt read
one set of keys [B S H K], which is never repeated). Positions enter only
through a learned bias on the bucketed distance of key and query
(https://arxiv.org/abs/1910.10683, 2.1). Queries are not scaled: T5 folds
1/sqrt(K) into their initialiser.
"""

from collections.abc import Callable
import math

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int
import numpy as np

from xlrm import types


def _bucket_of_distance(num_buckets: int, max_distance: int) -> np.ndarray:
  """Buckets of the distances 0 .. max_distance (beyond: the last bucket).

  The first half holds one distance each, the second half grows
  logarithmically up to max_distance.
  """
  exact = num_buckets // 2
  distance = np.arange(max_distance + 1)
  growth = np.log(np.maximum(distance, 1) / exact) / math.log(
    max_distance / exact
  )
  # 1e-9: a distance on a boundary belongs to the bucket that begins there.
  wide = exact + np.floor(growth * (num_buckets - exact) + 1e-9)
  buckets = np.where(distance < exact, distance, wide)
  return np.minimum(buckets, num_buckets - 1).astype(np.int32)


def relative_buckets(
  distance: Int[types.Array, "*shape"],
  *,
  bidirectional: bool,
  num_buckets: int,
  max_distance: int,
) -> Int[types.Array, "*shape"]:
  """The bucket of each distance (key position minus query position).

  Bidirectional: half of the buckets for keys at or before the query, half for
  keys after it. Otherwise keys after the query share bucket 0; the causal
  mask hides them.
  """
  if bidirectional:
    num_buckets //= 2
    offset = jnp.where(distance > 0, num_buckets, 0)
    distance = jnp.abs(distance)
  else:
    offset = 0
    distance = jnp.maximum(-distance, 0)
  # A table and no logarithm on the device: boundaries do not depend on how
  # an accelerator rounds.
  table = jnp.asarray(_bucket_of_distance(num_buckets, max_distance))
  return offset + table[jnp.minimum(distance, max_distance)]


def shift_right(
  targets: Int[types.Array, "B N T"],
  segments: Int[types.Array, "B N T"] | None = None,
) -> Int[types.Array, "B N T"]:
  """The tokens that the decoder reads: each one's predecessor, 0 at a start.

  [[5, 6, 1]] -> [[0, 5, 6]]; with segments [[1, 1, 2]] -> [[0, 5, 0]]
  """
  shifted = jnp.pad(targets, ((0, 0), (0, 0), (1, 0)))[..., :-1]
  if segments is None:
    return shifted
  before = jnp.pad(segments, ((0, 0), (0, 0), (1, 0)))[..., :-1]
  return jnp.where(segments == before, shifted, 0)


def attend(
  queries: Float[types.Array, "B N T H K"],
  keys: Float[types.Array, "..."],
  values: Float[types.Array, "..."],
  *,
  bias: Float[types.Array, "H T S"] | None = None,
  mask: Bool[types.Array, "..."],
  dropout: Callable[[jax.Array], jax.Array] = lambda weights: weights,
) -> Float[types.Array, "B N T H K"]:
  """The sum softmax(q.k + bias) v over the keys that the mask allows.

  The softmax is in float32 whatever the dtype (T5X: an option). A query that
  may see no key gets the mean of all values: finite, and never read.

  Args:
    queries: not scaled.
    keys: [B N S H K], or [B S H K] shared by the N responses.
    values: like keys.
    bias: added to the logits of every response.
    mask: broadcasts to [B N H T S].
    dropout: applied to the attention weights [B N H T S].
  """
  source = "bnshk" if keys.ndim == 5 else "bshk"
  logits = jnp.einsum(
    f"bnthk,{source}->bnhts",
    queries,
    keys,
    preferred_element_type=jnp.float32,
  )
  if bias is not None:
    logits += bias[None, None].astype(jnp.float32)
  logits = jnp.where(mask, logits, -1e10)
  weights = dropout(jax.nn.softmax(logits).astype(values.dtype))
  return jnp.einsum(f"bnhts,{source}->bnthk", weights, values)


def attend_prompt(
  queries: Float[types.Array, "B N H K"],
  keys: Float[types.Array, "B H K S"],
  values: Float[types.Array, "B H S K"],
  mask: Bool[types.Array, "B S"],
) -> Float[types.Array, "B N H K"]:
  """What one position of N responses attends to in its prompt, see `attend`.

  The layout of keys and values is the one that decoding on CPU reads fastest
  (heads before positions: 1.2 to 8 times as fast as `attend`'s).
  """
  logits = jnp.einsum(
    "bnhk,bhks->bhns", queries, keys, preferred_element_type=jnp.float32
  )
  logits = jnp.where(mask[:, None, None], logits, -1e10)
  weights = jax.nn.softmax(logits).astype(values.dtype)
  # "->bnhk" would swap the operands, which takes CPUs seven times as long.
  attended = jnp.einsum("bhns,bhsk->bhnk", weights, values)
  return attended.transpose(0, 2, 1, 3)


def attend_past(
  queries: Float[types.Array, "B N H K"],
  keys: Float[types.Array, "B N H T K"],
  values: Float[types.Array, "B N H T K"],
  *,
  bias: Float[types.Array, "H T"],
  mask: Bool[types.Array, "B N T"],
) -> Float[types.Array, "B N H K"]:
  """What one position of each response attends to in its own past."""
  logits = jnp.einsum(
    "bnhk,bnhtk->bnht", queries, keys, preferred_element_type=jnp.float32
  )
  logits += bias[None, None].astype(jnp.float32)
  logits = jnp.where(mask[:, :, None], logits, -1e10)
  weights = jax.nn.softmax(logits).astype(values.dtype)
  return jnp.einsum("bnht,bnhtk->bnhk", weights, values)
