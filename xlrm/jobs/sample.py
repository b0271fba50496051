"""Job: responses to prompts, into a file of JSON lines.

Killed and started again it goes on after the last complete chunk and ends with
the same bytes.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from xlrm.batches import batch_sources
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.sampling import sample_files
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.sampling import text_sampler
from xlrm.storage import chunked_files


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
      if getattr(self, name) < 1:
        raise ValueError(f"{name} {getattr(self, name)} is below 1")
    if self.max_prompts is not None and self.max_prompts < 1:
      raise ValueError(f"max_prompts {self.max_prompts} is below 1")
    if self.max_input_length < 0:
      raise ValueError(f"max_input_length {self.max_input_length} is negative")


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


def run(
  *,
  source: batch_sources.BatchSource,
  policy: str,
  output: str,
  config: SampleConfig = SampleConfig(),
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig(),
  split: str = "test",
  dtype: str = "float32",
  mesh: meshes.MeshConfig = meshes.MeshConfig(),
  dry_run: bool | str = False,
) -> str:
  """Writes the rows of a split with `responses` and what is known of them.

  Args:
    source: prompts: a task, or a `PromptFile`.
    policy: see `pretrained.load_language_model`.
    output: .jsonl file.
    sampler: how a token is drawn; without max_tokens: as the policy was
      trained.
    split: of the source.
    mesh: spreads weights and prompts.
    dry_run: print the plan, draw nothing; a name such as 'v4-32' says whether
      it fits there.
  """
  loaded = pretrained.load_language_model(policy, dtype=dtype)
  rows = source.examples(split)[: config.max_prompts]
  if not rows:
    raise ValueError(f"the split {split!r} has no prompts to sample for")
  lengths = text_sampler.lengths_of(loaded.description, config.max_input_length)
  generator = sample_files.generator_of(
    loaded,
    sampler.of_at_most(lengths["targets"]),
    lengths,
    batch_size=config.batch_size,
    num_samples=config.num_samples,
    seed=config.seed,
    mesh=mesh.build_own(),
  )
  if dry_run:
    named = device_memory.devices(dry_run) if isinstance(dry_run, str) else None
    print(
      f"{len(rows)} prompts x {config.num_samples} responses of at most "
      f"{generator.config.max_tokens} tokens by {policy}; into {output}"
    )
    print(sample_files.plan_of(generator, len(rows)).text(named))
    return output
  identity = chunked_files.identity(
    model_files.fingerprint(policy), config, generator.config, dtype, rows=rows
  )
  file = chunked_files.ChunkedFile(output, identity, len(rows))
  sample_files.write(
    file,
    generator,
    loaded.lazy_params,
    rows,
    _line,
    chunk_size=config.chunk_size,
    description="sample",
  )
  print(f"{len(rows)} prompts x {config.num_samples}: {output}")
  return output
