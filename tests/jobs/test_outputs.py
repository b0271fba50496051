"""One response per prompt of a policy, recorded and resumed."""

import dataclasses

import numpy as np
import pytest
import specks

from xlrm.batches import prompt_files
from xlrm.distributed import meshes
from xlrm.evaluation import records
from xlrm.jobs import outputs
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation

CONFIG = outputs.OutputsConfig(
  source="en", max_prompts=5, batch_size=8, chunk_size=2, seed=3
)


def job(place, folder, **changes):
  options = {
    "policy": str(place / specks.POLICY),
    "rewards": {"es": str(place / specks.REWARD)},
    "config": CONFIG,
    **changes,
  }
  return outputs.PolicyOutputs(
    source=prompt_files.PromptFile(str(place / specks.PROMPTS)),
    model_dir=str(folder),
    sampler=sampling_config.SamplingConfig(max_tokens=6),
    lengths={"inputs": 48, "targets": 12},
    study="mine",
    mesh=meshes.MeshConfig(8, 1),
    **options,
  )


@pytest.fixture(scope="module")
def run(place, tmp_path_factory):
  folder = tmp_path_factory.mktemp("outputs")
  return folder, job(place, folder).run()


def test_a_record_says_whose_response_it_is(run, place, speck):
  folder, found = run
  assert records.read(folder / outputs.RECORDS, records.EvalRecord) == found
  prompts = prompt_files.PromptFile(str(place / specks.PROMPTS)).examples("x")
  for record, row in zip(found, prompts[:5], strict=True):
    assert (record.example_id, record.input) == (
      row["id"],
      row["reward_inputs"],
    )
    assert (record.study, record.method, record.source) == ("mine", "ppo", "en")
    assert (record.target, record.policy, record.seed) == ("es", speck, 3)
    assert record.logprob < 0 and record.rank is None and record.sample == 0


def test_every_response_is_scored_by_every_reward_model(run, speck_reward):
  _, found = run
  alone = reward_models.load(speck_reward)(
    [x.input for x in found], [x.output for x in found]
  )
  scores = [x.scores["reward/es"] for x in found]
  np.testing.assert_allclose(scores, alone, atol=1e-5)


def test_g18_what_is_there_is_not_drawn_again(run, place, monkeypatch):
  """Not even under another name; other draws are refused."""
  folder, found = run

  def never(*_, **__):
    raise AssertionError("drawn again")

  monkeypatch.setattr(text_generation.Generator, "chunks", never)
  monkeypatch.setattr(reward_models.RewardModel, "score", never)
  assert job(place, folder).run() == found
  named = dataclasses.replace(CONFIG, method="distilled", source="de")
  again = job(place, folder, config=named).run()
  assert [x.output for x in again] == [x.output for x in found]
  assert {(x.method, x.source) for x in again} == {("distilled", "de")}
  other = dataclasses.replace(CONFIG, seed=4)
  with pytest.raises(ValueError, match="outputs.jsonl was begun with another"):
    job(place, folder, config=other).run()


def test_a_plan_draws_nothing(place, tmp_path):
  plan = job(place, tmp_path / "new").plan("H100x8")
  assert "5 responses of" in plan.text() and "scored by es" in plan.text()
  assert plan.memory["sampling"].total > 0
  assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"method": ""}, "method is empty"),
    ({"score_batch_size": 0}, "score_batch_size 0 is below 1"),
    ({"max_prompts": 0}, "max_prompts 0 is below 1"),
  ],
)
def test_options_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    outputs.OutputsConfig(**options)
