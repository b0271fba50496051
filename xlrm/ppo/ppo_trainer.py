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

from xlrm import types
from xlrm.batches import prompt_batches
from xlrm.distributed import processes
from xlrm.evaluation import hacking_panel
from xlrm.evaluation import language_id
from xlrm.ppo import objective
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_states
from xlrm.ppo import ppo_step
from xlrm.ppo import rollouts as rollouts_lib
from xlrm.training import train_step

WATCHED = ("de", "en", "es", "ru", "tr", "vi")  # languages that are told apart


@dataclasses.dataclass(frozen=True, eq=False)
class Trainer:
  """The step of a run.

  Attributes:
    states: of the run, with its models.
    config: what is optimised.
    rollouts: draws and judges.
    num_microbatches: parts of a minibatch whose gradients are summed.
    shares_reference: the reference is what the policy starts as.
    languages: of the prompts.
    debug: see `RolloutConfig.debug`.
  """

  states: ppo_states.PPOStates
  config: objective.PPOConfig
  rollouts: rollouts_lib.Rollouts
  num_microbatches: int
  shares_reference: bool
  languages: Collection[str]
  debug: bool = False
  # What later steps need of earlier ones and is no state: it can be made again.
  _kept: dict[str, Any] = dataclasses.field(default_factory=dict, init=False)

  @functools.cached_property
  def _identifier(self) -> language_id.Identifier | None:
    """Among the prompts' languages and those that policies fall into."""
    return language_id.load({*self.languages, *WATCHED} - {""})

  @functools.cached_property
  def _learn(self) -> Callable[[bool], Callable]:
    """with_policy -> the program, compiled once."""
    return functools.cache(self._make_learn)

  def _make_learn(self, with_policy: bool) -> Callable:
    """learn(state, rollout, finished, key, frozen weights)"""
    models, adapted = self.states.models, self.states.adapted
    losses = [None, None]
    if with_policy:
      losses[0] = ppo_step.policy_loss_of(
        models.policy.model,
        self.config,
        self.rollouts.sampler.temperature,
        jnp.asarray(self.rollouts.support),
      )
    if models.scorer is not None:
      losses[1] = ppo_step.value_loss_of(models.scorer, self.config)

    def learn(state, rollout, finished, key, bases):
      steps = [
        loss
        and train_step.make_train_step(
          loss
          if adapted is None
          else ppo_adapters.over(loss, merged, base, adapted.config),
          optimizer,
          num_microbatches=self.num_microbatches,
        )
        for loss, merged, base, optimizer in zip(
          losses,
          (ppo_adapters.merged_policy, ppo_adapters.merged_value),
          bases,
          self.states.optimizers,
        )
      ]
      learning = ppo_step.make_learn(*steps, self.config)
      return learning(state, rollout, finished, key)

    places = self.states.places
    if adapted is not None:
      places = ppo_states.adapters_alone(places)
    elif not with_policy:
      places = places.replace(params=None)
    return jax.jit(learn, donate_argnums=0, out_shardings=(places, None))

  def _update(self, state, number, *arguments):
    """The state after a rollout, and metrics."""
    with_policy = number >= self.config.policy_start_step
    learn, adapted = self._learn(with_policy), self.states.adapted
    if adapted is not None:
      adapted.release(state.params)
      alone = ppo_states.adapters_alone(state)
      state, metrics = learn(alone, *arguments, adapted.bases)
      whole = adapted.policy(state.params)
      return ppo_states.with_whole(state, whole), metrics
    if with_policy:
      return learn(state, *arguments, (None, None))
    params = state.params
    state, metrics = learn(state.replace(params=None), *arguments, (None, None))
    return state.replace(params=params), metrics

  def reference(self, params: types.Params, number: int) -> types.Params:
    """The reference's parameters, not stored twice while another has them.

    Args:
      params: of the policy at step `number`.
    """
    adapted, start = self.states.adapted, self.config.policy_start_step
    if adapted is not None and adapted.is_reference:
      return adapted.base
    if self.shares_reference and number < start:
      return params
    if "reference" not in self._kept:
      if self.shares_reference and number == start:
        found = jax.tree.map(jnp.copy, params)
      else:
        models = self.states.models
        found = models.reference.lazy_params.on(self.states.mesh)
      self._kept["reference"] = found
    return self._kept["reference"]

  def _value_params(self, state: ppo_step.PPOState) -> types.Params | None:
    if state.value is None or self.states.adapted is None:
      return state.value and state.value.params
    return self.states.adapted.value(state.value.params)

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
      self.reference(state.params, number),
      self._value_params(state),
      batch,
      key,
    )
    # That of the step before: its metrics have not been read yet.
    self._kept["drawn"] = {
      **{n: x for n, x in self._drawn.items() if n == number - 1},
      number: {"tokens": rollout.batch.targets, "scores": rollout.scores},
    }
    state, metrics = self._update(state, number, rollout, finished, key)
    facts = functools.partial(
      hacking_panel.text_facts, identifier=self._identifier
    )
    metrics |= rollouts_lib.text_facts(batch.rows, texts, facts)
    if self.debug:
      self._check_start(number, metrics)
    return state, metrics

  @property
  def _drawn(self) -> dict[int, dict[str, Any]]:
    return self._kept.get("drawn", {})

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
    drawn = processes.fetch(self._drawn.get(batch.number, {}))
    ids = np.asarray([row["id"] for row in batch.rows])
    return {"inputs": batch.inputs, "ids": ids, **drawn}


_ZERO_AT_START = {
  "val/first_ratio_deviation": 1e-4,
  "objective/k1": 1e-3,
  "objective/k2": 1e-3,
  "objective/k3": 1e-3,
}
