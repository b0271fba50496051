"""Small jobs for tests of several processes; also as a command.

  python process_jobs.py PLACE ADDRESS COUNT INDEX JOB:FOLDER ..

runs the jobs one after the other as process INDEX of COUNT, in
PLACE/FOLDER. PLACE holds the models and prompts that `prepare` made.
"""

from collections.abc import Callable
import dataclasses
import functools
import itertools
import pathlib
import resource
import sys

import jax
import numpy as np
import optax
import ppo_runs
import specks
import tiny_run

from xlrm.batches import batch_feed
from xlrm.batches import batch_sources
from xlrm.batches import converters
from xlrm.batches import prompt_files
from xlrm.checkpoints import pretrained
from xlrm.checkpoints import run_checkpoints
from xlrm.distributed import meshes
from xlrm.distributed import process_start
from xlrm.distributed import processes
from xlrm.evaluation.prompted import completions
from xlrm.jobs import best_of_n
from xlrm.jobs import diagnose
from xlrm.jobs import evaluate
from xlrm.jobs import judge
from xlrm.jobs import ppo_evaluation
from xlrm.jobs import pretrain
from xlrm.jobs import reward
from xlrm.jobs import sample
from xlrm.jobs import score
from xlrm.jobs import sft
from xlrm.miniworld import world_rows
from xlrm.ppo import rollouts
from xlrm.sampling import sampling_config
from xlrm.training import fit
from xlrm.training import optimizers

LENGTHS = {"inputs": 48, "targets": 12}
SAMPLER = sampling_config.SamplingConfig(max_tokens=8)
MESH = meshes.MeshConfig(data=-1, model=2)
CONFIG = fit.TrainConfig(train_steps=5, eval_period=3, log_period=1)


def prepare(place: pathlib.Path) -> None:
  """A policy of one layer, a random reward model, seven prompts."""
  specks.prepare(place, 7, lengths=LENGTHS, factor=100)


@dataclasses.dataclass(frozen=True)
class Reader:
  """A judge of some taste or other, whom only the first process may ask."""

  model = "reader"
  identity = {"model": "reader"}
  max_output_tokens = 1

  def complete(self, prompt: str) -> completions.Completion:
    assert processes.is_first()
    return completions.Completion("1" if len(prompt) % 2 else "2")


def _source(model, made, kind):
  ids = pretrained.load_language_model(str(model)).tokenizer.encode
  examples = []
  for row in made:
    pair = {"inputs": row.document, "targets": row.summary}
    tokens = {n: np.asarray([*ids(x), 1], np.int32) for n, x in pair.items()}
    judged = {"rating": np.float32(row.rating)} if kind == "rating" else {}
    if kind == "pretraining":
      judged = {"replaced": (tokens["targets"] % 41 == 0).astype(np.int32)}
    examples.append({**tokens, **judged})
  texts = [
    {
      "id": row.id,
      "language": "es",
      "inputs_pretokenized": row.document,
      "reward_inputs": row.document,
      "targets_pretokenized": row.summary,
      "rating": getattr(row, "rating", 0.0),
    }
    for row in made
  ]
  return batch_sources.ArraySource(
    train=examples[:24],
    validation=examples[24:],
    lengths=LENGTHS,
    batch_size=8,
    converter=converters.CONVERTERS[kind],
    texts={"train": texts[:24], "validation": texts[24:]},
  )


def run_tiny(place, folder, mesh=None):
  """By gradient descent: Adam makes whole steps of what is all rounding."""
  optimizer = optax.sgd(0.1, momentum=0.9)
  return tiny_run.run_for_signals(
    folder, mesh=mesh or MESH.build(), optimizer=optimizer
  )


def run_full(place, folder):
  """From step 6 on, process 1 alone can write no array into a file."""
  save = run_checkpoints.Checkpointer.save

  def limited(self, step, *arguments, **named):
    if step == 6 and processes.index() == 1:
      most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
      resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    return save(self, step, *arguments, **named)

  run_checkpoints.Checkpointer.save = limited
  return run_tiny(place, folder)


