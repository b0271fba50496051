"""The step of a run: whose weights it reads, what it keeps, when it stops.

What is learnt in a step is `test_ppo_step`'s, and a whole run the job's.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import types
from xlrm.batches import prompt_batches
from xlrm.distributed import meshes
from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_ppo
from xlrm.ppo import objective
from xlrm.ppo import ppo_step
from xlrm.ppo import ppo_trainer

PROMPTS, START = 2, 2


class Drawn:
  """Draws nothing; remembers whose weights it was given."""

  def __init__(self):
    self.references = []

  def rollout(self, params, reference, value, batch, key):
    del params, value, key
    self.references.append(reference)
    tokens = np.full((PROMPTS, 1, 3), batch.number, np.int32)
    numbers = np.zeros(tokens.shape, np.float32)
    rollout = types.Rollout(
      batch=types.Batch(batch.inputs, tokens, numbers),
      logprobs=numbers,
      reference_logprobs=numbers,
      values=numbers,
      scores=np.full((PROMPTS, 1), 0.5 * batch.number, np.float32),
    )
    return rollout, np.ones((PROMPTS, 1), bool), [["a b c a b c"]] * PROMPTS


@pytest.fixture
def trainer(speck_size, monkeypatch):
  """Whose policy is frozen until START, and then grows by 1 per step."""
  mesh = meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  made = benchmark_ppo.trainer(
    benchmark_config.BenchmarkConfig(speck_size, inputs=6, targets=3), mesh
  )

  def update(self, state, number, *arguments):
    del self, arguments
    moved = state.params + 1 if number >= START else state.params
    return dataclasses.replace(state, params=moved), {}

  monkeypatch.setattr(ppo_trainer.Trainer, "_update", update)
  return dataclasses.replace(
    made, rollouts=Drawn(), config=objective.PPOConfig(policy_start_step=START)
  )


def run(trainer, steps):
  """The metrics of steps from number 0."""
  zero = jnp.zeros(())
  state = ppo_step.PPOState(zero, jnp.arange(3.0), None, None, zero, zero, zero)
  found = []
  for number in range(steps):
    state, metrics = trainer.step(state, batch(number), jax.random.key(0))
    found.append(metrics)
  return found


def batch(number):
  inputs = np.full((PROMPTS, 6), 7, np.int32)
  rows = [{"id": f"{number}/{i}", "reward_inputs": "x"} for i in range(PROMPTS)]
  return prompt_batches.PromptBatch(number, inputs, rows)


def test_the_reference_is_what_the_policy_was_when_it_began_to_learn(trainer):
  run(trainer, START + 3)
  found = trainer.rollouts.references
  assert found[0] is found[1]  # the policy itself: there is no second copy
  assert found[START] is not found[0]
  for later in found[START:]:
    assert later is found[START]
    np.testing.assert_array_equal(later, np.arange(3.0))


def test_another_reference_is_read_once_and_at_once(trainer):
  trainer = dataclasses.replace(trainer, shares_reference=False)
  run(trainer, 3)
  found = trainer.rollouts.references
  model = trainer.states.models.reference
  expected = model.lazy_params.on(trainer.states.mesh)
  for x, y in zip(jax.tree.leaves(found[0]), jax.tree.leaves(expected)):
    np.testing.assert_array_equal(x, y)
  assert found[0] is found[1] is found[2]


def test_the_last_two_rollouts_can_be_described(trainer):
  run(trainer, 4)
  for number in (2, 3):
    found = trainer.describe(number + 1, batch(number))
    assert found["ids"].tolist() == [f"{number}/0", f"{number}/1"]
    assert (found["tokens"] == number).all()
    assert (found["scores"] == 0.5 * number).all()
  assert "tokens" not in trainer.describe(2, batch(1))


def test_a_step_says_what_its_texts_look_like(trainer):
  (metrics,) = run(trainer, 1)
  assert metrics["response/unique"] == (1.0, 2.0)
  total, weight = metrics["response/repeated"]
  assert total > 0 and weight == 2


@pytest.mark.parametrize(
  ("name", "number"),
  [("objective/k1", START), ("val/first_ratio_deviation", 7)],
)
def test_a_sampler_that_is_not_the_policy_is_told(trainer, name, number):
  trainer._check_start(0, {name: (1e-9, 1.0)})
  with pytest.raises(ValueError, match=f"step {number + 1}: {name} is 0.5"):
    trainer._check_start(number, {name: (1.0, 2.0)})


def test_the_kl_of_a_policy_that_learns_may_be_anything(trainer):
  trainer._check_start(START + 1, {"objective/k1": (1.0, 2.0)})
