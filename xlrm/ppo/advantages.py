"""Advantages for responses generated in one turn: what a token was worth.

With a value model: generalized advantages. Without one: the responses to one
prompt are compared with each other. Means and variances are over the mask.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from xlrm import types


def masked_mean(
  x: Float[types.Array, "*shape"], mask: Bool[types.Array, "*shape"]
) -> Float[types.Array, ""]:
  """Mean over the mask; 0 if it is empty."""
  total = jnp.sum(jnp.where(mask, x, 0.0))
  return total / jnp.maximum(jnp.sum(mask, dtype=jnp.float32), 1.0)


def whiten(
  x: Float[types.Array, "*shape"],
  mask: Bool[types.Array, "*shape"],
  keep_mean: bool = False,
) -> Float[types.Array, "*shape"]:
  """(x - mean) / sqrt(variance + 1e-8) over the mask, in two passes.

  The variance is the biased one; fewer than two values give zeros. 0 outside
  the mask.
  """
  number = jnp.sum(mask)
  mean = masked_mean(x, mask)
  variance = masked_mean(jnp.square(jnp.where(mask, x - mean, 0.0)), mask)
  whitened = (x - mean) * jax.lax.rsqrt(variance + 1e-8)
  whitened = whitened + mean if keep_mean else whitened
  return jnp.where(mask & (number > 1), whitened, 0.0)


def generalized_advantages(
  rewards: Float[types.Array, "*rows T"],
  values: Float[types.Array, "*rows T"],
  mask: Bool[types.Array, "*rows T"],
  discount: float,
  smoothing: float,
) -> Float[types.Array, "*rows T"]:
  """Generalized advantage of each response token; 0 at padding.

  A_t = d_t + g l A_{t+1},  d_t = r_t + g V_{t+1} - V_t,  V = 0 after the last.
  """
  rewards, values = (jnp.where(mask, x, 0.0) for x in (rewards, values))
  following = jnp.concatenate(
    [values[..., 1:], jnp.zeros_like(values[..., :1])], axis=-1
  )
  deltas = rewards + discount * following - values

  def backwards(later, delta):
    advantage = delta + discount * smoothing * later
    return advantage, advantage

  _, advantages = jax.lax.scan(
    backwards,
    jnp.zeros_like(deltas[..., 0]),
    jnp.moveaxis(deltas, -1, 0),
    reverse=True,
  )
  return jnp.where(mask, jnp.moveaxis(advantages, 0, -1), 0.0)


def _totals(rewards, mask):
  """[B N] sum of rewards, and 1 where a response takes part."""
  totals = jnp.sum(jnp.where(mask, rewards, 0.0), axis=-1)
  return totals, jnp.any(mask, axis=-1).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class GeneralizedAdvantage:
  """Advantages from a value model, https://arxiv.org/abs/1506.02438.

  Attributes:
    discount: gamma.
    smoothing: lambda; with gamma = lambda = 1 the advantage is return - value.
    whiten: scale the advantages of a batch to mean 0 and variance 1.
  """

  discount: float = 1.0
  smoothing: float = 0.95
  whiten: bool = True
  needs_values = True

  def __post_init__(self):
    for name in ("discount", "smoothing"):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(f"{name} {getattr(self, name)} is not in [0, 1]")

  def check(self, num_samples: int) -> None:
    """One response per prompt is enough."""

  def __call__(self, rewards, values, mask):
    """[B N T] rewards, values -> advantages, returns (targets of values)."""
    advantages = generalized_advantages(
      rewards, values, mask, self.discount, self.smoothing
    )
    returns = jnp.where(mask, advantages + values, 0.0)
    if self.whiten:
      advantages = whiten(advantages, mask)
    return advantages, returns


@dataclasses.dataclass(frozen=True)
class LeaveOneOut:
  """RLOO (https://arxiv.org/abs/2402.14740): the return of a response minus
  the mean return of the other responses to its prompt; no value model."""

  needs_values = False

  def check(self, num_samples: int) -> None:
    """Raises ValueError for one response per prompt."""
    if num_samples < 2:
      raise ValueError(
        f"LeaveOneOut compares the responses to a prompt: num_samples "
        f"{num_samples} must be at least 2"
      )

  def __call__(self, rewards, values, mask):
    """[B N T] rewards -> advantages, the same for each token; no returns."""
    del values
    totals, counted = _totals(rewards, mask)
    others = jnp.sum(counted, axis=-1, keepdims=True) - counted
    rest = jnp.sum(totals, axis=-1, keepdims=True) - totals
    baseline = jnp.where(others > 0, rest / jnp.maximum(others, 1.0), totals)
    advantages = jnp.where(mask, (totals - baseline)[..., None], 0.0)
    return advantages, jnp.zeros_like(rewards)


@dataclasses.dataclass(frozen=True)
class GroupNormalised:
  """GRPO (https://arxiv.org/abs/2402.03300): returns of the responses to a
  prompt, scaled to mean 0 and standard deviation 1; no value model.

  The KL divergence is in the rewards, as everywhere here, not in the loss.
  """

  needs_values = False

  def check(self, num_samples: int) -> None:
    """Raises ValueError for one response per prompt."""
    if num_samples < 2:
      raise ValueError(
        f"GroupNormalised compares the responses to a prompt: num_samples "
        f"{num_samples} must be at least 2"
      )

  def __call__(self, rewards, values, mask):
    """[B N T] rewards -> advantages, the same for each token; no returns."""
    del values
    totals, counted = _totals(rewards, mask)
    number = jnp.maximum(jnp.sum(counted, axis=-1, keepdims=True), 1.0)
    mean = jnp.sum(totals, axis=-1, keepdims=True) / number
    centred = jnp.where(counted > 0, totals - mean, 0.0)
    variance = jnp.sum(jnp.square(centred), axis=-1, keepdims=True) / number
    scaled = centred / (jnp.sqrt(variance) + 1e-4)
    return jnp.where(mask, scaled[..., None], 0.0), jnp.zeros_like(rewards)


Advantage = GeneralizedAdvantage | LeaveOneOut | GroupNormalised
