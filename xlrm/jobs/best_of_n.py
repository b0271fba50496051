"""Job: best-of-n. One pool of samples per prompt, chosen from by every
reward model at once.

For each prompt the policy draws n samples (the pool), one further sample at
the same temperature (the baseline that win rates are measured against) and
its greedy output. Every reward model scores every text; the record of a
reward model's choice is `best_of_n` with that model's language as source.
Texts and scores go to files chunk by chunk: a job that was killed goes on.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import jax

from xlrm.batches import batch_sources
from xlrm.best_of_n import best_of_k
from xlrm.best_of_n import pool_records
from xlrm.best_of_n import pools as pools_lib
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.evaluation import records
from xlrm.rewards import reward_models
from xlrm.rewards import score_files
from xlrm.sampling import sample_files
from xlrm.sampling import sampling_config
from xlrm.sampling import sampling_memory
from xlrm.sampling import text_generation
from xlrm.sampling import text_sampler
from xlrm.storage import chunked_files
from xlrm.storage import files

RECORDS = "records.jsonl"
POOLS = pools_lib.FILE
CURVES = "best_of_k.csv"
PARTS = "parts"  # folder of what is drawn and scored so far
ALPACA_EVAL = "alpaca_eval"  # folder of files in that format


@dataclasses.dataclass(frozen=True)
class BestOfNConfig:
  """How samples are drawn and chosen from.

  Attributes:
    num_samples: n, the size of the pool.
    max_prompts: prompts used, the first ones; None is all.
    batch_size: responses under way together.
    score_batch_size: prompts whose pools are scored together.
    chunk_size: prompts between two writes.
    seed: of the samples; a sample depends on it, on its example id and on its
      own number.
    soft_scale: lambda of soft best-of-n: adds records `soft_best_of_n`, whose
      sample is drawn with probability proportional to exp(score / lambda).
    alpaca_eval: also write `alpaca_eval/*.json`, one file per method.
  """

  num_samples: int = 16
  max_prompts: int | None = None
  batch_size: int = 64
  score_batch_size: int = 32
  chunk_size: int = 512
  seed: int = 0
  soft_scale: float | None = None
  alpaca_eval: bool = False

  def __post_init__(self):
    sizes = ("num_samples", "batch_size", "score_batch_size", "chunk_size")
    for name in sizes:
      if getattr(self, name) < 1:
        raise ValueError(f"{name} {getattr(self, name)} is below 1")
    if self.max_prompts is not None and self.max_prompts < 1:
      raise ValueError(f"max_prompts {self.max_prompts} is below 1")
    if self.soft_scale is not None and not self.soft_scale > 0:
      raise ValueError(f"soft_scale {self.soft_scale} is not positive")


def _line(row, generation: text_generation.Generation) -> dict[str, Any]:
  return {
    "example_id": row["id"],
    "texts": generation.texts,
    "logprobs": generation.logprobs,
    "num_tokens": generation.num_tokens,
  }


@dataclasses.dataclass(frozen=True)
class _Drawing:
  """The two passes over the prompts: samples and greedy outputs."""

  policy: str
  loaded: pretrained.Pretrained
  rows: Sequence[Mapping[str, Any]]
  config: BestOfNConfig
  sampler: sampling_config.SamplingConfig
  lengths: Mapping[str, int]
  mesh: jax.sharding.Mesh

  def generators(self) -> dict[str, text_generation.Generator]:
    greedy = sampling_config.SamplingConfig(
      max_tokens=self.sampler.max_tokens, greedy=True
    )
    # The baseline is one more draw of the same kind.
    passes = {
      "samples": (self.sampler, self.config.num_samples + 1),
      "greedy": (greedy, 1),
    }
    return {
      name: sample_files.generator_of(
        self.loaded,
        sampler,
        self.lengths,
        batch_size=self.config.batch_size,
        num_samples=num_samples,
        seed=self.config.seed,
        mesh=self.mesh,
      )
      for name, (sampler, num_samples) in passes.items()
    }

  def identity(self) -> str:
    config = dataclasses.replace(
      self.config, score_batch_size=1, soft_scale=None, alpaca_eval=False
    )
    return chunked_files.identity(
      model_files.fingerprint(self.policy),
      config,
      self.sampler,
      sorted(self.lengths.items()),
      self.loaded.model.config,
      dict(self.mesh.shape),
      rows=self.rows,
    )

  def run(self, folder: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """Name of the pass -> its lines."""
    found = {}
    for name, generator in self.generators().items():
      file = chunked_files.ChunkedFile(
        folder / f"{name}.jsonl", self.identity(), len(self.rows), keep=True
      )
      sample_files.write(
        file,
        generator,
        self.loaded.lazy_params,
        self.rows,
        _line,
        chunk_size=self.config.chunk_size,
        description=name,
      )
      found[name] = file.rows()
    return found


def _print_plan(drawing, scorers, model_dir, named) -> None:
  config = drawing.config
  print(
    f"best-of-{config.num_samples} of {drawing.policy}: {len(drawing.rows)} "
    f"prompts x {config.num_samples + 2} texts of at most "
    f"{drawing.sampler.max_tokens} tokens, scored by {', '.join(scorers)}; "
    f"into {model_dir}"
  )
  samples = drawing.generators()["samples"]
  print(
    f"sampling: {sample_files.plan_of(samples, len(drawing.rows)).text(named)}"
  )
  batch_size = meshes.fitting_batch_size(
    config.score_batch_size, len(drawing.rows), drawing.mesh
  )
  for name, scorer in scorers.items():
    for member in scorer.members:
      plan = sampling_memory.scoring_plan(
        member.model,
        drawing.mesh,
        batch_size=batch_size,
        num_responses=config.num_samples + 2,
      )
      print(f"reward model {name}: {plan.text(named)}")


def run(
  *,
  source: batch_sources.BatchSource,
  policy: str,
  rewards: Mapping[str, reward_models.Spec],
  model_dir: str,
  config: BestOfNConfig = BestOfNConfig(),
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig(),
  lengths: Mapping[str, int] | None = None,
  split: str = "test",
  study: str = "best_of_n",
  dtype: str = "float32",
  mesh: meshes.MeshConfig = meshes.MeshConfig(),
  dry_run: bool | str = False,
) -> list[records.EvalRecord]:
  """Samples, scores, chooses.

  Writes `records.jsonl` (one line per chosen or baseline text), `pools.jsonl`
  (all texts and scores of a prompt) and `best_of_k.csv` (every k <= n from the
  same pools).

  Args:
    source: prompts: rows of its split `split`; a task or a `PromptFile`.
    policy: model directory of the SFT model.
    rewards: name of a reward model (in a study its source language) to its
      model directory, or to an ensemble, see `scorer.load`.
    sampler: how a token is drawn; without max_tokens: `lengths`' targets.
    lengths: tokens of prompt and response; None is what the policy was trained
      on.
    study: written into every record.
    mesh: spreads weights and prompts; each reward model is on it only while
      it scores.
    dry_run: print the plan, draw nothing; a name such as 'v4-32' says whether
      it fits there.
  """
  if not rewards:
    raise ValueError("no reward model to choose by: rewards are empty")
  loaded = pretrained.load_language_model(policy, dtype=dtype)
  scorers = {
    name: reward_models.load(spec, dtype=dtype)
    for name, spec in rewards.items()
  }
  rows = source.examples(split)[: config.max_prompts]
  if not rows:
    raise ValueError(f"the split {split!r} has no prompts to sample for")
  lengths = lengths or text_sampler.lengths_of(loaded.description)
  drawing = _Drawing(
    policy,
    loaded,
    rows,
    config,
    sampler.of_at_most(lengths["targets"]),
    lengths,
    mesh.build_own(),
  )
  if dry_run:
    named = device_memory.devices(dry_run) if isinstance(dry_run, str) else None
    _print_plan(drawing, scorers, model_dir, named)
    return []
  directory = files.local(model_dir)
  folder = directory / PARTS
  drawn = drawing.run(folder)
  texts = [
    a["texts"] + b["texts"]
    for a, b in zip(drawn["samples"], drawn["greedy"], strict=True)
  ]
  scores = {
    name: score_files.write_scores(
      folder,
      name,
      scorer.on(drawing.mesh),
      rows,
      texts,
      identity=chunked_files.identity(
        drawing.identity(),
        reward_models.identity(rewards[name]),
        config.score_batch_size,
      ),
      chunk_size=config.chunk_size,
      batch_size=config.score_batch_size,
    )
    for name, scorer in scorers.items()
  }
  pools = [
    pools_lib.Pool.of(
      row,
      drawn["samples"][index],
      drawn["greedy"][index],
      {name: values[index] for name, values in scores.items()},
    )
    for index, row in enumerate(rows)
  ]
  return _write(pools, drawing, directory, study)


def _write(
  pools: Sequence[pools_lib.Pool],
  drawing: _Drawing,
  directory: pathlib.Path,
  study: str,
) -> list[records.EvalRecord]:
  config = drawing.config
  choice = pool_records.Choice(
    study=study,
    policy=drawing.policy,
    seed=config.seed,
    soft_scale=config.soft_scale,
    # Log-probabilities are those of the unrestricted distribution.
    restricted=drawing.sampler.restricted,
  )
  found = [record for pool in pools for record in choice.records(pool)]

  def write():
    records.write(directory / RECORDS, found)
    pools_lib.write(directory / POOLS, pools)
    curves = directory / CURVES
    best_of_k.write_curves(curves, pools, drawing.sampler.restricted)
    if config.alpaca_eval:
      pool_records.write_alpaca_eval(directory / ALPACA_EVAL, found, pools)

  processes.on_first(write)
  print(best_of_k.summary(pools), flush=True)
  return found
