"""What a run of PPO needs of each device's memory, before it runs."""

import jax
import jax.numpy as jnp
import numpy as np

from xlrm import memory_plan
from xlrm import ppo
from xlrm import ppo_step
from xlrm import sharding
from xlrm import types
from xlrm.jobs import ppo_trainer


def plan_of(trainer: ppo_trainer.Trainer, rows: int) -> memory_plan.Plan:
  """Two training steps one after the other, beside all the other weights."""
  models, rollout = trainer.models, trainer.rollout_config
  shape = (rows, rollout.num_samples, trainer.rollouts.sampler.max_tokens)
  tokens = jax.ShapeDtypeStruct(shape, np.int32)
  numbers = jax.ShapeDtypeStruct(shape, np.float32)
  inputs = jax.ShapeDtypeStruct((rows, trainer.lengths["inputs"]), np.int32)
  batch = types.Batch(inputs, tokens, numbers)
  experience = ppo.Experience(batch, numbers, numbers, numbers, numbers)
  options = {
    "batch": experience,
    "mesh": trainer.mesh,
    "num_microbatches": trainer.num_microbatches,
  }
  support = jnp.asarray(trainer.rollouts.support)
  temperature = trainer.rollouts.sampler.temperature
  policy = memory_plan.training_plan(
    memory_plan.Planned(
      models.policy.model,
      lambda m: (
        m.abstract(),
        # One part of the vocabulary has one part of the support.
        ppo_step.policy_loss_of(
          m, trainer.config, temperature, support[: m.config.vocab_size]
        ),
      ),
    ),
    optimizer=trainer.optimizers[0],
    **options,
  )
  found = {f"policy {name}": size for name, size in policy.bytes.items()}
  if models.scorer is not None:
    value = memory_plan.training_plan(
      memory_plan.Planned(
        models.scorer,
        lambda m: (m.abstract(), ppo_step.value_loss_of(m, trainer.config)),
      ),
      optimizer=trainer.optimizers[1],
      **options,
    )
    kept = ("parameters", "optimizer")
    found |= {f"value {name}": value.bytes[name] for name in kept}
    # One of the two is updated at a time.
    step = sum(x for n, x in policy.bytes.items() if n not in kept)
    other = sum(x for n, x in value.bytes.items() if n not in kept)
    found["value step beyond policy's"] = max(0, other - step)
  found["reference"] = memory_plan.placed_bytes(
    models.reference.model.abstract(), trainer.mesh
  )
  for number, member in enumerate(models.reward.members, 1):
    found[f"reward model {number}"] = memory_plan.placed_bytes(
      member.model.abstract(), trainer.mesh, sharding.split_over_model
    )
  return memory_plan.Plan(found)
