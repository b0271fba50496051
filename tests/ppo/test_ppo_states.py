"""The state of a run: what is abstract of it is what is made."""

import dataclasses

import jax
import numpy as np
import pytest

from xlrm.distributed import meshes
from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_ppo
from xlrm.models import lora
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_states
from xlrm.ppo import reward_scale

SCALE = reward_scale.RewardScale(gain=2.0, bias=-0.5)


@pytest.fixture(scope="module")
def states(speck_size):
  """Of all weights, on a mesh of 4 devices; the value model starts from the
  reward model."""
  mesh = meshes.MeshConfig(2, 2).build(jax.devices()[:4])
  config = benchmark_config.BenchmarkConfig(speck_size, inputs=6, targets=4)
  return benchmark_ppo.trainer(config, mesh).states


@pytest.fixture(scope="module")
def adapted(states):
  """The same of adapters."""
  made = ppo_adapters.Adapted(
    lora.LoraConfig(rank=2), states.models, states.mesh, seed=0
  )
  return dataclasses.replace(states, adapted=made)


@pytest.mark.parametrize("kind", ["states", "adapted"])
def test_what_is_planned_is_what_is_made(kind, request):
  states = request.getfixturevalue(kind)
  state = states.initial(SCALE)
  planned, made = jax.tree.leaves(states.abstract), jax.tree.leaves(state)
  assert jax.tree.structure(states.abstract) == jax.tree.structure(state)
  for x, y in zip(planned, made, strict=True):
    assert (x.shape, x.dtype) == (y.shape, y.dtype)
    assert y.sharding.is_equivalent_to(x.sharding, y.ndim)
  assert int(state.step) == int(state.nonfinite_total) == 0
  assert float(state.kl_coefficient) == np.float32(states.kl_coefficient)


def test_the_value_model_starts_in_units_of_the_scaled_score(states):
  start = states.models.value.lazy_params.on(states.mesh)
  value = states.initial(SCALE).value.params
  np.testing.assert_allclose(
    value["head"]["kernel"], 2.0 * start["head"]["kernel"], rtol=1e-6
  )
  np.testing.assert_allclose(
    value["head"]["bias"], 2.0 * start["head"]["bias"] - 0.5, rtol=1e-6
  )


def test_adapters_keep_the_whole_policy_apart(adapted):
  state = adapted.initial(SCALE)
  alone = ppo_states.adapters_alone(state)
  assert all("lora_" in name for name in _names(alone.params))
  assert alone.policy.params is None
  again = ppo_states.with_whole(alone, state.params)
  assert jax.tree.all(jax.tree.map(lambda x, y: x is y, again, state))
  # B is 0, so the policy is its base.
  base = adapted.adapted.base
  assert jax.tree.all(jax.tree.map(np.array_equal, state.params, base))


def test_a_restored_policy_of_adapters_is_merged_again(adapted):
  state = adapted.initial(SCALE)
  moved = jax.tree.map(lambda x: x + 0.1, state.policy.params)
  policy = state.policy.replace(params=moved)
  expected = adapted.adapted.policy(moved)
  # As a checkpoint has it: arrays of its own.
  stored = jax.tree.map(lambda x: x + 0, expected)
  found = adapted.continued(state.replace(params=stored, policy=policy))
  for x, y in zip(jax.tree.leaves(found.params), jax.tree.leaves(expected)):
    np.testing.assert_array_equal(x, y)
  assert all(x.is_deleted() for x in jax.tree.leaves(stored))


def test_a_restored_policy_of_all_weights_is_what_it_is(states):
  state = states.initial(SCALE)
  assert states.continued(state) is state


def _names(tree):
  return [
    jax.tree_util.keystr(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(tree)
  ]
