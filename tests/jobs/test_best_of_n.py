"""Best-of-n as a job: pools, choices, kills, refusals."""

import csv
import dataclasses
import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from xlrm.batches import prompt_files
from xlrm.best_of_n import pools as pools_lib
from xlrm.checkpoints import pretrained
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.evaluation import records
from xlrm.jobs import best_of_n
from xlrm.launch import main
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.sampling import text_sampler

pytestmark = pytest.mark.usefixtures("compile_once")
CONFIG = best_of_n.BestOfNConfig(
  num_samples=3, batch_size=6, score_batch_size=4, chunk_size=2
)
SAMPLER = sampling_config.SamplingConfig(max_tokens=10)
ONE_DEVICE = meshes.MeshConfig(1, 1)


def run(prompts, rewards, folder, config=CONFIG, **options):
  # One of the suite's eight devices, as an ordinary start has.
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "devices", lambda *_: jax.local_devices()[:1])
    return best_of_n.BestOfN(
      source=prompt_files.PromptFile(prompts),
      policy="nano",
      rewards=rewards,
      model_dir=str(folder),
      config=config,
      sampler=SAMPLER,
      mesh=ONE_DEVICE,
      **options,
    ).run()


@pytest.fixture(scope="module")
def whole(prompts, reward, foreign_reward, tmp_path_factory, compile_once):
  folder = tmp_path_factory.mktemp("bon")
  rewards = {"en": reward, "own": foreign_reward, "both": [reward, reward]}
  return folder, run(prompts, rewards, folder), rewards


def test_every_reward_model_chooses_from_the_same_pool(whole):
  folder, found, _ = whole
  pools = pools_lib.read(folder / "pools.jsonl")
  assert [pool.example_id for pool in pools] == [f"p{i}" for i in range(6)]
  assert list(records.read(folder / "records.jsonl")) == found
  assert len(found) == 6 * (2 + 3)
  by_key = {(x.method, x.source, x.example_id): x for x in found}
  for pool in pools:
    assert len(pool.texts) == 4 and pool.num_samples == 3
    for name in ("en", "own", "both"):
      chosen = by_key["best_of_n", name, pool.example_id]
      scores = pool.scores[f"reward/{name}"][:3]
      assert chosen.sample == int(np.argmax(scores)) and chosen.rank == 0
      assert chosen.output == pool.texts[chosen.sample]
      assert chosen.logprob == pool.logprobs[chosen.sample] < 0
      assert chosen.pool["max"] == max(scores)
      assert 0 <= chosen.pool["kl_estimate"] <= chosen.pool["kl_bound"]
    np.testing.assert_allclose(
      pool.scores["reward/both"], pool.scores["reward/en"], atol=1e-6
    )
  with open(folder / "best_of_k.csv", newline="") as file:
    assert len(list(csv.DictReader(file))) == 3 * 3 * 3


def test_a_reward_model_reads_texts_in_its_own_vocabulary(whole):
  folder, _, rewards = whole
  own = reward_models.load(rewards["own"])
  for pool in pools_lib.read(folder / "pools.jsonl"):
    again = own.score([pool.reward_inputs], [pool.texts])[0]
    np.testing.assert_allclose(again, pool.scores["reward/own"], atol=1e-5)
  assert own.members[0].tokenizer.vocab_size < 100


def test_the_pool_is_what_the_notebook_draws(whole, prompts):
  folder, _, _ = whole
  sampler = text_sampler.load("nano", batch_size=6)
  texts = [row["prompt"] for row in map(json.loads, open(prompts))]
  greedy = sampler(texts, greedy=True, max_tokens=10)
  pools = pools_lib.read(folder / "pools.jsonl")
  assert [x[0] for x in greedy] == [pool.greedy["text"] for pool in pools]


