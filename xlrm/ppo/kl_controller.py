"""How the coefficient of the KL divergence is steered towards a target.

The controller of https://arxiv.org/abs/1909.08593.
"""

import jax.numpy as jnp
from jaxtyping import Float

from xlrm import types
from xlrm.ppo import objective

MAX_KL_ERROR = 0.2  # to which the controller clips how far the KL is off


def check_horizon(config: objective.PPOConfig, num_responses: int) -> None:
  """Raises ValueError if one step could turn the coefficient negative."""
  change = MAX_KL_ERROR * num_responses
  if config.kl_target is not None and config.kl_horizon <= change:
    raise ValueError(
      f"kl_horizon {config.kl_horizon} is too short for {num_responses} "
      f"responses per step: the KL coefficient could reach 0; set it above "
      f"{change:g}, or far above it for a coefficient that moves slowly"
    )


def adapted_kl_coefficient(
  kl_coefficient: Float[types.Array, ""],
  kl: Float[types.Array, ""],
  num_responses: Float[types.Array, ""] | float,
  config: objective.PPOConfig,
) -> Float[types.Array, ""]:
  """beta (1 + clip(KL / target - 1, -.2, .2) n / horizon).

  Without a target the coefficient stays.

  Args:
    kl: mean over responses, in nats.
    num_responses: n, of this step, see `check_horizon`.
  """
  if config.kl_target is None:
    return kl_coefficient
  error = jnp.clip(kl / config.kl_target - 1.0, -MAX_KL_ERROR, MAX_KL_ERROR)
  return kl_coefficient * (1.0 + error * num_responses / config.kl_horizon)
