"""The state of a run of PPO: its shapes, at step 0, and after a checkpoint."""

import dataclasses
import functools

import jax
import optax

from xlrm import types
from xlrm.distributed import sharding
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_models
from xlrm.ppo import ppo_step
from xlrm.ppo import reward_scale
from xlrm.training import train_step


@dataclasses.dataclass(frozen=True, eq=False)
class PPOStates:
  """Makes the states of one run.

  Attributes:
    models: of the run.
    optimizers: of the policy and of the value model.
    kl_coefficient: beta at step 0.
    mesh: of the run.
    adapted: low-rank adapters; None: all weights are trained.
  """

  models: ppo_models.Models
  optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation]
  kl_coefficient: float
  mesh: jax.sharding.Mesh
  adapted: ppo_adapters.Adapted | None = None

  @functools.cached_property
  def abstract(self) -> ppo_step.PPOState:
    """Shapes of the state with their shardings on the mesh."""
    models, adapted = self.models, self.adapted
    whole = models.policy.model.abstract()
    trained = [whole, models.scorer and models.scorer.abstract()]
    if adapted is not None:
      config = adapted.config
      trained = [
        ppo_adapters.policy_abstract(models.policy.model, config),
        models.scorer and ppo_adapters.value_abstract(models.scorer, config),
      ]
    policy, value = (
      tree and train_step.abstract_shapes(tree, optimizer)
      for tree, optimizer in zip(trained, self.optimizers)
    )
    found = jax.eval_shape(
      lambda a, b: ppo_step.initial_state(a, b, self.kl_coefficient),
      policy,
      value,
    )
    if adapted is not None:
      found = with_whole(found, whole)
    return sharding.placed(found, self.mesh)

  @functools.cached_property
  def places(self) -> ppo_step.PPOState:
    """Shardings of the state."""
    return jax.tree.map(lambda x: x.sharding, self.abstract)

  def initial(self, scale: reward_scale.RewardScale) -> ppo_step.PPOState:
    """The state of step 0.

    Args:
      scale: of the scores, which a value model from a reward model foretells.
    """
    adapted = self.adapted
    policy = train_step.initial_state(
      adapted.policy_start() if adapted else self.models.policy.lazy_params,
      self.optimizers[0],
      self.mesh,
    )
    value = None
    if self.models.scorer is not None:
      params = (
        adapted.value_start(scale)
        if adapted
        else ppo_models.taken(
          ppo_models.value_params(self.models, scale, self.mesh)
        )
      )
      value = train_step.initial_state(params, self.optimizers[1], self.mesh)
    state = ppo_step.initial_state(policy, value, self.kl_coefficient)
    if adapted is not None:
      state = with_whole(state, adapted.policy(state.params))
    return sharding.put(state, self.places)

  def continued(self, state: ppo_step.PPOState) -> ppo_step.PPOState:
    """A restored state, which holds nothing twice."""
    if self.adapted is None:
      return state
    for leaf in jax.tree.leaves(state.params):
      leaf.delete()
    return state.replace(params=self.adapted.policy(state.policy.params))


def with_whole(
  state: ppo_step.PPOState, params: types.Params
) -> ppo_step.PPOState:
  """A state of adapters -> of the whole policy, its adapters in `policy`."""
  policy = state.policy.replace(params=state.params)
  return state.replace(params=params, policy=policy)


def adapters_alone(state: ppo_step.PPOState) -> ppo_step.PPOState:
  """The inverse of `with_whole`."""
  policy = state.policy.replace(params=None)
  return state.replace(params=state.policy.params, policy=policy)
