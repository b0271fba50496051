"""Schedules at steps computed by hand, and clipping by global norm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.training import optimizers


def test_schedules_at_hand_computed_steps():
  linear = optimizers.warmup_constant(0.4, 4)
  np.testing.assert_allclose(
    [linear(s) for s in (0, 1, 4, 100)], [0, 0.1, 0.4, 0.4], rtol=1e-6
  )
  rsqrt = optimizers.warmup_rsqrt(1.0, 100)
  np.testing.assert_allclose(
    [rsqrt(jnp.int32(s)) for s in (50, 100, 400)], [0.5, 1, 0.5], rtol=1e-6
  )
  cosine = optimizers.warmup_cosine(1.0, 10, 110, final_fraction=0.1)
  np.testing.assert_allclose(
    [cosine(s) for s in (5, 10, 60, 110, 500)], [0.5, 1, 0.55, 0.1, 0.1], 1e-5
  )


def test_a_schedule_drives_the_optimizer():
  optimizer = optimizers.adafactor(optimizers.warmup_constant(1e-2, 10))
  params = {"w": jnp.ones((4,))}
  updates, _ = optimizer.update(params, optimizer.init(params), params)
  assert float(jnp.abs(updates["w"]).max()) == 0  # step 0 of the warm-up


def test_global_norm_clipping():
  """A gradient of norm 5 moves a parameter like itself divided by 5."""
  params = {"w": jnp.zeros((4,))}
  gradient = {"w": jnp.asarray([3.0, 4.0, 0.0, 0.0])}
  small = {"w": gradient["w"] / 5}
  for make in (optimizers.adafactor, optimizers.adamw):
    clipped = make(1.0, max_gradient_norm=1.0)
    free = make(1.0, max_gradient_norm=None)
    _, (_, one) = clipped.update(gradient, clipped.init(params), params)
    _, two = free.update(small, free.init(params), params)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
  "make",
  [
    lambda: optimizers.adafactor(-1.0),
    lambda: optimizers.adamw(float("nan")),
    lambda: optimizers.adamw(1.0, max_gradient_norm=0.0),
    lambda: optimizers.warmup_constant(1.0, 0),
    lambda: optimizers.warmup_cosine(1.0, 10, 10),
  ],
)
def test_bad_settings_are_named(make):
  with pytest.raises(ValueError, match="-1.0|nan|0"):
    make()