def test_g18_killed_in_the_middle_it_ends_with_the_same_bytes(
  prompts, reward, tmp_path, compile_once
):
  code = f"""
import sys, time
from xlrm.launch import main
from xlrm.storage import chunked_files
real = chunked_files.ChunkedFile.append
def slow(self, rows):
  real(self, rows)
  time.sleep(float(sys.argv[2]))
chunked_files.ChunkedFile.append = slow
from xlrm.config import gin_jobs
job = gin_jobs.load(["best_of_n_file.gin"], [
  "INPUT = {prompts!r}", "POLICY = 'nano'", "REWARDS = {{'en': {reward!r}}}",
  "MODEL_DIR = %r" % sys.argv[1], "NUM_SAMPLES = 3", "MAX_TOKENS = 10",
  "BATCH_SIZE = 6", "BestOfNConfig.chunk_size = 2",
])
job.run()
"""
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  command = [sys.executable, "-c", code]
  environment = {
    **os.environ,
    "XLA_FLAGS": "--xla_backend_optimization_level=0",  # one device
    "JAX_COMPILATION_CACHE_DIR": compile_once,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  for part in ("samples", "greedy", "scores.en"):
    state = killed / "parts" / f"{part}.jsonl.partial.json"
    process = subprocess.Popen(
      [*command, str(killed), "0.4"],
      env=environment,
      stdout=subprocess.PIPE,
      text=True,
    )
    limit = time.monotonic() + 120
    while not state.exists() and time.monotonic() < limit:
      assert process.poll() is None
      time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (killed / "records.jsonl").exists()
  finish = functools.partial(
    subprocess.run, env=environment, capture_output=True, text=True, check=True
  )
  done = finish([*command, str(killed), "0"])
  assert "samples.jsonl is complete" in done.stdout
  assert "reward model en: continues at prompt" in done.stdout
  finish([*command, str(whole), "0"])
  for name in ("records.jsonl", "pools.jsonl", "best_of_k.csv"):
    assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_what_is_there_is_not_drawn_again(whole, prompts, monkeypatch):
  folder, found, rewards = whole

  def never(*_, **__):
    raise AssertionError("drawn again")

  monkeypatch.setattr(text_generation.Generator, "chunks", never)
  monkeypatch.setattr(reward_models.RewardModel, "score", never)
  assert run(prompts, rewards, folder) == found
  # Choosing in another way draws nothing either.
  soft = dataclasses.replace(CONFIG, soft_scale=1.0, alpaca_eval=True)
  again = run(prompts, rewards, folder, soft)
  assert {x.method for x in again} == {
    "sample",
    "greedy",
    "best_of_n",
    "soft_best_of_n",
  }
  assert len(list((folder / "alpaca_eval").iterdir())) == 2 + 2 * 3
  other = dataclasses.replace(CONFIG, num_samples=2)
  with pytest.raises(ValueError, match="samples.jsonl was begun with another"):
    run(prompts, rewards, folder, other)


def test_a_batch_that_does_not_fit_names_the_largest_that_does(
  prompts, reward, tmp_path, monkeypatch
):
  base = pretrained.load_language_model("nano")
  size = sum(x.nbytes for x in jax.tree.leaves(base.params))
  monkeypatch.setattr(device_memory, "available_bytes", lambda _: 1.5 * size)
  large = dataclasses.replace(
    CONFIG, batch_size=4096, num_samples=4096, chunk_size=512
  )
  with pytest.raises(ValueError, match=r"batch_size 4096 .* that fits is \d+"):
    run(prompts, {"en": reward}, tmp_path / "run", large)
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  "options, message",
  [
    ({"num_samples": 0}, "num_samples 0 is below 1"),
    ({"max_prompts": 0}, "max_prompts 0 is below 1"),
    ({"soft_scale": 0.0}, "soft_scale 0.0 is not positive"),
  ],
)
def test_options_are_checked(options, message):
  with pytest.raises(ValueError, match=message):
    best_of_n.BestOfNConfig(**options)


def test_no_reward_model_is_an_error(prompts, tmp_path):
  with pytest.raises(ValueError, match="no reward model to choose by"):
    run(prompts, {}, tmp_path / "run")


def test_the_command_names_its_reward_models(capsys, tmp_path):
  from xlrm.launch import best_of_n as command

  assert command.rewards(["en=a/b", "c/rm_es/", "all=x,y"]) == {
    "en": "a/b",
    "rm_es": "c/rm_es/",
    "all": ["x", "y"],
  }
  for bad in (["en="], ["=a"], ["en=a", "en=b"]):
    with pytest.raises(ValueError, match="--reward="):
      command.rewards(bad)
  arguments = ["--policy=nano", "--reward=en=nano", "--input=x.jsonl"]
  out = f"--output={tmp_path / 'out'}"
  assert main.main(["best_of_n", *arguments, out]) == 2
  assert "holds a language_model" in capsys.readouterr().err
  assert not pathlib.Path(tmp_path / "out").exists()
