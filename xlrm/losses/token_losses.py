"""Losses and the vocabulary head, without [tokens, vocabulary] logits.

mT5 has 250,112 rows in its output matrix: logits of a whole batch are the
largest array of a training step. `token_statistics` computes what is needed of
them in chunks of TOKENS and recomputes each chunk in the backward pass. On a
mesh each device does so for its own rows of the batch and its own part of the
vocabulary, and only sums over the parts travel. (Chunks of the vocabulary would
gather a matrix that a mesh splits over 'model'.)
Every loss is a sum with the weight to divide by, in float32.
"""

from collections.abc import Mapping

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from xlrm import types
from xlrm.losses import vocabulary_head


@struct.dataclass
class Loss:
  """A sum over a batch and what to divide it by (G7: sums, not means).

  `metrics` maps a name to such a pair (sum, weight).
  """

  total: types.Array  # scalar
  weight: types.Array  # scalar
  metrics: Mapping[str, tuple[types.Array, types.Array]]


def language_model_loss(
  hidden: Float[types.Array, "B N T D"],
  output_matrix: Float[types.Array, "D V"],
  targets: Int[types.Array, "B N T"],
  weights: Float[types.Array, "B N T"],
  *,
  z_loss: float = 1e-4,
  chunk_size: int = vocabulary_head.CHUNK_SIZE,
) -> Loss:
  """The cross entropy over the vocabulary plus z_loss * log_z^2, as in T5X.

  Args:
    hidden: states before the output matrix.
    output_matrix: logits are hidden @ output_matrix.
    targets: token ids.
    weights: of the tokens; what stands at tokens of zero weight changes neither
      loss nor gradient.
    z_loss: factor of the squared log_z.
    chunk_size: see `vocabulary_head.token_statistics`.
  """
  statistics = vocabulary_head.token_statistics(
    hidden, output_matrix, targets, mask=weights > 0, chunk_size=chunk_size
  )
  weight = jnp.sum(weights)
  cross_entropy = -jnp.sum(weights * statistics.logprobs)
  penalty = z_loss * jnp.sum(weights * jnp.square(statistics.log_z))
  metrics = {
    "cross_entropy": (cross_entropy, weight),
    "z_loss": (penalty, weight),
  }
  return Loss(cross_entropy + penalty, weight, metrics)


def _binary_cross_entropy(logits, labels):
  """-z log s(r) - (1-z) log(1 - s(r)) = softplus(r) - z r, s the sigmoid."""
  return jax.nn.softplus(logits) - labels * logits


def _binary_loss(logits, labels, counted) -> Loss:
  logits = jnp.where(counted, logits.astype(jnp.float32), 0.0)
  labels = jnp.where(counted, labels.astype(jnp.float32), 0.0)
  counts = counted.astype(jnp.float32)
  weight = jnp.sum(counts)
  total = jnp.sum(counts * _binary_cross_entropy(logits, labels))
  right = (logits > 0) == (labels > 0.5)
  right = jnp.where(right, counts, 0.0)
  metrics = {"accuracy": (jnp.sum(right), weight)}
  return Loss(total, weight, metrics)


def rating_loss(
  scores: Float[types.Array, "B N"],
  ratings: Float[types.Array, "B N"],
  counted: Bool[types.Array, "B N"],
) -> Loss:
  """The sum of softplus(r) - z r over the counted scores r.

  Args:
    scores: r.
    ratings: z in [0, 1].
    counted: False where there is no response.
  """
  return _binary_loss(scores, ratings, counted)


def detection_loss(
  logits: Float[types.Array, "B N T"], replaced: Int[types.Array, "B N T"]
) -> Loss:
  """The loss of replaced-token detection (https://arxiv.org/abs/2003.10555).

  Args:
    logits: positive means replaced.
    replaced: 1 replaced, 0 original, -1 not asked.
  """
  return _binary_loss(logits, replaced, replaced >= 0)
