"""Job: one response per prompt of an aligned policy, as records.

What PPO or distillation made of a policy is compared with the records of a
best-of-n run of the policy it started from, on the same prompts.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from xlrm.batches import batch_sources
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.evaluation import records
from xlrm.jobs import job
from xlrm.jobs import policy_sampling
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.storage import files
from xlrm.types import checks

RECORDS = "records.jsonl"
PARTS = "parts"


@dataclasses.dataclass(frozen=True)
class OutputsConfig:
  """What is drawn, and as what it is recorded.

  Attributes:
    method: of the records: how the policy was aligned.
    source: language of the reward model that it was aligned with.
    max_prompts: prompts used, the first ones; None is all.
    batch_size: responses under way together.
    score_batch_size: prompts scored together.
    chunk_size: prompts between two writes.
    seed: of the draws.
  """

  method: str = "ppo"
  source: str = ""
  max_prompts: int | None = None
  batch_size: int = 64
  score_batch_size: int = 32
  chunk_size: int = 512
  seed: int = 0

  def __post_init__(self):
    if not self.method:
      raise ValueError("method is empty")
    for name in ("batch_size", "score_batch_size", "chunk_size"):
      checks.at_least(name, getattr(self, name), 1)
    if self.max_prompts is not None:
      checks.at_least("max_prompts", self.max_prompts, 1)


def _line(row, generation: text_generation.Generation) -> dict[str, Any]:
  return {
    "example_id": row["id"],
    "text": generation.texts[0],
    "logprob": generation.logprobs[0],
  }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PolicyOutputs:
  """One response per prompt, drawn, scored and recorded.

  Attributes:
    source: prompts: rows of its split `split`.
    policy: model directory of the aligned policy.
    rewards: name to reward model; each scores every response.
    model_dir: folder of everything that the job writes.
    config: what is drawn, and as what it is recorded.
    sampler: how a token is drawn, as for the baseline.
    lengths: tokens of prompt and response; None is what the policy was trained
      on.
    split: of the source.
    study: that of the records to compare with.
    dtype: of the computation, 'float32' or 'bfloat16'.
    mesh: spreads weights and prompts.
  """

  source: batch_sources.BatchSource
  policy: str
  rewards: Mapping[str, reward_models.Spec]
  model_dir: str
  config: OutputsConfig = OutputsConfig()
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig()
  lengths: Mapping[str, int] | None = None
  split: str = "test"
  study: str = "best_of_n"
  dtype: str = "float32"
  mesh: meshes.MeshConfig = meshes.MeshConfig()

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """What would be drawn, and what that takes of each device."""
    opened, scorers = self._open()
    words = f"{len(opened.rows)} responses of {self.policy}"
    if scorers:
      words += f", scored by {', '.join(scorers)}"
    generator = opened.generator(self.config, 1)
    return job.JobPlan(
      f"{words}; into {self.model_dir}",
      {"sampling": opened.plan(generator)},
      device_memory.of_mesh(devices, opened.mesh),
    )

  def run(self) -> list[records.EvalRecord]:
    """Writes `records.jsonl`; resumable like best-of-n."""
    opened, scorers = self._open()
    folder = files.local(self.model_dir)
    # What the records say of the policy changes no response.
    config = dataclasses.replace(self.config, method="x", source="")
    identity = opened.identity(config)
    file = opened.file(folder / PARTS / "outputs.jsonl", identity, keep=True)
    generator = opened.generator(self.config, 1)
    opened.write(file, generator, _line, self.config, "outputs")
    lines = file.rows()
    scores = opened.scores(
      folder / PARTS,
      self.rewards,
      scorers,
      [[line["text"]] for line in lines],
      identity,
      self.config,
    )
    found = [
      self._record(
        row, line, {name: groups[index][0] for name, groups in scores.items()}
      )
      for index, (row, line) in enumerate(zip(opened.rows, lines, strict=True))
    ]
    processes.on_first(records.write, folder / RECORDS, found)
    return found

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

  def _record(
    self,
    row: Mapping[str, Any],
    line: Mapping[str, Any],
    scores: Mapping[str, float],
  ) -> records.EvalRecord:
    return records.EvalRecord(
      study=self.study,
      method=self.config.method,
      source=self.config.source,
      target=row["language"],
      seed=self.config.seed,
      task=row.get("task", ""),
      dataset=row["dataset"],
      language=row["language"],
      example_id=row["id"],
      sample=0,
      input=row["reward_inputs"],
      reference=row["targets_pretokenized"],
      output=line["text"],
      policy=self.policy,
      logprob=float(line["logprob"]),
      scores={f"reward/{name}": float(x) for name, x in scores.items()},
    )
