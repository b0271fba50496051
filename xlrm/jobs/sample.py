"""Job: responses to prompts, into a file of JSON lines.

Killed and started again it goes on after the last complete chunk and ends with
the same bytes.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from xlrm.batches import batch_sources
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.jobs import job
from xlrm.jobs import policy_sampling
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.types import checks


@dataclasses.dataclass(frozen=True)
class SampleConfig:
  """How many responses are drawn, and how many at once.

  Attributes:
    num_samples: responses per prompt.
    batch_size: responses under way together.
    chunk_size: prompts between two writes.
    max_prompts: prompts used, the first ones; None is all.
    max_input_length: tokens of a prompt, EOS included; 0 is what the policy
      was trained on.
    seed: of the draws: a response depends on it, on the id of its prompt and on
      its own number.
  """

  num_samples: int = 1
  batch_size: int = 32
  chunk_size: int = 512
  max_prompts: int | None = None
  max_input_length: int = 0
  seed: int = 0

  def __post_init__(self):
    for name in ("num_samples", "batch_size", "chunk_size"):
      checks.at_least(name, getattr(self, name), 1)
    if self.max_prompts is not None:
      checks.at_least("max_prompts", self.max_prompts, 1)
    checks.at_least("max_input_length", self.max_input_length, 0)


def _line(
  row: Mapping[str, Any], generation: text_generation.Generation
) -> dict[str, Any]:
  own = row.get("columns")
  if own is None:
    own = {"prompt": row["reward_inputs"], "language": row["language"]}
  return {
    "id": row["id"],
    **own,
    "responses": generation.texts,
    "logprobs": generation.logprobs,
    "num_tokens": generation.num_tokens,
    "finished": generation.finished,
  }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
  """Responses to the rows of a split, into a file.

  Attributes:
    source: prompts: a task, or a `PromptFile`.
    policy: see `pretrained.load_language_model`.
    output: .jsonl file: the rows with `responses` and what is known of them.
    config: how many are drawn, and how many at once.
    sampler: how a token is drawn; without max_tokens: as the policy was
      trained.
    split: of the source.
    dtype: of the computation, 'float32' or 'bfloat16'.
    mesh: spreads weights and prompts.
  """

  source: batch_sources.BatchSource
  policy: str
  output: str
  config: SampleConfig = SampleConfig()
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig()
  split: str = "test"
  dtype: str = "float32"
  mesh: meshes.MeshConfig = meshes.MeshConfig()

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """What would be drawn, and what that takes of each device."""
    opened = self._open()
    generator = opened.generator(self.config, self.config.num_samples)
    return job.JobPlan(
      f"{len(opened.rows)} prompts x {self.config.num_samples} responses of at "
      f"most {opened.sampler.max_tokens} tokens by {self.policy}; into "
      f"{self.output}",
      {"sampling": opened.plan(generator)},
      device_memory.of_mesh(devices, opened.mesh),
    )

  def run(self) -> str:
    """Writes `output`, which is returned."""
    opened = self._open()
    file = opened.file(self.output, opened.identity(self.config), keep=False)
    generator = opened.generator(self.config, self.config.num_samples)
    opened.write(file, generator, _line, self.config, "sample")
    number = self.config.num_samples
    print(f"{len(opened.rows)} prompts x {number}: {self.output}")
    return self.output

  def _open(self) -> policy_sampling.PolicySampling:
    return policy_sampling.PolicySampling.open(
      self.policy,
      self.source,
      split=self.split,
      max_prompts=self.config.max_prompts,
      sampler=self.sampler,
      lengths=None,
      max_input_length=self.config.max_input_length,
      dtype=self.dtype,
      mesh=self.mesh,
    )
