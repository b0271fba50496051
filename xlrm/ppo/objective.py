"""Proximal policy optimisation on text, as pure functions of arrays.

A response y to a prompt x is a trajectory of tokens. The reward of token t is
  r_t = - beta k_t + [t is the last real token] score(x, y),
so that the sum is score - beta KL; the KL divergence from the reference is
applied once, here, and nowhere in a loss (G14). The policy maximises
  min(rho_t A_t, clip(rho_t, 1-e, 1+e) A_t),  rho_t = pi(y_t) / pi_old(y_t)
(https://arxiv.org/abs/1707.06347; on text https://arxiv.org/abs/1909.08593).
Masks are booleans; what stands at a masked place is never read.
"""

import dataclasses
import math
from typing import Any

from flax import struct
import jax.numpy as jnp
from jaxtyping import Bool, Float

from xlrm import types
from xlrm.losses import token_losses
from xlrm.ppo import advantages as advantages_lib
from xlrm.ppo import kl_estimators
from xlrm.types import checks

MISSING_EOS = ("score", "penalise", "mask")


@dataclasses.dataclass(frozen=True)
class PPOConfig:
  """What is optimised.

  Attributes:
    kl_coefficient: beta (TRL: kl_coef), at the start if it adapts.
    kl_target: nats per response that the coefficient is steered to; None keeps
      it fixed.
    kl_horizon: responses in which an adaptive coefficient changes by at most a
      factor of e^0.2, about 1.2; more than a fifth of the responses of a step.
    kl_estimator: of the reward; all three are logged. Only k1 leads to the
      optimum of score - beta KL: k2 and k3 make a token cost the more the rarer
      it has become, so it becomes rarer still (docs/ppo_bandit.md).
    advantage: how rewards become advantages.
    clip: epsilon of the ratio (TRL: cliprange).
    value_clip: by how much a value may move from the rollout's; None is off.
    entropy_coefficient: of the bonus for entropy.
    missing_eos: what becomes of a response that does not end: 'score' counts
      as any other, 'penalise' gets missing_eos_penalty subtracted from its
      score, 'mask' takes no part (but is in the metrics, as all that is drawn).
    missing_eos_penalty: >= 0.
    score_clip: scores are clipped to [-score_clip, score_clip] after gain and
      bias; None is off.
    whiten_rewards: scale the rewards of a batch to variance 1, the mean kept.
    num_epochs: passes over a rollout.
    num_minibatches: updates per pass.
    policy_start_step: until this step only the value model learns.
  """

  kl_coefficient: float = 0.1
  kl_target: float | None = None
  kl_horizon: float = 10000.0
  kl_estimator: kl_estimators.KlEstimator = kl_estimators.k1
  advantage: advantages_lib.Advantage = advantages_lib.GeneralizedAdvantage()
  clip: float = 0.2
  value_clip: float | None = 0.2
  entropy_coefficient: float = 0.0
  missing_eos: str = "score"
  missing_eos_penalty: float = 1.0
  score_clip: float | None = None
  whiten_rewards: bool = False
  num_epochs: int = 1
  num_minibatches: int = 1
  policy_start_step: int = 0

  def __post_init__(self):
    if not 0 <= self.kl_coefficient < math.inf:
      raise ValueError(
        f"kl_coefficient {self.kl_coefficient} is not a number from 0"
      )
    for name in ("kl_horizon", "clip"):
      value = getattr(self, name)
      if value is None or not value > 0:
        raise ValueError(f"{name} {value} is not positive")
    for name in ("kl_target", "value_clip", "score_clip"):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise ValueError(
          f"{name} {value} is not positive; None switches it off"
        )
    if self.kl_target is not None and not self.kl_coefficient:
      raise ValueError(
        f"kl_coefficient {self.kl_coefficient} stays 0 whatever kl_target "
        f"{self.kl_target} asks: it adapts by factors; start above 0"
      )
    for name in ("num_epochs", "num_minibatches"):
      checks.at_least(name, getattr(self, name), 1)
    for name in (
      "policy_start_step",
      "missing_eos_penalty",
      "entropy_coefficient",
    ):
      checks.at_least(name, getattr(self, name), 0)
    checks.one_of("missing_eos", self.missing_eos, MISSING_EOS)


