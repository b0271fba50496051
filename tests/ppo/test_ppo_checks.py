"""Rollouts and objectives that do not fit together."""

import pytest

from xlrm.ppo import advantages
from xlrm.ppo import objective
from xlrm.ppo import ppo_checks
from xlrm.ppo import rollouts


def check_minibatches(prompts, minibatches, microbatches, shards, samples=1):
  ppo_checks.check_minibatches(
    rollouts.RolloutConfig(batch_size=prompts * samples, num_samples=samples),
    objective.PPOConfig(num_minibatches=minibatches),
    shards,
    microbatches,
  )


def test_prompts_divide_over_minibatches_microbatches_and_shards():
  """Whatever divides is accepted, and nothing else."""
  for prompts in range(1, 25):
    for sizes in ((1, 1, 1), (2, 1, 3), (1, 2, 4), (3, 2, 2)):
      unit = sizes[0] * sizes[1] * sizes[2]
      if prompts % unit == 0:
        check_minibatches(prompts, *sizes)
        continue
      with pytest.raises(ValueError, match="is not divisible by"):
        check_minibatches(prompts, *sizes)


def test_the_nearest_valid_sizes_are_in_responses():
  with pytest.raises(ValueError, match=r"30 \(15 prompts\).*valid: 24, 48$"):
    check_minibatches(15, 3, 2, 2, samples=2)
  with pytest.raises(ValueError, match="nearest valid: 8$"):
    check_minibatches(3, 2, 2, 2)


@pytest.mark.parametrize(
  ("config", "sizes", "message"),
  [
    (
      {"advantage": advantages.LeaveOneOut()},
      {"num_samples": 1},
      "num_samples 1 must be at least 2",
    ),
    (
      {"advantage": advantages.GroupNormalised(), "policy_start_step": 3},
      {"num_samples": 4},
      "policy_start_step 3: until then only the value model learns",
    ),
    (
      {"kl_target": 6.0, "kl_horizon": 5.0},
      {"batch_size": 32},
      "kl_horizon 5.0 is too short for 32 responses",
    ),
  ],
)
def test_what_an_objective_asks_of_rollouts(config, sizes, message):
  with pytest.raises(ValueError, match=message):
    ppo_checks.check_objective(
      objective.PPOConfig(**config), rollouts.RolloutConfig(**sizes)
    )


def test_a_value_model_of_a_head_start_and_groups_without_one_are_fine():
  ppo_checks.check_objective(
    objective.PPOConfig(policy_start_step=3), rollouts.RolloutConfig()
  )
  ppo_checks.check_objective(
    objective.PPOConfig(advantage=advantages.LeaveOneOut()),
    rollouts.RolloutConfig(num_samples=2),
  )
