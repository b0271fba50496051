"""Job: one response per prompt of an aligned policy, as records.

What PPO or distillation made of a policy is compared with the records of a
best-of-n run of the policy it started from, on the same prompts.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from xlrm.batches import batch_sources
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
from xlrm.sampling import text_generation
from xlrm.sampling import text_sampler
from xlrm.storage import chunked_files
from xlrm.storage import files

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
      if getattr(self, name) < 1:
        raise ValueError(f"{name} {getattr(self, name)} is below 1")
    if self.max_prompts is not None and self.max_prompts < 1:
      raise ValueError(f"max_prompts {self.max_prompts} is below 1")


def _line(row, generation: text_generation.Generation) -> dict[str, Any]:
  return {
    "example_id": row["id"],
    "text": generation.texts[0],
    "logprob": generation.logprobs[0],
  }


def run(
  *,
  source: batch_sources.BatchSource,
  policy: str,
  rewards: Mapping[str, reward_models.Spec],
  model_dir: str,
  config: OutputsConfig = OutputsConfig(),
  sampler: sampling_config.SamplingConfig = sampling_config.SamplingConfig(),
  lengths: Mapping[str, int] | None = None,
  split: str = "test",
  study: str = "best_of_n",
  dtype: str = "float32",
  mesh: meshes.MeshConfig = meshes.MeshConfig(),
  dry_run: bool | str = False,
) -> list[records.EvalRecord]:
  """Draws, scores, records; resumable like best-of-n.

  Args:
    source: prompts: rows of its split `split`.
    policy: model directory of the aligned policy.
    rewards: name to reward model; each scores every response.
    sampler: how a token is drawn, as for the baseline.
    lengths: tokens of prompt and response; None is what the policy was trained
      on.
    study: that of the records to compare with.
    dry_run: print the plan, draw nothing.
  """
  loaded = pretrained.load_language_model(policy, dtype=dtype)
  scorers = {
    name: reward_models.load(spec, dtype=dtype)
    for name, spec in rewards.items()
  }
  rows = source.examples(split)[: config.max_prompts]
  if not rows:
    raise ValueError(f"the split {split!r} has no prompts to sample for")
  lengths = lengths or text_sampler.lengths_of(loaded.description)
  devices = mesh.build_own()
  generator = sample_files.generator_of(
    loaded,
    sampler.of_at_most(lengths["targets"]),
    lengths,
    batch_size=config.batch_size,
    num_samples=1,
    seed=config.seed,
    mesh=devices,
  )
  if dry_run:
    named = device_memory.devices(dry_run) if isinstance(dry_run, str) else None
    print(f"{len(rows)} responses of {policy}; into {model_dir}")
    print(sample_files.plan_of(generator, len(rows)).text(named))
    return []
  directory = files.local(model_dir)
  drawn_as = dataclasses.replace(config, method="x", source="")
  identity = chunked_files.identity(
    model_files.fingerprint(policy),
    drawn_as,
    generator.config,
    sorted(lengths.items()),
    loaded.model.config,
    dict(devices.shape),
    rows=rows,
  )
  file = chunked_files.ChunkedFile(
    directory / PARTS / "outputs.jsonl", identity, len(rows), keep=True
  )
  sample_files.write(
    file,
    generator,
    loaded.lazy_params,
    rows,
    _line,
    chunk_size=config.chunk_size,
    description="outputs",
  )
  drawn = file.rows()
  scores = {
    name: score_files.write_scores(
      directory / PARTS,
      name,
      scorer.on(devices),
      rows,
      [[line["text"]] for line in drawn],
      identity=chunked_files.identity(
        identity, reward_models.identity(rewards[name])
      ),
      chunk_size=config.chunk_size,
      batch_size=config.score_batch_size,
    )
    for name, scorer in scorers.items()
  }
  found = [
    _record(row, line, index, scores, config, study, policy)
    for index, (row, line) in enumerate(zip(rows, drawn, strict=True))
  ]
  processes.on_first(records.write, directory / RECORDS, found)
  return found


def _record(row, line, index, scores, config, study, policy):
  return records.EvalRecord(
    study=study,
    method=config.method,
    source=config.source,
    target=row["language"],
    seed=config.seed,
    task=row.get("task", ""),
    dataset=row["dataset"],
    language=row["language"],
    example_id=row["id"],
    sample=0,
    input=row["reward_inputs"],
    reference=row["targets_pretokenized"],
    output=line["text"],
    policy=policy,
    logprob=float(line["logprob"]),
    scores={
      f"reward/{name}": float(values[index][0])
      for name, values in scores.items()
    },
  )
