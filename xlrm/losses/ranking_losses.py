"""The loss of a ranking: Plackett-Luce, exact with ties, margins, centring.

R. L. Plackett (https://doi.org/10.2307/2346567): the best response is drawn in
proportion to e^score, then the next of those left. Two responses are
Bradley-Terry. Sums with the weight to divide by, in float32.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int
import numpy as np

from xlrm import types
from xlrm.losses import token_losses


def _log_one_minus_exp(log_u):
  """log(1 - exp(-u)) of log u, finite in value and gradient everywhere."""
  small = log_u < -10.0
  u = jnp.exp(jnp.clip(jnp.where(small, 0.0, log_u), None, 5.0))
  return jnp.where(small, log_u, jnp.log(-jnp.expm1(-u)))


def _nodes(size: int) -> Float[np.ndarray, " K"]:
  """Nodes of the trapezoidal rule in `_log_all_first`, for `size` responses.

  The integrand falls at least as fast as e^x to the left, as exp(-e^x) to the
  right of t = size, and its peak is no narrower than 1/sqrt(size + 1): with
  these steps the rule errs by less than float32.
  """
  last = np.log(size + 8.0 * np.sqrt(size + 1.0) + 20.0)
  return np.arange(-20.0, last, 0.9 / np.sqrt(size + 2.0))


def _log_all_first(
  log_odds: Float[types.Array, "B G N"],
  members: Bool[types.Array, "B G N"],
) -> Float[types.Array, "B G"]:
  """log of the probability that all members are drawn before a rival.

  With odds w_i of each member against the rival, as exponential clocks:
  integral over t of e^-t prod_i (1 - e^(-w_i t)). It is the sum over all
  orders of the members. t = e^x.
  """
  nodes = _nodes(log_odds.shape[-1])
  x = jnp.asarray(nodes, jnp.float32)[None, None]
  each = _log_one_minus_exp(log_odds[:, :, None] + x[..., None])
  logs = jnp.sum(jnp.where(members[:, :, None], each, 0.0), axis=-1)
  step = nodes[1] - nodes[0]
  logs = logs + x - jnp.exp(x) + np.float32(np.log(step))
  return jax.nn.logsumexp(logs, axis=-1)


def ranking_loss(
  scores: Float[types.Array, "B N"],
  ranks: Int[types.Array, "B N"],
  margins: Float[types.Array, " B"] | None = None,
) -> token_losses.Loss:
  """The negative Plackett-Luce log-likelihood of the prompts' rankings.

  Without ties: sum over i of log(sum over j ranked at or below i of e^s_j)
  - s_i. Two responses: -log sigmoid(s_best - s_worst), Bradley-Terry. With ties
  the likelihood is that of all orders that the ranking allows, summed: a tie
  says nothing of its members, but much of them against the others. The sum is
  exact for groups of any size, see `_log_all_first`.
  With a margin m every response competes with s_j + m against those ranked
  above it; two responses: -log sigmoid(s_best - s_worst - m), as in Llama 2
  (https://arxiv.org/abs/2307.09288) and TRL.

  Args:
    scores: s.
    ranks: 0 is best, equal is a tie, -1 is no response. A prompt without two
      different ranks counts nothing.
    margins: m, in units of the score; None is a margin of 0.
  """
  present = ranks >= 0
  scores = jnp.where(present, scores.astype(jnp.float32), 0.0)
  # Row i of a [N N] table is a response, column j another one.
  both = present[:, :, None] & present[:, None, :]
  below = both & (ranks[:, None, :] > ranks[:, :, None])
  tied = both & (ranks[:, None, :] == ranks[:, :, None])
  decides = jnp.any(below, axis=-1)  # the group that i is in is not the last
  rivals = jnp.where(below, scores[:, None, :], -jnp.inf)
  rivals = jnp.where(decides[..., None], rivals, 0.0)
  rival = jax.nn.logsumexp(rivals, axis=-1)
  if margins is not None:
    rival = rival + margins.astype(jnp.float32)[:, None]
  alone = jax.nn.softplus(rival - scores)
  group = -_log_all_first(scores[:, None, :] - rival[..., None], tied)
  size = jnp.sum(tied, axis=-1)
  first = jnp.sum(jnp.tril(tied, -1), axis=-1) == 0  # of its group
  cost = jnp.where(size > 1, group, alone)
  total = jnp.sum(jnp.where(decides & first, cost, 0.0))
  weight = jnp.sum(jnp.any(decides, axis=-1).astype(jnp.float32))
  lead = scores[:, :, None] - scores[:, None, :]
  right = jnp.where(below, 0.5 * (1.0 + jnp.sign(lead)), 0.0)
  pairs = jnp.sum(below.astype(jnp.float32))
  gap = jnp.sum(jnp.where(below, lead, 0.0))
  metrics = {"accuracy": (jnp.sum(right), pairs), "score_gap": (gap, pairs)}
  return token_losses.Loss(total, weight, metrics)


def centring_loss(
  scores: Float[types.Array, "B N"], counted: Bool[types.Array, "B N"]
) -> Float[types.Array, ""]:
  """The sum over prompts of (2 * mean of the prompt's scores)^2.

  A ranking loss fixes differences only; this holds the scores near zero
  (https://arxiv.org/abs/2312.09244). For a pair it is (s_best + s_worst)^2.

  Args:
    scores: what is held near zero.
    counted: False where a prompt has no such response.
  """
  scores = jnp.where(counted, scores.astype(jnp.float32), 0.0)
  counts = jnp.sum(counted.astype(jnp.float32), axis=-1)
  means = jnp.sum(scores, axis=-1) / jnp.maximum(counts, 1.0)
  return jnp.sum(jnp.square(2.0 * means))
