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
from typing import Any

from xlrm.batches import batch_sources
from xlrm.best_of_n import best_of_k
from xlrm.best_of_n import pool_records
from xlrm.best_of_n import pools as pools_lib
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.evaluation import records
from xlrm.jobs import job
from xlrm.jobs import policy_sampling
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.sampling import sampling_memory
from xlrm.sampling import text_generation
from xlrm.storage import files
from xlrm.types import checks

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
      checks.at_least(name, getattr(self, name), 1)
    if self.max_prompts is not None:
      checks.at_least("max_prompts", self.max_prompts, 1)
    if self.soft_scale is not None:
      checks.positive("soft_scale", self.soft_scale)


def _line(row, generation: text_generation.Generation) -> dict[str, Any]:
  return {
    "example_id": row["id"],
    "texts": generation.texts,
    "logprobs": generation.logprobs,
    "num_tokens": generation.num_tokens,
  }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BestOfN:
  """Samples, scores, chooses.

  Writes `records.jsonl` (one line per chosen or baseline text), `pools.jsonl`
  (all texts and scores of a prompt) and `best_of_k.csv` (every k <= n from the
  same pools).

  Attributes:
    source: prompts: rows of its split `split`; a task or a `PromptFile`.
    policy: model directory of the SFT model.
    rewards: name of a reward model (in a study its source language) to its
      model directory, or to an ensemble, see `reward_models.load`.
    model_dir: folder of everything that the job writes.
    config: how samples are drawn and chosen from.
    sampler: how a token is drawn; without max_tokens: `lengths`' targets.
    lengths: tokens of prompt and response; None is what the policy was trained
      on.
    split: of the source.
    study: written into every record.
    dtype: of the computation, 'float32' or 'bfloat16'.
    mesh: spreads weights and prompts; each reward model is on it only while
      it scores.
  """

  source: batch_sources.BatchSource
  policy: str
  rewards: Mapping[str, reward_models.Spec]
  model_dir: str
  config: BestOfNConfig = BestOfNConfig()
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig()
  lengths: Mapping[str, int] | None = None
  split: str = "test"
  study: str = "best_of_n"
  dtype: str = "float32"
  mesh: meshes.MeshConfig = meshes.MeshConfig()

  def __post_init__(self):
    if not self.rewards:
      raise ValueError("no reward model to choose by: rewards are empty")

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """What would be drawn and scored, and what that takes of each device."""
    opened, scorers = self._open()
    config, prompts = self.config, len(opened.rows)
    batch_size = meshes.fitting_batch_size(
      config.score_batch_size, prompts, opened.mesh
    )
    memory = {"sampling": opened.plan(self._generators(opened)["samples"])}
    for name, scorer in scorers.items():
      for number, member in enumerate(scorer.members, 1):
        several = f" ({number})" if len(scorer.members) > 1 else ""
        memory[f"reward model {name}{several}"] = sampling_memory.scoring_plan(
          member.model,
          opened.mesh,
          batch_size=batch_size,
          num_responses=config.num_samples + 2,
        )
    return job.JobPlan(
      f"best-of-{config.num_samples} of {self.policy}: {prompts} prompts x "
      f"{config.num_samples + 2} texts of at most {opened.sampler.max_tokens} "
      f"tokens, scored by {', '.join(scorers)}; into {self.model_dir}",
      memory,
      device_memory.of_mesh(devices, opened.mesh),
    )

  def run(self) -> list[records.EvalRecord]:
    """Draws, scores and chooses what is not there yet."""
    opened, scorers = self._open()
    parts = files.local(self.model_dir) / PARTS
    # How the pool is scored and chosen from changes no sample.
    identity = opened.identity(
      dataclasses.replace(
        self.config, score_batch_size=1, soft_scale=None, alpaca_eval=False
      )
    )
    lines = {}
    for name, generator in self._generators(opened).items():
      file = opened.file(parts / f"{name}.jsonl", identity, keep=True)
      opened.write(file, generator, _line, self.config, name)
      lines[name] = file.rows()
    pairs = list(zip(lines["samples"], lines["greedy"], strict=True))
    texts = [samples["texts"] + greedy["texts"] for samples, greedy in pairs]
    scores = opened.scores(
      parts, self.rewards, scorers, texts, identity, self.config
    )
    pools = [
      pools_lib.Pool.of(
        row, *pair, {name: groups[index] for name, groups in scores.items()}
      )
      for index, (row, pair) in enumerate(zip(opened.rows, pairs, strict=True))
    ]
    return self._choose(pools, opened.sampler.restricted)

  def _open(
    self,
  ) -> tuple[policy_sampling.PolicySampling, policy_sampling.Scorers]:
    scorers = policy_sampling.load_scorers(self.rewards, self.dtype)
    opened = policy_sampling.PolicySampling.open(
      self.policy,
      self.source,
      split=self.split,
      max_prompts=self.config.max_prompts,
      sampler=self.sampler,
      lengths=self.lengths,
      dtype=self.dtype,
      mesh=self.mesh,
    )
    return opened, scorers

  def _generators(
    self, opened: policy_sampling.PolicySampling
  ) -> dict[str, text_generation.Generator]:
    """The two passes over the prompts: samples and greedy outputs."""
    greedy = sampling_config.SamplingConfig(
      max_tokens=opened.sampler.max_tokens, greedy=True
    )
    # The baseline is one more draw of the same kind.
    number = self.config.num_samples + 1
    return {
      "samples": opened.generator(self.config, number),
      "greedy": opened.generator(self.config, 1, greedy),
    }

  def _choose(
    self, pools: Sequence[pools_lib.Pool], restricted: bool
  ) -> list[records.EvalRecord]:
    choice = pool_records.Choice(
      study=self.study,
      policy=self.policy,
      seed=self.config.seed,
      soft_scale=self.config.soft_scale,
      # Log-probabilities are those of the unrestricted distribution.
      restricted=restricted,
    )
    found = [record for pool in pools for record in choice.records(pool)]
    directory = files.local(self.model_dir)

    def write():
      records.write(directory / RECORDS, found)
      pools_lib.write(directory / POOLS, pools)
      best_of_k.write_curves(directory / CURVES, pools, restricted)
      if self.config.alpaca_eval:
        pool_records.write_alpaca_eval(directory / ALPACA_EVAL, found, pools)

    processes.on_first(write)
    print(best_of_k.summary(pools), flush=True)
    return found
