"""Adafactor (https://arxiv.org/abs/1804.04235) for matrices of 250,112 rows.

The steps of `optax.adafactor` up to rounding, and its state, in less memory:
XLA's CPU keeps what several sums read, so the large matrices go one by one.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xlrm import types

EPSILON = 1e-30  # added to squared gradients
MIN_SCALE = 1e-3  # of a parameter
LARGE = 2**24  # elements of a matrix that waits for all before it


def _mean(x: types.Array, axis: int) -> types.Array:
  """jnp.mean of a matrix or of more."""
  if x.ndim != 2 or axis or x.shape[0] >= x.shape[1]:
    return jnp.mean(x, axis)
  # XLA's CPU sums of a wide matrix's columns copy the matrix, and take ten
  # times as long as a product with ones; GPUs make a sum of the product.
  ones = jnp.ones(x.shape[0], x.dtype)
  return jnp.dot(ones, x, precision=jax.lax.Precision.HIGHEST) / x.shape[0]


def _factored(gradient, row, column, decay):
  """(update, row, column): the moment is the outer product of two means.

  `row` is the mean over the largest axis, `column` that over the second.
  """
  *_, second, largest = map(int, np.argsort(gradient.shape))
  squares = jnp.square(gradient) + EPSILON
  row = decay * row + (1.0 - decay) * _mean(squares, largest)
  column = decay * column + (1.0 - decay) * _mean(squares, second)
  kept = second - 1 if second > largest else second  # its place in `row`
  relative = row / jnp.mean(row, kept, keepdims=True)
  update = (
    gradient
    * jnp.expand_dims(relative**-0.5, largest)
    * jnp.expand_dims(column**-0.5, second)
  )
  return update, row, column


def scale_by_second_moment(
  decay_rate: float,
  min_dim_size_to_factor: int,
  clipping_threshold: float | None,
) -> optax.GradientTransformation:
  """A step: gradients over the root of their second moments, RMS clipped.

  Args:
    decay_rate: c of the decay 1 - (step + 1)^-c.
    min_dim_size_to_factor: moments of matrices with two dimensions of this
      size or more are factored.
    clipping_threshold: RMS of a matrix's update; None is off.
  """
  stock = optax.scale_by_factored_rms(
    min_dim_size_to_factor=min_dim_size_to_factor
  )

  def update_fn(gradients, state: optax.FactoredState, params=None):
    del params
    decay = 1.0 - (jnp.asarray(state.count, jnp.float32) + 1) ** -decay_rate
    before = jnp.ones((), bool)

    def one(gradient, row, column, full):
      nonlocal before
      if gradient.size >= LARGE:
        gradient = jnp.where(before, gradient, 0.0)
      if full.shape != gradient.shape:
        update, row, column = _factored(gradient, row, column, decay)
      else:
        full = decay * full + (1.0 - decay) * (jnp.square(gradient) + EPSILON)
        update = gradient * full**-0.5
      if clipping_threshold is not None:
        rms = jnp.sqrt(jnp.mean(jnp.square(update)))
        update = update / jnp.maximum(1.0, rms / clipping_threshold)
        before &= jnp.isfinite(rms)  # True, known when this matrix is done
      return update, row, column, full

    found = jax.tree.map(one, gradients, state.v_row, state.v_col, state.v)
    updates, *moments = jax.tree.transpose(
      jax.tree.structure(gradients), jax.tree.structure((0,) * 4), found
    )
    count = optax.safe_increment(state.count)
    return updates, optax.FactoredState(count, *moments)

  return optax.GradientTransformation(stock.init, update_fn)


def scale_by_parameter() -> optax.GradientTransformation:
  """A step: updates times max(RMS of their parameter, 1e-3)."""

  def update_fn(updates, state, params):
    def one(update, param):
      rms = jnp.sqrt(jnp.mean(jnp.square(param)))
      return update * jnp.maximum(rms, MIN_SCALE)

    return jax.tree.map(one, updates, params), state

  return optax.GradientTransformation(lambda _: optax.EmptyState(), update_fn)


def adafactor(
  learning_rate: optax.ScalarOrSchedule,
  *,
  decay_rate: float,
  min_dim_size_to_factor: int,
  clipping_threshold: float | None,
  multiply_by_parameter_scale: bool,
  weight_decay_rate: float | None,
) -> optax.GradientTransformation:
  """The optimizer `optax.adafactor` without momentum, in less memory.

  See `optimizers.adafactor` for the arguments.
  """
  steps = [
    scale_by_second_moment(
      decay_rate, min_dim_size_to_factor, clipping_threshold
    )
  ]
  if clipping_threshold is not None:
    steps.append(optax.identity())  # optax clips here: the state has a place
  steps.append(optax.scale_by_learning_rate(learning_rate, flip_sign=False))
  if multiply_by_parameter_scale:
    steps.append(scale_by_parameter())
  if weight_decay_rate is not None:
    steps.append(optax.add_decayed_weights(weight_decay_rate))
  return optax.chain(*steps, optax.scale(-1))