@dataclasses.dataclass(frozen=True, eq=False)
class OneReader:
  """Of several processes the first alone may read it, as a SeqIO task."""

  make: Callable[[], batch_sources.ArraySource]
  truncate_inputs_from_left = False

  @functools.cached_property
  def arrays(self):
    assert processes.is_first()
    return self.make()

  def shared(self, path):
    return batch_feed.shared(lambda: self.arrays, path)

  def train_batches(self, start_step):
    return self.arrays.train_batches(start_step)

  def validation_batches(self):
    return self.arrays.validation_batches()

  def fingerprint(self):
    return self.arrays.fingerprint()

  def examples(self, split):
    return self.make().examples(split)


def run_rows(place, folder):
  """Every device gets its rows of the batches; nothing is trained."""

  def make(start=0):
    draw = np.random.default_rng(5)
    made = [
      {name: draw.integers(2, 99, 9 + start + i % 3) for name in LENGTHS}
      for i in range(2100)  # so many that they are mapped
    ]
    return batch_sources.ArraySource(
      made[:2087], made[2087:], LENGTHS, batch_size=8, packing=not start
    )

  source, mesh = OneReader(make), meshes.MeshConfig(4, 2).build()
  first, validation, data = batch_feed.look(source)
  feed = batch_feed.open_feed(source, mesh, len(first.inputs), folder)
  own = (slice(0, 4), slice(4, 8))[processes.index()]
  assert feed.own == own and feed.path.exists()
  whole = make()
  assert data == whole.fingerprint()
  pairs = [
    *zip(feed.train_batches(7), itertools.islice(whole.train_batches(7), 9)),
    *zip(feed.validation_batches(), whole.validation_batches(), strict=True),
  ]
  pairs += [(own_rows(x, own), x) for x in (first, validation, feed.whole(0))]
  for batch, expected in pairs:
    assert {len(x) for x in jax.tree.leaves(batch)} == {4}
    for x, y in zip(
      jax.tree.leaves(feed.place(batch)), jax.tree.leaves(expected), strict=True
    ):
      assert x.shape == y.shape
      for part in x.addressable_shards:
        np.testing.assert_array_equal(part.data, y[part.index])
  processes.barrier()
  feed.close()
  processes.barrier()
  assert not feed.path.exists()
  try:  # read by each process for itself, and not the same
    batch_feed.look(make(1 + processes.index()))
  except ValueError as error:
    assert "has other rows than process" in str(error)
  else:
    raise AssertionError("other rows were accepted")


def own_rows(batch, own):
  return jax.tree.map(lambda x: x[own], batch)


def _read(model, made, kind):
  return OneReader(lambda: _source(model, made, kind))


def run_sft(place, folder):
  return sft.FineTuning(
    source=_read(
      place / specks.POLICY,
      world_rows.summary_rows("es", "train", 0, 29),
      "summary",
    ),
    optimizer=optimizers.adamw(1e-3),
    config=CONFIG,
    model_dir=str(folder),
    initial=pretrained.load_language_model(str(place / specks.POLICY)),
    lengths=LENGTHS,
    mesh=MESH,
  ).run()


def run_nano(place, folder):
  """The shipped model, with checkpoints between evaluations."""
  return sft.FineTuning(
    source=_read(
      "nano", world_rows.summary_rows("es", "train", 0, 29), "summary"
    ),
    optimizer=optimizers.adamw(1e-3),
    config=fit.TrainConfig(
      train_steps=12,
      eval_period=5,
      checkpoint_period=3,
      log_period=2,
      keep_checkpoints=1,
      best_metric="validation/rouge_l",
      best_mode="max",
    ),
    model_dir=str(folder),
    initial=pretrained.load_language_model("nano", dropout_rate=0.1),
    lengths=LENGTHS,
    evaluation=sft.GenerationEvaluation(num_examples=5),
    mesh=MESH,
  ).run()


def run_reward(place, folder):
  return reward.RewardTraining(
    source=_read(
      place / specks.POLICY,
      world_rows.rating_rows("es", "train", 0, 29),
      "rating",
    ),
    optimizer=optimizers.adamw(1e-3),
    config=CONFIG,
    model_dir=str(folder),
    initial=pretrained.load_language_model(str(place / specks.POLICY)),
    lengths=LENGTHS,
    mesh=MESH,
  ).run()


