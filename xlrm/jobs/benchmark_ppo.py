"""A step of PPO with random weights, and where its time goes.

The step is the job's own (`ppo_trainer.Trainer.step`): responses are drawn, a
reward model of the same size reads their texts, reference and value model read
their tokens, then policy and value model are updated once by Adafactor. Texts
are of the shipped vocabulary, so that responses end by chance, one in some
1,500 tokens; the rest of the vocabulary's rows costs what it costs.
"""

import dataclasses
import statistics
import time
from typing import Any

import jax
import numpy as np

from xlrm import types
from xlrm.batches import prompt_batches
from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.distributed import device_memory
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.jobs import benchmark_config
from xlrm.ppo import objective
from xlrm.ppo import ppo_memory
from xlrm.ppo import ppo_models
from xlrm.ppo import ppo_states
from xlrm.ppo import ppo_trainer
from xlrm.ppo import reward_scale
from xlrm.ppo import rollouts
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.training import optimizers

WORDS_OF = "nano"  # the shipped model whose vocabulary texts are written in


def _models(
  config: benchmark_config.BenchmarkConfig, mesh: meshes.AnyMesh
) -> ppo_models.Models:
  """Policy, reference, value and reward model, all of one size."""
  words = pretrained.load_language_model(WORDS_OF)

  def loaded(kind, model):
    description = model_description.Description(
      kind=kind,
      config=words.model.config,
      max_input_length=config.inputs,
      max_response_length=config.targets,
      extra_ids=words.description.extra_ids,
    )
    params = lazy_params.LazyParams(
      model.abstract(), benchmark_config.random_params
    )
    return pretrained.Pretrained(
      model, params, words.tokenizer, description, words.vocabulary
    )

  model = benchmark_config.model(config)
  policy = loaded(model_description.LANGUAGE_MODEL, model)
  judge = pretrained.scorer_of(model, words.tokenizer, policy.description)
  reward = loaded(model_description.RESPONSE_SCORER, judge)
  return ppo_models.Models(
    policy=policy,
    reference=policy,
    value=reward,
    scorer=dataclasses.replace(judge, tokenizer=None),
    reward=reward_models.RewardModel((reward,), mesh=mesh),
    heldout=None,
  )


def trainer(
  config: benchmark_config.BenchmarkConfig, mesh: meshes.AnyMesh
) -> ppo_trainer.Trainer:
  """That of the job, with random weights and without files."""
  models, learnt = _models(config, mesh), objective.PPOConfig()
  model = models.policy.model
  return ppo_trainer.Trainer(
    states=ppo_states.PPOStates(
      models,
      (optimizers.adafactor(1e-4), optimizers.adafactor(1e-4)),
      learnt.kl_coefficient,
      mesh,
    ),
    config=learnt,
    rollouts=rollouts.Rollouts(
      model=model,
      tokenizer=models.policy.tokenizer,
      sampler=sampling_config.SamplingConfig(
        max_tokens=config.targets, temperature=config.temperature
      ),
      num_samples=config.samples,
      reward=models.reward,
      scale=reward_scale.RewardScale(),
      reference=model,
      value=models.scorer,
      mesh=mesh,
    ),
    num_microbatches=1,
    shares_reference=True,
    languages=(),
  )


def ppo_memory_of(
  config: benchmark_config.BenchmarkConfig, mesh: meshes.AnyMesh
) -> device_memory.MemoryPlan:
  """What a step takes of each device."""
  made = trainer(config, mesh)
  return ppo_memory.plan_of(made, config.batch, config.inputs)


class PPOSteps:
  """Steps, each from where the one before ended."""

  def __init__(self, config: benchmark_config.BenchmarkConfig):
    self.tokens = config.batch * config.samples * config.targets
    self._mesh = meshes.MeshConfig(model=config.model_axis).build()
    self._trainer = trainer(config, self._mesh)
    words = self._trainer.states.models.policy.tokenizer
    rng = np.random.default_rng(0)
    shape = (config.batch, config.inputs)
    inputs = rng.integers(3, words.vocab_size, shape).astype(np.int32)
    texts = [words.decode(row) for row in inputs.tolist()]
    inputs[:, -1] = types.EOS_ID
    self._inputs = inputs
    self._rows = [
      {"id": str(i), "reward_inputs": x} for i, x in enumerate(texts)
    ]
    scale = self._trainer.rollouts.scale
    self._state = self._trainer.states.initial(scale)
    self._number, self._key = 0, jax.random.key(0)

  def call(self) -> Any:
    """A step; the policy's new parameters, and metrics."""
    with meshes.active(self._mesh):
      self._state, metrics = self._trainer.step(
        self._state, self._batch(), self._key
      )
    self._number += 1
    return self._state.params, metrics

  def facts(self, steps: int) -> dict[str, float]:
    """Median seconds of a step's parts, of `steps` more."""
    seconds = {run: [] for run in (self._draw, self._rollout, self.call)}
    for _ in range(steps):
      for run, taken in seconds.items():
        start = time.perf_counter()
        with meshes.active(self._mesh):
          jax.block_until_ready(run())
        taken.append(time.perf_counter() - start)
    drawn, judged, learnt = map(statistics.median, seconds.values())
    return {
      "rollout_seconds": round(drawn, 5),
      "score_seconds": round(judged - drawn, 5),
      "update_seconds": round(learnt - judged, 5),
    }

  def _batch(self) -> prompt_batches.PromptBatch:
    return prompt_batches.PromptBatch(self._number, self._inputs, self._rows)

  def _draw(self) -> Any:
    draw = self._trainer.rollouts.draw
    return draw(self._state.params, self._batch(), self._key)

  def _rollout(self) -> Any:
    params, value = self._state.params, self._state.value.params
    reference = self._trainer.reference(params, self._number)
    rollout = self._trainer.rollouts.rollout
    return rollout(params, reference, value, self._batch(), self._key)[:2]
