"""What must fit together before a run of PPO."""

from xlrm.ppo import kl_controller
from xlrm.ppo import objective as objective_lib
from xlrm.ppo import rollouts as rollouts_lib


def check_objective(
  objective: objective_lib.PPOConfig, rollouts: rollouts_lib.RolloutConfig
) -> None:
  """Raises ValueError if rollouts cannot serve an objective."""
  objective.advantage.check(rollouts.num_samples)
  if objective.policy_start_step and not objective.advantage.needs_values:
    raise ValueError(
      f"policy_start_step {objective.policy_start_step}: until then only the "
      "value model learns, and this advantage has none; set it to 0 (the macro "
      "POLICY_START_STEP)"
    )
  kl_controller.check_horizon(objective, rollouts.batch_size)


def check_minibatches(
  rollouts: rollouts_lib.RolloutConfig,
  objective: objective_lib.PPOConfig,
  shards: int,
  microbatches: int,
) -> None:
  """Raises ValueError, with the nearest valid sizes, if prompts do not divide
  over minibatches, microbatches and data shards."""
  unit = objective.num_minibatches * microbatches * shards
  if rollouts.num_prompts % unit:
    low = rollouts.num_prompts // unit * unit
    nearest = [x * rollouts.num_samples for x in (low, low + unit) if x]
    raise ValueError(
      f"batch_size {rollouts.batch_size} ({rollouts.num_prompts} prompts) is "
      f"not divisible by {objective.num_minibatches} minibatches x "
      f"{microbatches} microbatches x {shards} data shards; nearest valid: "
      f"{', '.join(map(str, nearest))}"
    )
