"""Parameters that stay as they are: no state, no gradient, named by paths."""

import jax
import jax.numpy as jnp
import optax
import pytest

from xlrm.training import frozen_params
from xlrm.training import optimizers

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
