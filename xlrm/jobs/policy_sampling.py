"""What jobs that draw from a policy have in common: how they open, draw, score.

Texts and scores go to files chunk by chunk: a job that was killed goes on after
its last complete chunk, and one that is another is refused.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any, Protocol

import jax

from xlrm.batches import batch_sources
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.rewards import reward_models
from xlrm.rewards import score_files
from xlrm.sampling import sample_files
from xlrm.sampling import sampling_config
from xlrm.sampling import text_generation
from xlrm.sampling import text_sampler
from xlrm.storage import chunked_files

Scorers = Mapping[str, reward_models.RewardModel]


class Amounts(Protocol):
  """How much a job draws at once: of each job's own configuration."""

  batch_size: int  # responses under way together
  chunk_size: int  # prompts between two writes
  seed: int


class ScoredAmounts(Amounts, Protocol):
  """Likewise of a job that also scores."""

  score_batch_size: int  # prompts scored together


@dataclasses.dataclass(frozen=True, eq=False)
class PolicySampling:
  """A policy on this process's devices, and the prompts that it answers.

  Attributes:
    policy: where it is.
    loaded: the same, opened.
    rows: of the prompts.
    sampler: how a token is drawn, and the longest response.
    lengths: tokens of prompt and response.
    mesh: of this process.
  """

  policy: str
  loaded: pretrained.Pretrained
  rows: Sequence[Mapping[str, Any]]
  sampler: sampling_config.SamplingConfig
  lengths: Mapping[str, int]
  mesh: jax.sharding.Mesh

  @classmethod
  def open(
    cls,
    policy: str,
    source: batch_sources.BatchSource,
    *,
    split: str,
    max_prompts: int | None,
    sampler: sampling_config.SamplingConfig,
    lengths: Mapping[str, int] | None,
    max_input_length: int = 0,
    dtype: str,
    mesh: meshes.MeshConfig,
  ) -> "PolicySampling":
    """Reads prompts, and of the policy what is no parameter.

    Args:
      max_prompts: the first ones; None is all.
      sampler: without max_tokens: `lengths`' targets.
      lengths: None is what the policy was trained on.
      max_input_length: in place of the policy's, where `lengths` is None.

    Raises:
      ValueError: there is no policy, or no prompt.
    """
    loaded = pretrained.load_language_model(policy, dtype=dtype)
    rows = source.examples(split)[:max_prompts]
    if not rows:
      raise ValueError(f"the split {split!r} has no prompts to sample for")
    if lengths is None:
      lengths = text_sampler.lengths_of(loaded.description, max_input_length)
    sampler = sampler.of_at_most(lengths["targets"])
    return cls(policy, loaded, rows, sampler, lengths, mesh.build_own())

  def generator(
    self,
    amounts: Amounts,
    num_samples: int,
    sampler: sampling_config.SamplingConfig | None = None,
  ) -> text_generation.Generator:
    """Draws `num_samples` responses per prompt; as another sampler would."""
    return sample_files.generator_of(
      self.loaded,
      sampler or self.sampler,
      self.lengths,
      batch_size=amounts.batch_size,
      num_samples=num_samples,
      seed=amounts.seed,
      mesh=self.mesh,
    )

  def plan(
    self, generator: text_generation.Generator
  ) -> device_memory.MemoryPlan:
    """What drawing takes of each device."""
    return sample_files.plan_of(generator, len(self.rows))

  def identity(self, config: Any) -> str:
    """Changes when the draws would.

    Args:
      config: what of the job's own configuration they depend on.
    """
    return chunked_files.identity(
      model_files.fingerprint(self.policy),
      config,
      self.sampler,
      sorted(self.lengths.items()),
      self.loaded.model.config,
      dict(self.mesh.shape),
      rows=self.rows,
    )

  def file(
    self, path: str | os.PathLike, identity: str, keep: bool
  ) -> chunked_files.ChunkedFile:
    """A file with a line per prompt, see `ChunkedFile`."""
    return chunked_files.ChunkedFile(path, identity, len(self.rows), keep=keep)

  def write(
    self,
    file: chunked_files.ChunkedFile,
    generator: text_generation.Generator,
    line: sample_files.Line,
    amounts: Amounts,
    description: str,
  ) -> None:
    """Draws what is not yet in the file, see `sample_files.write`."""
    sample_files.write(
      file,
      generator,
      self.loaded.lazy_params,
      self.rows,
      line,
      chunk_size=amounts.chunk_size,
      description=description,
    )

  def scores(
    self,
    folder: pathlib.Path,
    rewards: Mapping[str, reward_models.Spec],
    scorers: Scorers,
    texts: Sequence[Sequence[str]],
    identity: str,
    amounts: ScoredAmounts,
  ) -> dict[str, list[list[float]]]:
    """Name of a reward model -> its score of each text of each prompt.

    Args:
      folder: of the files of scores.
      rewards: where the reward models are.
      scorers: the same, opened; each is on the devices only while it scores.
      texts: of each prompt.
      identity: of the texts.
    """
    return {
      name: score_files.write_scores(
        folder,
        name,
        scorer.on(self.mesh),
        self.rows,
        texts,
        identity=chunked_files.identity(
          identity,
          reward_models.identity(rewards[name]),
          amounts.score_batch_size,
        ),
        chunk_size=amounts.chunk_size,
        batch_size=amounts.score_batch_size,
      )
      for name, scorer in scorers.items()
    }


def load_scorers(
  rewards: Mapping[str, reward_models.Spec], dtype: str
) -> dict[str, reward_models.RewardModel]:
  """Name -> reward model, its parameters not yet read."""
  return {
    name: reward_models.load(spec, dtype=dtype)
    for name, spec in rewards.items()
  }
