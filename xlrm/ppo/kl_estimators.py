"""Estimators of the KL divergence of a policy from its reference, per token.

From the log-probabilities of a token that was drawn
(http://joschu.net/blog/kl-approx.html).
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Float

from xlrm import types

KlEstimator = Callable[
  [Float[types.Array, "*shape"], Float[types.Array, "*shape"]],
  Float[types.Array, "*shape"],
]


def k1(
  logprobs: Float[types.Array, "*shape"],
  reference: Float[types.Array, "*shape"],
) -> Float[types.Array, "*shape"]:
  """log(pi / ref): unbiased, of either sign."""
  return logprobs - reference


def k2(
  logprobs: Float[types.Array, "*shape"],
  reference: Float[types.Array, "*shape"],
) -> Float[types.Array, "*shape"]:
  """k1^2 / 2: biased, of low variance, >= 0."""
  return jnp.square(k1(logprobs, reference)) / 2


def k3(
  logprobs: Float[types.Array, "*shape"],
  reference: Float[types.Array, "*shape"],
) -> Float[types.Array, "*shape"]:
  """exp(-k1) - 1 + k1: unbiased and >= 0; its variance may be large."""
  ratio = -k1(logprobs, reference)
  return jnp.expm1(ratio) - ratio
