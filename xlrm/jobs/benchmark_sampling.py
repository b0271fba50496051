"""Responses drawn, and responses scored, with random weights."""

from typing import Any

import jax
import numpy as np

from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.jobs import benchmark_config
from xlrm.models import language_model
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_programs
from xlrm.sampling import sampling_config
from xlrm.sampling import sampling_memory
from xlrm.sampling import scheduler

# So high that the tokens of the support are all but equally likely.
EVEN = 1e6


def _shape(
  config: benchmark_config.BenchmarkConfig,
  model: language_model.LanguageModel,
  data_shards: int = 1,
) -> batch_shapes.BatchShape:
  return batch_shapes.choose_batch_shape(
    model,
    batch_size=config.rows or config.batch * config.samples,
    num_prompts=config.batch,
    num_samples=config.samples,
    prompt_length=config.inputs,
    data_shards=data_shards,
  )


class SampledResponses:
  """Responses of full length, or ended by chance."""

  def __init__(self, config: benchmark_config.BenchmarkConfig):
    self.tokens = config.batch * config.samples * config.targets
    self._config = config
    self._model = benchmark_config.model(config)
    size = self._model.config.vocab_size
    temperature, support = config.temperature, np.ones(size, bool)
    support[:2] = False  # without EOS every response has full length
    if config.mean_length:
      # All but equal probabilities on so many tokens, EOS one of them.
      temperature = EVEN
      support = np.arange(size) - 1 < config.mean_length
      support[0] = False
    self._sampler = sampling_config.SamplingConfig(
      max_tokens=config.targets,
      temperature=temperature,
      int8_output_matrix=config.int8,
    )
    params = benchmark_config.random_params(self._model.abstract())
    self._weights = decode_programs.prepare(
      self._model, params, self._sampler, support
    )
    batch = benchmark_config.random_batch(config, 1, size)
    self._prompts = list(np.asarray(batch.inputs))
    self._shape = _shape(config, self._model)
    self._usage = scheduler.Usage()

  def call(self) -> None:
    """Draws all responses."""
    stream = scheduler.Scheduler(
      self._model,
      self._weights,
      self._sampler,
      self._prompts,
      range(self._config.batch),
      num_samples=self._config.samples,
      shape=self._shape,
      lengths=[self._config.inputs],
    )
    self._usage = stream.run(lambda index, tokens, logprobs: None)

  def facts(self, steps: int) -> dict[str, Any]:
    """The shape of the batch, and how much of it drew a token."""
    del steps
    return {
      "shape": [self._shape.slots, self._shape.rows_per_slot],
      "useful_share": round(self._usage.share, 4),
      "tokens": self._usage.useful,
    }


class ScoredResponses:
  """A reward model's scores of one batch."""

  def __init__(self, config: benchmark_config.BenchmarkConfig):
    self.tokens = config.batch * config.samples * config.targets
    scorer = benchmark_config.scorer(config)
    self._scores = jax.jit(scorer.scores)
    self._params = benchmark_config.random_params(scorer.abstract())
    self._batch = benchmark_config.random_batch(
      config, config.samples, scorer.model.config.vocab_size
    )

  def call(self) -> jax.Array:
    """The scores."""
    return self._scores(self._params, self._batch)

  def facts(self, steps: int) -> dict[str, Any]:
    """Nothing more."""
    del steps
    return {}


def sampling_memory_of(
  config: benchmark_config.BenchmarkConfig, mesh: meshes.AnyMesh
) -> device_memory.MemoryPlan:
  """What drawing takes of each device."""
  model = benchmark_config.model(config)
  return sampling_memory.sampling_plan(
    model,
    mesh,
    shape=_shape(config, model, mesh.shape["data"]),
    input_length=config.inputs,
    config=sampling_config.SamplingConfig(
      max_tokens=config.targets, int8_output_matrix=config.int8
    ),
  )


def scoring_memory_of(
  config: benchmark_config.BenchmarkConfig, mesh: meshes.AnyMesh
) -> device_memory.MemoryPlan:
  """What scoring takes of each device."""
  return sampling_memory.scoring_plan(
    benchmark_config.scorer(config),
    mesh,
    batch_size=config.batch,
    num_responses=config.samples,
  )
