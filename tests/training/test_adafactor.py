"""Adafactor against T5X's golden steps and against optax."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xlrm.training import adafactor
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
  optimizer = optimizers.adafactor(lambda step: 1e-3)
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
