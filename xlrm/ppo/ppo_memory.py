"""What a run of PPO needs of each device's memory, before it runs."""

import jax
import jax.numpy as jnp
import numpy as np

from xlrm import types
from xlrm.distributed import device_memory
from xlrm.distributed import sharding
from xlrm.models import lora
from xlrm.ppo import objective
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_step
from xlrm.ppo import ppo_trainer
from xlrm.training import training_memory


def plan_of(
  trainer: ppo_trainer.Trainer, rows: int, max_input_length: int
) -> device_memory.MemoryPlan:
  """Two training steps one after the other, beside all the other weights.

  Args:
    rows: prompts of a minibatch.
    max_input_length: tokens of a prompt.
  """
  models, rollouts = trainer.states.models, trainer.rollouts
  shape = (rows, rollouts.num_samples, rollouts.sampler.max_tokens)
  tokens = jax.ShapeDtypeStruct(shape, np.int32)
  numbers = jax.ShapeDtypeStruct(shape, np.float32)
  inputs = jax.ShapeDtypeStruct((rows, max_input_length), np.int32)
  batch = types.Batch(inputs, tokens, numbers)
  experience = objective.Experience(batch, numbers, numbers, numbers, numbers)
  options = {
    "batch": experience,
    "mesh": trainer.states.mesh,
    "num_microbatches": trainer.num_microbatches,
  }
  support = jnp.asarray(rollouts.support)
  temperature = rollouts.sampler.temperature
  policy_loss = lambda m: ppo_step.policy_loss_of(
    m,
    trainer.config,
    temperature,
    # One part of the vocabulary has one part of the support.
    support[: m.config.vocab_size],
  )
  value_loss = lambda m: ppo_step.value_loss_of(m, trainer.config)
  adapted = trainer.states.adapted
  if adapted is not None:
    return _adapted_plan(trainer, policy_loss, value_loss, options)
  policy = training_memory.training_plan(
    training_memory.Planned(
      models.policy.model, lambda m: (m.abstract(), policy_loss(m))
    ),
    optimizer=trainer.states.optimizers[0],
    **options,
  )
  found = {f"policy {name}": size for name, size in policy.bytes.items()}
  if models.scorer is not None:
    value = training_memory.training_plan(
      training_memory.Planned(
        models.scorer, lambda m: (m.abstract(), value_loss(m))
      ),
      optimizer=trainer.states.optimizers[1],
      **options,
    )
    found |= _beside(policy, value)
  found["reference"] = device_memory.placed_bytes(
    models.reference.model.abstract(), trainer.states.mesh
  )
  return device_memory.MemoryPlan(found | _rewards(trainer))


KEPT = ("parameters", "optimizer")


def _beside(policy: device_memory.MemoryPlan, value: device_memory.MemoryPlan):
  """What the value model adds: one of the two is updated at a time."""
  found = {f"value {name}": value.bytes[name] for name in KEPT}
  step, other = (
    sum(x for name, x in plan.bytes.items() if name not in KEPT)
    for plan in (policy, value)
  )
  return found | {"value step beyond policy's": max(0, other - step)}


def _rewards(trainer: ppo_trainer.Trainer) -> dict[str, int]:
  models = trainer.states.models
  judges = {"reward model": models.reward, "held-out model": models.heldout}
  return {
    f"{name} {number}": device_memory.placed_bytes(
      member.model.abstract(), trainer.states.mesh, sharding.split_over_model
    )
    for name, judge in judges.items()
    if judge is not None
    for number, member in enumerate(judge.members, 1)
  }


def _adapted_plan(trainer, policy_loss, value_loss, options):
  """The same where only adapters are trained; frozen weights count once."""
  models, adapted = trainer.states.models, trainer.states.adapted

  def planned(model, frozen_of, trained_of, merged, loss_of):
    """A tree of both, of which the frozen part is frozen."""

    def loss(m):
      def of(params, batch, key):
        trained = params["adapters"]
        base = jax.lax.stop_gradient(params["base"])
        return loss_of(m)(merged(base, trained, adapted.config), batch, key)

      return {"base": frozen_of(m), "adapters": trained_of(m)}, of

    tree, _ = loss(model)
    mask = {
      name: jax.tree.map(lambda _, name=name: name == "base", part)
      for name, part in tree.items()
    }
    return training_memory.Planned(model, loss), mask

  def plan(optimizer, *parts):
    what, mask = planned(*parts)
    found = training_memory.training_plan(
      what, optimizer=optimizer, mask=mask, **options
    ).bytes
    adapters = device_memory.placed_bytes(
      what.loss_of(parts[0])[0]["adapters"], trainer.states.mesh
    )
    return device_memory.MemoryPlan({**found, "parameters": adapters})

  policy = plan(
    trainer.states.optimizers[0],
    models.policy.model,
    lambda m: m.abstract(),
    lambda m: ppo_adapters.policy_abstract(m, adapted.config),
    ppo_adapters.merged_policy,
    policy_loss,
  )
  base = models.policy.model.abstract()
  found = {
    "base of policy": device_memory.placed_bytes(base, trainer.states.mesh),
    "policy merged matrices": _target_bytes(base, trainer),
    **{f"policy {name}": size for name, size in policy.bytes.items()},
  }
  if models.scorer is not None:
    value = plan(
      trainer.states.optimizers[1],
      models.scorer,
      lambda m: m.abstract()["backbone"],
      lambda m: ppo_adapters.value_abstract(m, adapted.config),
      ppo_adapters.merged_value,
      value_loss,
    )
    own = models.value is not None and models.value_member is None
    whole = models.scorer.abstract()["backbone"]
    found["base of value model"] = (
      device_memory.placed_bytes(whole, trainer.states.mesh) if own else 0
    )
    found |= _beside(policy, value)
  found["reference"] = (
    0
    if adapted.is_reference
    else device_memory.placed_bytes(
      models.reference.model.abstract(), trainer.states.mesh
    )
  )
  return device_memory.MemoryPlan(found | _rewards(trainer))


def _target_bytes(base, trainer) -> int:
  """Of the matrices that are adapted, once more: merged, to be sampled from."""
  names = lora.target_names(base, trainer.states.adapted.config)
  kept = jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf if sharding.path_name(path) in names else None,
    base,
  )
  return device_memory.placed_bytes(kept, trainer.states.mesh)