def run_best_of_n(place, folder):
  return best_of_n.BestOfN(
    source=prompt_files.PromptFile(str(place / specks.PROMPTS)),
    policy=str(place / specks.POLICY),
    rewards={"es": str(place / specks.REWARD)},
    model_dir=str(folder),
    config=best_of_n.BestOfNConfig(
      num_samples=3, batch_size=16, score_batch_size=8, chunk_size=2
    ),
    sampler=SAMPLER,
    lengths=LENGTHS,
    mesh=meshes.MeshConfig(),
  ).run()


def run_files(place, folder):
  """`xlrm sample` and `xlrm score` of what it wrote."""
  folder.mkdir(exist_ok=True)
  drawn = sample.Sampling(
    source=prompt_files.PromptFile(str(place / specks.PROMPTS)),
    policy=str(place / specks.POLICY),
    output=str(folder / "drawn.jsonl"),
    config=sample.SampleConfig(
      num_samples=2, chunk_size=2, max_input_length=LENGTHS["inputs"]
    ),
    sampler=SAMPLER,
    mesh=MESH,
  ).run()
  return score.Scoring(
    input=drawn,
    output=str(folder / "scored.jsonl"),
    rewards=str(place / specks.REWARD),
    config=score.ScoreConfig(response_field="responses", batch_size=8),
    mesh=MESH,
  ).run()


def run_ppo(place, folder):
  return ppo_runs.train(
    place,
    folder,
    MESH,
    heldout=specks.REWARD,
    # Adam makes whole steps of gradients that are all rounding; as is usual
    # with PPO, a larger epsilon leaves these alone.
    optimizer=optax.adamw(1e-3, b2=0.98, eps=1e-5),
    config=dataclasses.replace(
      CONFIG, best_metric="validation/scores", best_mode="max"
    ),
    rollouts=rollouts.RolloutConfig(
      batch_size=16, num_samples=2, num_scale_samples=7, sampler=SAMPLER
    ),
    evaluation=ppo_evaluation.PPOEvaluation(num_prompts=3),
  )


def run_pretrain(place, folder):
  base = pretrained.load_language_model(str(place / specks.POLICY))
  made = world_rows.summary_rows("es", "train", 0, 29)
  return pretrain.Pretraining(
    source=_read(place / specks.POLICY, made, "pretraining"),
    optimizer=optimizers.adamw(1e-3),
    config=CONFIG,
    model=base.model.config,
    vocabulary=base.vocabulary,
    extra_ids=base.description.extra_ids,
    model_dir=str(folder),
    lengths=LENGTHS,
    mesh=MESH,
  ).run()


def run_diagnose(place, folder):
  """Of a reward model and of a language model under random heads."""
  return diagnose.Diagnosis(
    sources={
      "es": _source(
        place / specks.POLICY,
        world_rows.rating_rows("es", "train", 0, 41),
        "rating",
      )
    },
    rewards={
      "es": str(place / specks.REWARD),
      "base": str(place / specks.POLICY),
    },
    model_dir=str(folder),
    lengths=LENGTHS,
    split="validation",
    batch_size=16,
    max_training_rows=9,
    mesh=meshes.MeshConfig(),
  ).run()


def run_evaluate(place, folder):
  """Of the records that two processes wrote."""
  return evaluate.Evaluation(
    runs=[str(place / "best_of_n_two")], model_dir=str(folder)
  ).run()


def run_judge(place, folder):
  return judge.Judging(
    records=str(place / "best_of_n_two" / "records.jsonl"),
    output=str(folder / "verdicts.jsonl"),
    backend=Reader(),
  ).run()


JOBS = {
  "tiny": run_tiny,
  "full": run_full,
  "rows": run_rows,
  "nano": run_nano,
  "sft": run_sft,
  "reward": run_reward,
  "best_of_n": run_best_of_n,
  "files": run_files,
  "ppo": run_ppo,
  "pretrain": run_pretrain,
  "diagnose": run_diagnose,
  "evaluate": run_evaluate,
  "judge": run_judge,
}
# What they write by two processes is that of one; in this order.
COMPARED = [
  name for name in JOBS if name not in ("tiny", "full", "rows", "nano")
]


def main(place: str, address: str, number: str, index: str, *jobs: str) -> None:
  process_start.initialize(address, int(number), int(index))
  for job in jobs:
    name, _, folder = job.partition(":")
    JOBS[name](pathlib.Path(place), pathlib.Path(place) / folder)
    processes.barrier()
    print(f"{name}: done", flush=True)


if __name__ == "__main__":
  main(*sys.argv[1:])
