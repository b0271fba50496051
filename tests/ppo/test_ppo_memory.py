"""The plan of a run of PPO, against what its trees have."""

import dataclasses

import jax

from xlrm.distributed import meshes
from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_ppo
from xlrm.models import lora
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_memory

INPUTS, TARGETS = 12, 8


def trainer(size):
  mesh = meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  config = benchmark_config.BenchmarkConfig(
    size, inputs=INPUTS, targets=TARGETS, samples=2
  )
  return benchmark_ppo.trainer(config, mesh)


def bytes_of(tree):
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def test_weights_and_moments_are_those_of_the_state(speck_size):
  made = trainer(speck_size)
  found = ppo_memory.plan_of(made, 4, INPUTS).bytes
  state = made.states.abstract
  assert found["policy parameters"] == bytes_of(state.params)
  assert found["policy optimizer"] == bytes_of(state.policy.opt_state)
  assert found["value parameters"] == bytes_of(state.value.params)
  assert found["value optimizer"] == bytes_of(state.value.opt_state)
  assert found["reference"] == found["policy parameters"]
  assert found["reward model 1"] == found["value parameters"]
  assert "held-out model 1" not in found


def test_without_a_value_model_it_takes_nothing(speck_size):
  made = trainer(speck_size)
  models = dataclasses.replace(made.states.models, scorer=None, value=None)
  states = dataclasses.replace(made.states, models=models)
  found = ppo_memory.plan_of(
    dataclasses.replace(made, states=states), 4, INPUTS
  ).bytes
  assert not any(name.startswith("value") for name in found)


def test_adapters_lie_over_one_base(speck_size):
  made = trainer(speck_size)
  models = dataclasses.replace(made.states.models, value=None)
  adapted = ppo_adapters.Adapted(
    lora.LoraConfig(rank=1), models, made.states.mesh, seed=0
  )
  states = dataclasses.replace(made.states, models=models, adapted=adapted)
  found = ppo_memory.plan_of(
    dataclasses.replace(made, states=states), 4, INPUTS
  ).bytes
  config = adapted.config
  policy = ppo_adapters.policy_abstract(models.policy.model, config)
  value = ppo_adapters.value_abstract(models.scorer, config)
  assert found["base of policy"] == bytes_of(models.policy.model.abstract())
  assert found["policy parameters"] == bytes_of(policy)
  assert found["value parameters"] == bytes_of(value)
  assert found["reference"] == found["base of value model"] == 0
  targets = lora.target_names(models.policy.model.abstract(), config)
  assert len(targets) == len(policy)
  assert 0 < found["policy merged matrices"] < found["base of policy"]