@struct.dataclass
class Experience:
  """A rollout with what is learnt from it; nothing in it changes afterwards."""

  batch: types.Batch  # weights 0 where a response takes no part
  logprobs: types.Array  # [B N T] of the policy that drew
  values: types.Array  # [B N T] at sampling time; 0 without a value model
  advantages: types.Array  # [B N T]
  returns: types.Array  # [B N T]


def last_token(
  mask: Bool[types.Array, "*rows T"],
) -> Bool[types.Array, "*rows T"]:
  """True at the last real token of each row. [1, 1, 0] -> [0, 1, 0]"""
  positions = jnp.arange(1, mask.shape[-1] + 1)
  positions = jnp.expand_dims(positions, range(mask.ndim - 1))
  reached = jnp.max(jnp.where(mask, positions, 0), axis=-1, keepdims=True)
  return mask & (positions == reached)


def judged_scores(
  scores: Float[types.Array, "B N"],
  finished: Bool[types.Array, "B N"],
  config: PPOConfig,
) -> Float[types.Array, "B N"]:
  """Scores after clipping and after what a missing EOS costs."""
  if config.score_clip is not None:
    scores = jnp.clip(scores, -config.score_clip, config.score_clip)
  if config.missing_eos == "penalise":
    scores = jnp.where(finished, scores, scores - config.missing_eos_penalty)
  return scores


def taking_part(
  mask: Bool[types.Array, "B N T"],
  finished: Bool[types.Array, "B N"],
  config: PPOConfig,
) -> Bool[types.Array, "B N T"]:
  """Tokens that are learnt from."""
  return mask & finished[..., None] if config.missing_eos == "mask" else mask


def token_rewards(
  scores: Float[types.Array, "B N"],
  kl: Float[types.Array, "B N T"],
  mask: Bool[types.Array, "B N T"],
  kl_coefficient: Float[types.Array, ""] | float,
) -> Float[types.Array, "B N T"]:
  """-beta k_t, and the score at the last real token; 0 outside the mask.

  scores [2], kl [[.5, 1, 9]], mask [[1, 1, 0]], beta .1 -> [[-.05, 1.9, 0]]
  """
  rewards = jnp.where(mask, -kl_coefficient * kl, 0.0)
  return rewards + jnp.where(last_token(mask), scores[..., None], 0.0)


def policy_loss(
  logprobs: Float[types.Array, "B N T"],
  entropy: Float[types.Array, "B N T"],
  experience: Experience,
  config: PPOConfig,
) -> token_losses.Loss:
  """-min(rho A, clip(rho) A) - c H, summed over tokens.

  Args:
    logprobs: of the policy that learns.
    entropy: of its next-token distributions.
  """
  mask = experience.batch.weights > 0
  log_ratio = jnp.where(mask, logprobs - experience.logprobs, 0.0)
  ratio = jnp.exp(log_ratio)
  advantages = jnp.where(mask, experience.advantages, 0.0)
  clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
  surrogate = jnp.minimum(ratio * advantages, clipped * advantages)
  bonus = config.entropy_coefficient * jnp.where(mask, entropy, 0.0)
  weight = jnp.sum(mask).astype(jnp.float32)
  sums = {
    "loss/policy_avg": -surrogate,
    "policy/approxkl_avg": 0.5 * jnp.square(log_ratio),
    "policy/clipfrac_avg": jnp.float32(surrogate < ratio * advantages),
    "policy/entropy_avg": entropy,
    "val/ratio": ratio,
    "val/ratio_deviation": jnp.abs(ratio - 1.0),
  }
  metrics = {
    name: (jnp.sum(jnp.where(mask, x, 0.0)), weight) for name, x in sums.items()
  }
  total = jnp.sum(jnp.where(mask, -surrogate, 0.0)) - jnp.sum(bonus)
  return token_losses.Loss(total, weight, metrics)


