"""How jobs that draw open, and what makes their draws others."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import specks

from xlrm.batches import prompt_files
from xlrm.distributed import meshes
from xlrm.jobs import best_of_n
from xlrm.jobs import policy_sampling
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config

CONFIG = best_of_n.BestOfNConfig(batch_size=8, chunk_size=2, score_batch_size=8)


def opened(place, policy=specks.POLICY, prompts=specks.PROMPTS, **changes):
  options = {
    "split": "test",
    "max_prompts": 3,
    "sampler": sampling_config.SamplingConfig(temperature=0.5),
    "lengths": {"inputs": 48, "targets": 12},
    "dtype": "float32",
    "mesh": meshes.MeshConfig(),
    **changes,
  }
  source = prompt_files.PromptFile(str(place / prompts))
  return policy_sampling.PolicySampling.open(
    str(place / policy), source, **options
  )


def test_lengths_are_those_asked_for_else_the_policys(place):
  found = opened(place)
  assert found.lengths == {"inputs": 48, "targets": 12}
  assert found.sampler.max_tokens == 12 and found.sampler.temperature == 0.5
  assert len(found.rows) == 3
  trained = opened(place, lengths=None).lengths
  description = found.loaded.description
  assert trained["inputs"] == (description.max_input_length or 1024)
  longer = opened(place, lengths=None, max_input_length=77).lengths
  assert longer == {**trained, "inputs": 77}
  short = sampling_config.SamplingConfig(max_tokens=5)
  assert opened(place, sampler=short).sampler.max_tokens == 5


def test_no_prompts_and_no_policy_are_told(place, tmp_path):
  (tmp_path / "empty.jsonl").write_text("")
  with pytest.raises(ValueError, match="empty.jsonl:1: the file is empty"):
    opened(place, prompts=tmp_path / "empty.jsonl")
  with pytest.raises(ValueError, match="'test' has no prompts to sample for"):
    opened(place, max_prompts=0)
  with pytest.raises((ValueError, OSError), match="nowhere"):
    opened(place, policy="nowhere")


def test_identity_is_that_of_what_the_draws_depend_on(place, tmp_path):
  known = opened(place).identity(CONFIG)
  assert opened(place).identity(CONFIG) == known
  other = dataclasses.replace(CONFIG, seed=CONFIG.seed + 1)
  hotter = sampling_config.SamplingConfig(temperature=0.6)
  wider = meshes.MeshConfig(4, 2)
  for found in (
    opened(place).identity(other),
    opened(place, sampler=hotter).identity(CONFIG),
    opened(place, lengths={"inputs": 47, "targets": 12}).identity(CONFIG),
    opened(place, max_prompts=2).identity(CONFIG),
    opened(place, dtype="bfloat16").identity(CONFIG),
    opened(place, mesh=wider).identity(CONFIG),
  ):
    assert found != known
  moved = tmp_path / "moved"
  shutil.copytree(place / specks.POLICY, moved)
  assert opened(place, policy=moved).identity(CONFIG) == known
  arrays = dict(np.load(moved / "params.npz"))
  arrays["decoder/decoder_norm/scale"] += 1  # trained further
  np.savez(moved / "params.npz", **arrays)
  assert opened(place, policy=moved).identity(CONFIG) != known


def test_a_generator_has_its_share_of_what_is_under_way(place):
  found = opened(place).generator(CONFIG, 3)
  assert (found.batch_size, found.num_samples) == (8, 3)
  assert found.config.temperature == 0.5 and found.max_input_length == 48
  greedy = sampling_config.SamplingConfig(max_tokens=4, greedy=True)
  assert opened(place).generator(CONFIG, 1, greedy).config == greedy


def test_scores_are_resumed_and_belong_to_their_texts(
  place, tmp_path, monkeypatch
):
  rewards = {"es": str(place / specks.REWARD)}
  texts = [["un puente", "no"], ["fuego"], ["35 casas", "sí", "Hanoi"]]
  scorers = policy_sampling.load_scorers(rewards, "float32")
  found = opened(place)

  def scores(identity):
    return found.scores(tmp_path, rewards, scorers, texts, identity, CONFIG)

  first = scores("one")
  assert [len(x) for x in first["es"]] == [2, 1, 3]
  lines = (tmp_path / "scores.es.jsonl").read_text().splitlines()
  assert [json.loads(x)["scores"] for x in lines] == first["es"]

  def never(*_, **__):
    raise AssertionError("scored again")

  monkeypatch.setattr(reward_models.RewardModel, "score", never)
  assert scores("one") == first
  with pytest.raises(ValueError, match="was begun with another model"):
    scores("two")
  assert pathlib.Path(tmp_path / "scores.es.jsonl").exists()
