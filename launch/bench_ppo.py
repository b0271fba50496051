"""One step of PPO with random weights, and where its time goes.

The step is the job's own (`ppo_trainer.Trainer.step`): responses are drawn, a
reward model of the same size reads their texts, reference and value model read
their tokens, then policy and value model are updated once by Adafactor. Texts
are of the shipped vocabulary, so that responses end by chance, one in some
1,500 tokens; the rest of the vocabulary's rows costs what it costs.
"""

import argparse
from collections.abc import Callable
import dataclasses
import statistics
import time
from typing import Any

import jax
import numpy as np

from xlrm.batches import prompt_batches
from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.models import language_model
from xlrm.ppo import objective
from xlrm.ppo import ppo_memory
from xlrm.ppo import ppo_models
from xlrm.ppo import ppo_trainer
from xlrm.ppo import reward_scale
from xlrm.ppo import rollouts
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.training import optimizers

WORDS_OF = "nano"  # the shipped model whose vocabulary texts are written in


def _models(
  options: argparse.Namespace,
  model: language_model.EncoderDecoder,
  mesh: meshes.AnyMesh,
  random_params: Callable[[Any], Any],
) -> ppo_models.Models:
  """Policy, reference, value and reward model, all of one size."""
  words = pretrained.load_language_model(WORDS_OF)

  def loaded(kind, model):
    description = model_description.Description(
      kind=kind,
      config=words.model.config,
      max_input_length=options.inputs,
      max_response_length=options.targets,
      extra_ids=words.description.extra_ids,
    )
    params = lazy_params.LazyParams(model.abstract(), random_params)
    return pretrained.Pretrained(
      model, params, words.tokenizer, description, words.vocabulary
    )

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
  options: argparse.Namespace,
  model: language_model.EncoderDecoder,
  mesh: meshes.AnyMesh,
  random_params: Callable[[Any], Any],
) -> ppo_trainer.Trainer:
  """Of the job, with random weights and without files."""
  models = _models(options, model, mesh, random_params)
  return ppo_trainer.Trainer(
    models=models,
    optimizers=(optimizers.adafactor(1e-4), optimizers.adafactor(1e-4)),
    config=objective.PPOConfig(),
    rollout_config=rollouts.RolloutConfig(
      batch_size=options.batch * options.samples, num_samples=options.samples
    ),
    rollouts=rollouts.Rollouts(
      model=model,
      tokenizer=models.policy.tokenizer,
      sampler=sampling_config.SamplingConfig(
        max_tokens=options.targets, temperature=options.temperature
      ),
      num_samples=options.samples,
      reward=models.reward,
      scale=reward_scale.RewardScale(),
      reference=model,
      value=models.scorer,
      mesh=mesh,
    ),
    num_microbatches=1,
    mesh=mesh,
    shares_reference=True,
    languages=(),
  )


def plan(options: argparse.Namespace, model, mesh, random_params):
  """What a device holds (`memory_plan.Plan`), for --dry_run."""
  made = trainer(options, model, mesh, random_params)
  return ppo_memory.plan_of(made, options.batch, options.inputs)


def _prompts(options, tokenizer) -> tuple[np.ndarray, list[dict[str, str]]]:
  rng = np.random.default_rng(0)
  shape = (options.batch, options.inputs)
  inputs = rng.integers(3, tokenizer.vocab_size, shape).astype(np.int32)
  texts = [tokenizer.decode(row) for row in inputs.tolist()]
  inputs[:, -1] = 1
  rows = [{"id": str(i), "reward_inputs": x} for i, x in enumerate(texts)]
  return inputs, rows


def steps(
  options: argparse.Namespace,
  model: language_model.EncoderDecoder,
  random_params: Callable[[Any], Any],
) -> tuple[Callable[[], Any], int]:
  """A call that takes a step, and the tokens that it draws.

  call.parts(n) takes further steps and says where their time goes.
  """
  mesh = meshes.MeshConfig(model=options.model_axis).build()
  made = trainer(options, model, mesh, random_params)
  inputs, rows = _prompts(options, made.models.policy.tokenizer)
  kept = [made.initial(), 0]
  key = jax.random.key(0)

  def batch():
    return prompt_batches.PromptBatch(kept[1], inputs, rows)

  def call():
    with meshes.active(mesh):
      kept[0], metrics = made.step(kept[0], batch(), key)
    kept[1] += 1
    return kept[0].params, metrics

  def draw():
    return made.rollouts.draw(kept[0].params, batch(), key)

  def rollout():
    params, value = kept[0].params, kept[0].value.params
    reference = made.reference_params
    return made.rollouts.rollout(params, reference, value, batch(), key)[:2]

  def parts(number: int) -> dict[str, float]:
    seconds = {run: [] for run in (draw, rollout, call)}
    for _ in range(number):
      for run, taken in seconds.items():
        start = time.perf_counter()
        with meshes.active(mesh):
          jax.block_until_ready(run())
        taken.append(time.perf_counter() - start)
    drawn, judged, learnt = map(statistics.median, seconds.values())
    return {
      "rollout_seconds": round(drawn, 5),
      "score_seconds": round(judged - drawn, 5),
      "update_seconds": round(learnt - judged, 5),
    }

  call.parts = parts
  return call, options.batch * options.samples * options.targets