def value_loss(
  values: Float[types.Array, "B N T"],
  experience: Experience,
  config: PPOConfig,
) -> token_losses.Loss:
  """1/2 max((V - R)^2, (clip(V, V_old +- e) - R)^2), summed over tokens."""
  mask = experience.batch.weights > 0
  values = jnp.where(mask, values, 0.0)
  error = jnp.square(values - experience.returns)
  clipped_error = error
  if config.value_clip is not None:
    clipped = jnp.clip(
      values,
      experience.values - config.value_clip,
      experience.values + config.value_clip,
    )
    clipped_error = jnp.square(clipped - experience.returns)
  worse = jnp.maximum(error, clipped_error)
  weight = jnp.sum(mask).astype(jnp.float32)
  total = 0.5 * jnp.sum(jnp.where(mask, worse, 0.0))
  clipped_share = jnp.sum(jnp.where(mask, clipped_error > error, False))
  metrics = {
    "loss/value_avg": (total, weight),
    "val/clipfrac_avg": (clipped_share.astype(jnp.float32), weight),
    "val/error": (jnp.sum(jnp.where(mask, error, 0.0)), weight),
  }
  return token_losses.Loss(total, weight, metrics)


def experience_of(
  rollout: types.Rollout,
  finished: Bool[types.Array, "B N"],
  kl_coefficient: Float[types.Array, ""],
  config: PPOConfig,
) -> tuple[Experience, dict[str, Any]]:
  """What is learnt from a rollout, and its metrics as (sum, weight).

  Args:
    rollout: log-probabilities, values and scores as they were when it was
      drawn; scores after gain and bias.
    finished: responses that ended with EOS.
    kl_coefficient: beta.
  """
  real = rollout.batch.weights > 0
  mask = taking_part(real, finished, config)
  pair = (rollout.logprobs, rollout.reference_logprobs)
  kl = jnp.where(real, config.kl_estimator(*pair), 0.0)
  scores = judged_scores(rollout.scores, finished, config)
  rewards = token_rewards(scores, kl, mask, kl_coefficient)
  if config.whiten_rewards:
    rewards = advantages_lib.whiten(rewards, mask, keep_mean=True)
  values = jnp.where(mask, rollout.values, 0.0)
  advantages, returns = config.advantage(rewards, values, mask)
  batch = rollout.batch.replace(weights=mask.astype(jnp.float32))
  responses = jnp.any(real, axis=-1)
  number = jnp.sum(responses).astype(jnp.float32)

  def per_response(x):
    return jnp.sum(jnp.where(responses, x, 0.0)), number

  def summed(x):
    return per_response(jnp.sum(jnp.where(real, x, 0.0), axis=-1))

  metrics = {
    "objective/kl": summed(kl),
    "objective/k1": summed(kl_estimators.k1(*pair)),
    "objective/k2": summed(kl_estimators.k2(*pair)),
    "objective/k3": summed(kl_estimators.k3(*pair)),
    "objective/entropy": summed(-rollout.logprobs),
    "objective/non_score_reward": summed(-kl_coefficient * kl),
    "objective/scores": per_response(scores),
    "objective/rlhf_reward": per_response(
      scores - kl_coefficient * jnp.sum(kl, axis=-1)
    ),
    "objective/kl_coefficient": (kl_coefficient * 1.0, jnp.ones(())),
    "response/tokens": summed(jnp.ones_like(kl)),
    "response/missing_eos": per_response((~finished).astype(jnp.float32)),
    "val/values": (
      jnp.sum(values),
      jnp.sum(mask).astype(jnp.float32),
    ),
  }
  experience = Experience(batch, rollout.logprobs, values, advantages, returns)
  return experience, metrics
