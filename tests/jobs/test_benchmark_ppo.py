"""A step of PPO that is timed is one of the job's."""

import jax
import numpy as np
import pytest

from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_ppo


def test_steps_go_on_and_their_parts_are_told(speck_size):
  steps = benchmark_ppo.PPOSteps(
    benchmark_config.BenchmarkConfig(
      speck_size, batch=8, inputs=6, targets=4, samples=1
    )
  )
  assert steps.tokens == 8 * 4
  before = [np.array(x) for x in jax.tree.leaves(steps._state.params)]
  params, metrics = steps.call()
  moved = [
    np.abs(np.asarray(x) - y).max()
    for x, y in zip(jax.tree.leaves(params), before)
  ]
  assert max(moved) > 0
  total, weight = metrics["response/tokens"]
  assert 1 <= float(total) / float(weight) <= 4
  parts = steps.facts(1)
  assert parts.keys() == {
    "rollout_seconds",
    "score_seconds",
    "update_seconds",
  }
  assert int(steps._state.step) == steps._number == 2
  assert parts["rollout_seconds"] > 0


def test_all_models_have_the_size_that_is_asked_for(speck_size):
  config = benchmark_config.BenchmarkConfig(speck_size, batch=8, samples=1)
  mesh = jax.sharding.AbstractMesh((1, 1), ("data", "model"))
  plan = benchmark_ppo.ppo_memory_of(config, mesh)
  policy = benchmark_config.model(config).abstract()
  size = sum(x.size * 4 for x in jax.tree.leaves(policy))
  assert plan.bytes["reference"] == plan.bytes["policy parameters"] == size
  value = size - policy["decoder"]["logits_dense"]["kernel"].size * 4
  assert plan.bytes["reward model 1"] == plan.bytes["value parameters"]
  assert plan.bytes["value parameters"] == pytest.approx(value, rel=0.01)
