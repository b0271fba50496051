"""The step of PPO, for the one training loop: state, rollout, update.

What is shown of the policy meanwhile is `ppo_evaluation`'s.
"""

from collections.abc import Callable, Collection, Mapping
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xlrm import types
from xlrm.batches import prompt_batches
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.evaluation import hacking_panel
from xlrm.evaluation import language_id
from xlrm.ppo import objective
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_models
from xlrm.ppo import ppo_step
from xlrm.ppo import rollouts as rollouts_lib
from xlrm.training import train_step

WATCHED = ("de", "en", "es", "ru", "tr", "vi")  # languages that are told apart


@dataclasses.dataclass(eq=False)
class Trainer:
  """State and step of a run."""

  models: ppo_models.Models
  optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation]
  config: objective.PPOConfig
  rollout_config: rollouts_lib.RolloutConfig
  rollouts: rollouts_lib.Rollouts
  num_microbatches: int
  mesh: jax.sharding.Mesh
  shares_reference: bool  # the reference is what the policy starts as
  languages: Collection[str]  # of the prompts
  adapted: ppo_adapters.Adapted | None = None  # None: all weights are trained

  def __post_init__(self):
    self.reference_params = None
    self.drawn: dict[int, dict[str, Any]] = {}
    self.compiled: dict[bool, Callable] = {}

  def abstract(self) -> ppo_step.PPOState:
    """Shapes of the state with their shardings on the mesh."""
    models = self.models
    whole = models.policy.model.abstract()
    trained = [whole, models.scorer and models.scorer.abstract()]
    if self.adapted is not None:
      config = self.adapted.config
      trained = [
        ppo_adapters.policy_abstract(models.policy.model, config),
        models.scorer and ppo_adapters.value_abstract(models.scorer, config),
      ]

    def state():
      policy, value = (
        tree and train_step.abstract_shapes(tree, optimizer)
        for tree, optimizer in zip(trained, self.optimizers)
      )
      return jax.eval_shape(
        lambda a, b: ppo_step.initial_state(a, b, self.config.kl_coefficient),
        policy,
        value,
      )

    found = state()
    if self.adapted is not None:
      found = _with_whole(found, whole)
    return sharding.placed(found, self.mesh)

  def initial(self) -> ppo_step.PPOState:
    """The state of step 0."""
    adapted, scale = self.adapted, self.rollouts.scale
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
    state = ppo_step.initial_state(policy, value, self.config.kl_coefficient)
    if adapted is not None:
      state = _with_whole(state, adapted.policy(state.params))
    return sharding.put(state, self._places)

  def continued(self, state: ppo_step.PPOState) -> ppo_step.PPOState:
    """A restored state, which holds nothing twice."""
    if self.adapted is None:
      return state
    for leaf in jax.tree.leaves(state.params):
      leaf.delete()
    return state.replace(params=self.adapted.policy(state.policy.params))

  @functools.cached_property
  def _places(self) -> ppo_step.PPOState:
    return jax.tree.map(lambda x: x.sharding, self.abstract())

  @functools.cached_property
  def _identifier(self) -> language_id.Identifier | None:
    """Among the prompts' languages and those that policies fall into."""
    return language_id.load({*self.languages, *WATCHED} - {""})

  def _learn(self, with_policy: bool) -> Callable:
    if with_policy not in self.compiled:
      self.compiled[with_policy] = self._make_learn(with_policy)
    return self.compiled[with_policy]

  def _make_learn(self, with_policy: bool) -> Callable:
    """learn(state, rollout, finished, key, frozen weights)"""
    losses = [None, None]
    if with_policy:
      losses[0] = ppo_step.policy_loss_of(
        self.models.policy.model,
        self.config,
        self.rollouts.sampler.temperature,
        jnp.asarray(self.rollouts.support),
      )
    if self.models.scorer is not None:
      losses[1] = ppo_step.value_loss_of(self.models.scorer, self.config)

    def learn(state, rollout, finished, key, bases):
      steps = [
        loss
        and train_step.make_train_step(
          loss
          if self.adapted is None
          else ppo_adapters.over(loss, merged, base, self.adapted.config),
          optimizer,
          num_microbatches=self.num_microbatches,
        )
        for loss, merged, base, optimizer in zip(
          losses,
          (ppo_adapters.merged_policy, ppo_adapters.merged_value),
          bases,
          self.optimizers,
        )
      ]
      learning = ppo_step.make_learn(*steps, self.config)
      return learning(state, rollout, finished, key)

    places = self._places
    if self.adapted is not None:
      places = _adapters_alone(places)
    elif not with_policy:
      places = places.replace(params=None)
    return jax.jit(learn, donate_argnums=0, out_shardings=(places, None))

  def _update(self, state, number, *arguments):
    """The state after a rollout, and metrics."""
    with_policy = number >= self.config.policy_start_step
    learn = self._learn(with_policy)
    if self.adapted is not None:
      self.adapted.release(state.params)
      alone, bases = _adapters_alone(state), self.adapted.bases
      state, metrics = learn(alone, *arguments, bases)
      return _with_whole(state, self.adapted.policy(state.params)), metrics
    if with_policy:
      return learn(state, *arguments, (None, None))
    params = state.params
    state, metrics = learn(state.replace(params=None), *arguments, (None, None))
    return state.replace(params=params), metrics

  def _reference(self, params: types.Params, number: int) -> types.Params:
    """Of the reference; not stored twice while it equals what is stored."""
    start = self.config.policy_start_step
    if self.adapted is not None and self.adapted.is_reference:
      return self.adapted.base
    if self.shares_reference and number < start:
      return params
    if self.reference_params is None:
      if self.shares_reference and number == start:
        self.reference_params = jax.tree.map(jnp.copy, params)
      else:
        self.reference_params = self.models.reference.lazy_params.on(self.mesh)
    return self.reference_params

  def _value_params(self, state: ppo_step.PPOState) -> types.Params | None:
    if state.value is None or self.adapted is None:
      return state.value and state.value.params
    return self.adapted.value(state.value.params)

  def step(
    self,
    state: ppo_step.PPOState,
    batch: prompt_batches.PromptBatch,
    key: jax.Array,
  ) -> tuple[ppo_step.PPOState, dict[str, Any]]:
    """One rollout and what is learnt from it."""
    number = batch.number
    rollout, finished, texts = self.rollouts.rollout(
      state.params,
      self._reference(state.params, number),
      self._value_params(state),
      batch,
      key,
    )
    self.drawn = {
      **{n: x for n, x in self.drawn.items() if n == number - 1},
      number: {"tokens": rollout.batch.targets, "scores": rollout.scores},
    }
    state, metrics = self._update(state, number, rollout, finished, key)
    facts = functools.partial(
      hacking_panel.text_facts, identifier=self._identifier
    )
    metrics |= rollouts_lib.text_facts(batch.rows, texts, facts)
    if self.rollout_config.debug:
      self._check_start(number, metrics)
    return state, metrics

  def _check_start(self, number: int, metrics: Mapping[str, Any]) -> None:
    """First-minibatch ratio 1; KL 0 while the policy is its reference."""
    found = jax.device_get(
      {name: pair for name, pair in metrics.items() if name in _ZERO_AT_START}
    )
    for name, (total, weight) in found.items():
      if name != "val/first_ratio_deviation" and (
        number > self.config.policy_start_step or not self.shares_reference
      ):
        continue
      value = float(total) / max(float(weight), 1.0)
      if not abs(value) <= _ZERO_AT_START[name]:
        raise ValueError(
          f"ppo: step {number + 1}: {name} is {value:.3g}, not 0 (within "
          f"{_ZERO_AT_START[name]}): the sampler and the trained policy "
          "disagree"
        )

  def describe(
    self, step: int, batch: prompt_batches.PromptBatch
  ) -> dict[str, Any]:
    """What is saved of a batch whose update was not finite."""
    del step
    drawn = processes.fetch(self.drawn.get(batch.number, {}))
    ids = np.asarray([row["id"] for row in batch.rows])
    return {"inputs": batch.inputs, "ids": ids, **drawn}


_ZERO_AT_START = {
  "val/first_ratio_deviation": 1e-4,
  "objective/k1": 1e-3,
  "objective/k2": 1e-3,
  "objective/k3": 1e-3,
}


def _with_whole(
  state: ppo_step.PPOState, params: types.Params
) -> ppo_step.PPOState:
  """A state of adapters -> of the whole policy, its adapters in `policy`."""
  policy = state.policy.replace(params=state.params)
  return state.replace(params=params, policy=policy)


def _adapters_alone(state: ppo_step.PPOState) -> ppo_step.PPOState:
  """The inverse of `_with_whole`."""
  policy = state.policy.replace(params=None)
  return state.replace(params=state.policy.params, policy=policy)
