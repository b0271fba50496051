"""Optimizers and learning-rate schedules: optax, with T5X's numbers.

Adafactor (https://arxiv.org/abs/1804.04235) as T5X configures it: decay
1 - (step+1)^-0.8, updates clipped to RMS 1, steps relative to the RMS of the
parameter, no momentum, factored where both dimensions are at least 128.
"""

import math

import jax.numpy as jnp
import optax

from xlrm.training import adafactor as adafactor_lib
from xlrm.types import checks

Schedule = float | optax.Schedule


def _check_rate(learning_rate: Schedule) -> None:
  if callable(learning_rate):
    return
  if not (math.isfinite(learning_rate) and learning_rate >= 0):
    raise ValueError(f"learning_rate {learning_rate} is not a number >= 0")


def _clipped(
  optimizer: optax.GradientTransformation, max_gradient_norm: float | None
) -> optax.GradientTransformation:
  if max_gradient_norm is None:
    return optimizer
  checks.positive("max_gradient_norm", max_gradient_norm)
  return optax.chain(optax.clip_by_global_norm(max_gradient_norm), optimizer)


def adafactor(
  learning_rate: Schedule,
  *,
  decay_rate: float = 0.8,
  min_dim_size_to_factor: int = 128,
  clipping_threshold: float | None = 1.0,
  multiply_by_parameter_scale: bool = True,
  weight_decay_rate: float | None = None,
  max_gradient_norm: float | None = None,
) -> optax.GradientTransformation:
  """The Adafactor of T5X.

  Args:
    learning_rate: relative to the RMS of each parameter (at least 1e-3) where
      `multiply_by_parameter_scale` is on.
    decay_rate: exponent of the second moment's decay.
    min_dim_size_to_factor: smaller matrices keep a full second moment.
    clipping_threshold: RMS to which an update is clipped; None is off.
    multiply_by_parameter_scale: steps relative to the parameter.
    weight_decay_rate: of the parameters per step; None is off.
    max_gradient_norm: global norm to which gradients are clipped first; None
      is off, as in T5X.
  """
  _check_rate(learning_rate)
  optimizer = adafactor_lib.adafactor(
    learning_rate,
    min_dim_size_to_factor=min_dim_size_to_factor,
    decay_rate=decay_rate,
    multiply_by_parameter_scale=multiply_by_parameter_scale,
    clipping_threshold=clipping_threshold,
    weight_decay_rate=weight_decay_rate,
  )
  return _clipped(optimizer, max_gradient_norm)


def adamw(
  learning_rate: Schedule,
  *,
  b1: float = 0.9,
  b2: float = 0.98,
  weight_decay: float = 0.01,
  max_gradient_norm: float | None = 1.0,
) -> optax.GradientTransformation:
  """The optimizer AdamW (https://arxiv.org/abs/1711.05101) behind a clip.

  Args:
    learning_rate: a number or a schedule.
    b1: decay of the mean of gradients.
    b2: decay of the mean of their squares.
    weight_decay: per step, times the learning rate.
    max_gradient_norm: gradients of a larger global norm are scaled down to it;
      None never.
  """
  _check_rate(learning_rate)
  optimizer = optax.adamw(
    learning_rate, b1=b1, b2=b2, weight_decay=weight_decay
  )
  return _clipped(optimizer, max_gradient_norm)


def _check_schedule(learning_rate: float, warmup_steps: int) -> None:
  _check_rate(learning_rate)
  checks.at_least("warmup_steps", warmup_steps, 1)


def warmup_constant(learning_rate: float, warmup_steps: int) -> optax.Schedule:
  """The schedule of the paper's reward models: linear from 0, then constant.

  Args:
    learning_rate: reached after the warm-up.
    warmup_steps: of this job, at least 1.
  """
  _check_schedule(learning_rate, warmup_steps)
  return optax.linear_schedule(0.0, learning_rate, warmup_steps)


def warmup_rsqrt(learning_rate: float, warmup_steps: int) -> optax.Schedule:
  """The schedule of T5: linear from 0, then falling with 1/sqrt(step).

  Args:
    learning_rate: reached after the warm-up.
    warmup_steps: of this job, at least 1.
  """
  _check_schedule(learning_rate, warmup_steps)

  def schedule(step):
    done = jnp.maximum(jnp.asarray(step, jnp.float32), 1.0)
    return learning_rate * jnp.minimum(
      done / warmup_steps, (warmup_steps / done) ** 0.5
    )

  return schedule


def warmup_cosine(
  learning_rate: float,
  warmup_steps: int,
  total_steps: int,
  final_fraction: float = 0.02,
) -> optax.Schedule:
  """A schedule that is linear from 0, then half a cosine down to a fraction.

  Args:
    learning_rate: reached after the warm-up.
    warmup_steps: of this job, at least 1.
    total_steps: the step of the lowest rate, warm-up included.
    final_fraction: of `learning_rate`, from then on.
  """
  _check_schedule(learning_rate, warmup_steps)
  if total_steps <= warmup_steps:
    raise ValueError(
      f"total_steps {total_steps} is not above warmup_steps {warmup_steps}"
    )
  return optax.warmup_cosine_decay_schedule(
    0.0,
    learning_rate,
    warmup_steps,
    total_steps,
    learning_rate * final_fraction,
  )
