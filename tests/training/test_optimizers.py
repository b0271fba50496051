"""Optimizers against T5X's numbers and hand-made schedules."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xlrm.training import adafactor
from xlrm.training import frozen_params
from xlrm.training import optimizers

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "t5x_adafactor.npz"


def _tree(arrays, prefix):
  return {
    name.removeprefix(prefix + "/"): jnp.asarray(arrays[name])
    for name in arrays.files
    if name.startswith(prefix + "/")
  }


def test_adafactor_takes_the_steps_of_t5x():
  """Two consecutive updates, factored and unfactored parameters."""
  arrays = np.load(GOLDEN)
  optimizer = optimizers.adafactor(1e-3)
  params = _tree(arrays, "params_before")
  state = optimizer.init(params)
  assert state[0].v["token_embedder/embedding"].shape == (1,)
  assert state[0].v["encoder/layers_0/attention/query/kernel"].size > 1
  for step in range(2):
    gradient = _tree(arrays, f"grads_{step}")
    expected = _tree(arrays, f"params_after_{step}")
    updates, state = optimizer.update(gradient, state, params)
    for name, update in updates.items():
      # In float64: parameters are much larger than their steps.
      wanted = np.asarray(expected[name], np.float64) - np.asarray(
        params[name], np.float64
      )
      error = np.abs(np.asarray(update) - wanted).max() / np.abs(wanted).max()
      assert error < 1e-3, (name, step, error)
    params = expected


def test_adafactor_keeps_the_second_moments_of_t5x():
  arrays = np.load(GOLDEN)
  optimizer = optimizers.adafactor(1e-3)
  params = _tree(arrays, "params_before")
  state = optimizer.init(params)
  for step in range(2):
    gradient = _tree(arrays, f"grads_{step}")
    _, state = optimizer.update(gradient, state, params)
    params = _tree(arrays, f"params_after_{step}")
    for name in params:
      for moment in ("v", "v_row", "v_col"):
        np.testing.assert_allclose(
          getattr(state[0], moment)[name],
          arrays[f"opt_after_{step}/{name}/{moment}"],
          rtol=1e-4,
          atol=1e-30,
        )


@pytest.mark.parametrize(
  "options",
  [
    {},
    {"clipping_threshold": None, "multiply_by_parameter_scale": False},
    {"weight_decay_rate": 0.1, "decay_rate": 0.5},
  ],
)
def test_adafactor_is_that_of_optax(options, monkeypatch):
  """Wide, tall, square and stacked matrices, in three updates."""
  monkeypatch.setattr(adafactor, "LARGE", 128 * 400)
  draw = np.random.default_rng(0)
  shapes = {
    "bias": (7,),
    "cube": (2, 130, 128),
    "one": (1,),
    "small": (128, 5),
    "square": (128, 128),
    "tall": (400, 128),
    "wide": (128, 400),
  }
  params = {
    name: np.float32(draw.normal(size=shape, scale=0.1 + 3 * (name == "tall")))
    for name, shape in shapes.items()
  }
  params["bias"] *= 1e-6  # below the least scale

  def compare(a, b):  # weight decay and gradient may cancel out
    atol = 1e-7 * np.abs(b).max()
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=atol)

  ours, theirs = (
    optimizers.adafactor(0.01, **options),
    optax.adafactor(0.01, **options),
  )
  state, wanted_state = ours.init(params), theirs.init(params)
  for _ in range(3):
    gradient = jax.tree.map(
      lambda x: np.float32(draw.normal(size=x.shape)), params
    )
    gradient["tall"][3] = 0.0
    updates, state = jax.jit(ours.update)(gradient, state, params)
    wanted, wanted_state = theirs.update(gradient, wanted_state, params)
    jax.tree.map(compare, (updates, state), (wanted, wanted_state))


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


PARAMS = {
  "encoder": {"layers_0": {"mlp": {"kernel": jnp.ones((2, 2))}}},
  "decoder": {"layers_0": {"mlp": {"kernel": jnp.ones((2, 2))}}},
  "head": {"bias": jnp.ones((1,))},
}


def test_frozen_parameters_have_no_optimizer_state():
  mask = frozen_params.frozen_mask(PARAMS, ["^encoder/", "bias$"])
  trained, frozen = frozen_params.split(PARAMS, mask)
  assert len(jax.tree.leaves(trained)) == 1
  merged = frozen_params.merge(trained, frozen)
  assert jax.tree.structure(merged) == jax.tree.structure(PARAMS)
  state = optimizers.adamw(0.1).init(trained)
  moments = [x for x in jax.tree.leaves(state) if x.shape == (2, 2)]
  assert len(moments) == 2  # mu and nu of the one trained kernel
  updates, _ = optimizers.adamw(0.1).update(trained, state, trained)
  updated = frozen_params.merge(optax.apply_updates(trained, updates), frozen)
  assert float(updated["encoder"]["layers_0"]["mlp"]["kernel"][0, 0]) == 1
  assert float(updated["decoder"]["layers_0"]["mlp"]["kernel"][0, 0]) < 1


def test_a_pattern_that_matches_nothing_names_the_nearest_path():
  with pytest.raises(ValueError, match="nearest: encoder/layers_0/mlp/kernel"):
    frozen_params.frozen_mask(PARAMS, ["encodr/layers_0/mlp"])
  with pytest.raises(ValueError, match="no regular expression"):
    frozen_params.frozen_mask(PARAMS, ["("])
  with pytest.raises(ValueError, match="one string"):
    frozen_params.frozen_mask(PARAMS, "encoder")
  with pytest.raises(ValueError, match="leaves no parameter to train"):
    frozen_params.frozen_mask(PARAMS, ["."])
