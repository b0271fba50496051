"""Small jobs for tests of several processes; also as a command.

  python process_jobs.py PLACE ADDRESS COUNT INDEX JOB:FOLDER ..

runs the jobs one after the other as process INDEX of COUNT, in
PLACE/FOLDER. PLACE holds the models and prompts that `prepare` made.
"""

import dataclasses
import pathlib
import sys

import numpy as np
import optax
import ppo_runs
import specks
import tiny_run

from xlrm import batches
from xlrm import converters
from xlrm import optimizers
from xlrm import pretrained
from xlrm import processes
from xlrm import prompt_files
from xlrm import rollouts
from xlrm import sampling_config
from xlrm import sharding
from xlrm import training
from xlrm.jobs import best_of_n
from xlrm.jobs import reward
from xlrm.jobs import sample
from xlrm.jobs import score
from xlrm.jobs import sft
from xlrm.miniworld import rows

LENGTHS = {"inputs": 48, "targets": 12}
SAMPLER = sampling_config.SamplingConfig(max_tokens=8)
MESH = sharding.MeshConfig(data=-1, model=2)
CONFIG = training.TrainConfig(train_steps=5, eval_period=3, log_period=1)


def prepare(place: pathlib.Path) -> None:
  """A policy of one layer, a random reward model, seven prompts."""
  specks.prepare(place, 7, lengths=LENGTHS, factor=100)


def _source(place, made, kind):
  ids = pretrained.load_language_model(
    str(place / specks.POLICY)
  ).tokenizer.encode
  examples = []
  for row in made:
    pair = {"inputs": row.document, "targets": row.summary}
    tokens = {n: np.asarray([*ids(x), 1], np.int32) for n, x in pair.items()}
    judged = {"rating": np.float32(row.rating)} if kind == "rating" else {}
    examples.append({**tokens, **judged})
  texts = [
    {
      "id": row.id,
      "language": "es",
      "inputs_pretokenized": row.document,
      "reward_inputs": row.document,
      "targets_pretokenized": row.summary,
    }
    for row in made[24:]
  ]
  return batches.ArraySource(
    train=examples[:24],
    validation=examples[24:],
    lengths=LENGTHS,
    batch_size=8,
    converter=converters.CONVERTERS[kind],
    texts={"validation": texts},
  )


def run_tiny(place, folder, mesh=None):
  """By gradient descent: Adam makes whole steps of what is all rounding."""
  optimizer = optax.sgd(0.1, momentum=0.9)
  return tiny_run.run_for_signals(
    folder, mesh=mesh or MESH.build(), optimizer=optimizer
  )


def run_sft(place, folder):
  return sft.train(
    source=_source(place, rows.summary_rows("es", "train", 0, 29), "summary"),
    optimizer=optimizers.adamw(1e-3),
    config=CONFIG,
    model_dir=str(folder),
    initial=pretrained.load_language_model(str(place / specks.POLICY)),
    lengths=LENGTHS,
    mesh=MESH,
  )


def run_reward(place, folder):
  return reward.train(
    source=_source(place, rows.rating_rows("es", "train", 0, 29), "rating"),
    optimizer=optimizers.adamw(1e-3),
    config=CONFIG,
    model_dir=str(folder),
    initial=pretrained.load_language_model(str(place / specks.POLICY)),
    lengths=LENGTHS,
    mesh=MESH,
  )


def run_best_of_n(place, folder):
  return best_of_n.run(
    source=prompt_files.PromptFile(str(place / specks.PROMPTS)),
    policy=str(place / specks.POLICY),
    rewards={"es": str(place / specks.REWARD)},
    model_dir=str(folder),
    config=best_of_n.BestOfNConfig(
      num_samples=3, batch_size=16, score_batch_size=8, chunk_size=2
    ),
    sampler=SAMPLER,
    lengths=LENGTHS,
    mesh=sharding.MeshConfig(),
  )


def run_files(place, folder):
  """`xlrm sample` and `xlrm score` of what it wrote."""
  folder.mkdir(exist_ok=True)
  drawn = sample.run(
    source=prompt_files.PromptFile(str(place / specks.PROMPTS)),
    policy=str(place / specks.POLICY),
    output=str(folder / "drawn.jsonl"),
    config=sample.SampleConfig(
      num_samples=2, chunk_size=2, max_input_length=LENGTHS["inputs"]
    ),
    sampler=SAMPLER,
    mesh=MESH,
  )
  return score.run(
    input=drawn,
    output=str(folder / "scored.jsonl"),
    rewards=str(place / specks.REWARD),
    config=score.ScoreConfig(response_field="responses", batch_size=8),
    mesh=MESH,
  )


def run_ppo(place, folder):
  return ppo_runs.train(
    place,
    folder,
    MESH,
    heldout=specks.REWARD,
    optimizer=optimizers.adamw(1e-3),
    config=dataclasses.replace(
      CONFIG, best_metric="validation/scores", best_mode="max"
    ),
    rollout=rollouts.RolloutConfig(
      batch_size=16,
      num_samples=2,
      num_scale_samples=7,
      num_validation_prompts=5,
    ),
    sampler=SAMPLER,
  )


JOBS = {
  "tiny": run_tiny,
  "sft": run_sft,
  "reward": run_reward,
  "best_of_n": run_best_of_n,
  "files": run_files,
  "ppo": run_ppo,
}


def main(place: str, address: str, number: str, index: str, *jobs: str) -> None:
  processes.initialize(address, int(number), int(index))
  for job in jobs:
    name, _, folder = job.partition(":")
    JOBS[name](pathlib.Path(place), pathlib.Path(place) / folder)
    processes.barrier()
    print(f"{name}: done", flush=True)


if __name__ == "__main__":
  main(*sys.argv[1:])
