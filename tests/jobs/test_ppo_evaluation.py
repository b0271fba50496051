"""PPO's evaluations ask the judges that are on the mesh, and no others."""

import collections
import dataclasses
import gc
import json
import math

import jax
import numpy as np
import pytest
import specks

from xlrm.batches import prompt_files
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.jobs import ppo_evaluation
from xlrm.ppo import objective
from xlrm.ppo import ppo_models
from xlrm.ppo import reward_scale
from xlrm.ppo import rollouts
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config

TEXTS = ["Un puente.", "Fuego en Hanoi", "", "35", "a b c", "no", "sí", "¿?"]
SMALL = 4096  # bytes: scores and the like


@pytest.fixture(scope="module")
def mesh():
  """32 responses do not divide over its rows."""
  return meshes.MeshConfig(3, 2).build(jax.devices()[:6])


@pytest.fixture
def evaluator(place, mesh, tmp_path, monkeypatch):
  """With responses that nobody has to draw."""
  judge = str(place / specks.REWARD)
  named = ppo_models.PPOModels(
    str(place / specks.POLICY), rewards=judge, heldout=[judge, judge]
  )
  models = ppo_models.load(named, objective.PPOConfig(), mesh)
  monkeypatch.setattr(
    ppo_evaluation.PolicyAnswers, "sampled", lambda *_: list(TEXTS)
  )
  source = prompt_files.PromptFile(str(place / specks.PROMPTS))
  return ppo_evaluation.Evaluator(
    answers=ppo_evaluation.PolicyAnswers(
      models=models,
      rollouts=rollouts.RolloutConfig(),
      sampler=sampling_config.SamplingConfig(max_tokens=8),
      max_input_length=48,
      mesh=mesh,
    ),
    config=ppo_evaluation.PPOEvaluation(num_shown=2),
    scale=reward_scale.RewardScale(),
    model_dir=tmp_path,
    validation=source.examples("validation")[: len(TEXTS)],
  )


def test_long_prompts_lose_what_those_that_are_learnt_from_lose(place, mesh):
  """Two conversations that end alike are one, cut from the left."""
  named = ppo_models.PPOModels(
    str(place / specks.POLICY), rewards=str(place / specks.REWARD)
  )
  answers = ppo_evaluation.PolicyAnswers(
    models=ppo_models.load(named, objective.PPOConfig(), mesh),
    rollouts=rollouts.RolloutConfig(batch_size=3),
    sampler=sampling_config.SamplingConfig(max_tokens=8),
    max_input_length=8,
    mesh=mesh,
    truncate_inputs_from_left=True,
  )
  params = answers.models.policy.lazy_params.on(mesh)
  end = " un puente en Hanoi un puente en Hanoi"

  def said(beginning, end):
    text = {"id": "x", "inputs_pretokenized": beginning + end}
    return answers.sampled(params, [text])

  assert said("Fuego.", end) == said("35 casas.", end) != said("Fuego.", " no")


def held() -> collections.Counter:
  """Device -> bytes of all arrays there are."""
  gc.collect()
  found = collections.Counter()
  for array in jax.live_arrays():
    part = array.sharding.shard_shape(array.shape)
    for device in array.sharding.device_set:
      found[device] += math.prod(part) * array.dtype.itemsize
  return found


def test_judges_are_held_once_as_planned(evaluator, mesh):
  before = held()
  answers = evaluator.answers
  scale = answers.fit_scale(None, evaluator.validation)
  fitted = held()
  evaluator.evaluate(None, 1)
  evaluated = held()
  evaluator.evaluate(None, 2)
  one = device_memory.placed_bytes(
    answers.models.reward.members[0].model.abstract(),
    mesh,
    sharding.split_over_model,
  )
  assert one > 10 * SMALL and scale.n == len(TEXTS)
  for device in jax.devices():
    planned = one if device in mesh.devices else 0
    assert abs(fitted[device] - before[device] - planned) < SMALL
    assert abs(evaluated[device] - fitted[device] - 2 * planned) < SMALL
    assert abs(held()[device] - evaluated[device]) < SMALL  # kept, not grown


def test_g08_scores_are_those_of_one_device(evaluator, place):
  rows = evaluator.validation
  alone = reward_models.load(str(place / specks.REWARD))
  expected = alone([row["reward_inputs"] for row in rows], TEXTS)
  answers = evaluator.answers
  for judge in (answers.models.reward, answers.models.heldout):
    found = answers.scored(judge, rows, TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
  evaluator = dataclasses.replace(
    evaluator, scale=answers.fit_scale(None, rows)
  )
  metrics = evaluator.evaluate(None, 3)
  assert metrics["validation/scores"] == pytest.approx(0, abs=1e-5)
  assert metrics["validation/heldout"] == pytest.approx(np.mean(expected))
  shown = (evaluator.model_dir / ppo_evaluation.SAMPLES).read_text("utf-8")
  found = [json.loads(line)["response"] for line in shown.splitlines()]
  assert found == TEXTS[:2]
