"""Steps of fine-tuning and of a reward model, with random weights."""

from typing import Any

import jax
import numpy as np

from xlrm import types
from xlrm.distributed import device_memory
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.jobs import benchmark_config
from xlrm.jobs import reward
from xlrm.jobs import sft
from xlrm.training import optimizers
from xlrm.training import train_step
from xlrm.training import training_memory

LEARNING_RATE, Z_LOSS = 1e-3, 1e-4


class TrainingSteps:
  """Updates by Adafactor, each from where the one before ended.

  Args:
    model: a language model or a reward model.
    loss_fn: of it.
    batch: on the host, the same in every step.
    model_axis: devices that share one layer.
    tokens: of a step.
  """

  def __init__(
    self,
    model: Any,
    loss_fn: train_step.LossFunction,
    batch: Any,
    model_axis: int,
    tokens: int,
  ):
    self.tokens = tokens
    self._mesh = meshes.MeshConfig(model=model_axis).build()
    optimizer = optimizers.adafactor(LEARNING_RATE)
    params = lazy_params.LazyParams(
      model.abstract(), benchmark_config.random_params
    )
    self._state = train_step.initial_state(params, optimizer, self._mesh)
    self._step = train_step.jit_train_step(
      train_step.make_train_step(loss_fn, optimizer),
      jax.eval_shape(lambda: self._state),
    )
    self._batch = sharding.shard(batch, self._mesh)

  def call(self) -> Any:
    """A step; its metrics."""
    with meshes.active(self._mesh):
      self._state, metrics = self._step(
        self._state, self._batch, jax.random.key(1)
      )
    return metrics

  def facts(self, steps: int) -> dict[str, Any]:
    """Nothing more."""
    del steps
    return {}


def fine_tuning(config: benchmark_config.BenchmarkConfig) -> TrainingSteps:
  """Steps of SFT."""
  model = benchmark_config.model(config, config.dropout)
  batch = benchmark_config.random_batch(config, 1, model.config.vocab_size)
  tokens = config.batch * (config.inputs + config.targets)
  loss_fn = sft.sft_loss(model, Z_LOSS)
  return TrainingSteps(model, loss_fn, batch, config.model_axis, tokens)


def reward_training(config: benchmark_config.BenchmarkConfig) -> TrainingSteps:
  """Steps of a reward model."""
  scorer = benchmark_config.scorer(config, config.dropout)
  judged = _judged(config, scorer.model.config.vocab_size)
  tokens = config.batch * (config.inputs + config.samples * config.targets)
  loss_fn = reward.reward_loss(scorer)
  return TrainingSteps(scorer, loss_fn, judged, config.model_axis, tokens)


def _judged(
  config: benchmark_config.BenchmarkConfig, vocab_size: int
) -> types.Ratings | types.Preferences:
  """Ratings of one response per prompt, or rankings of several."""
  batch = benchmark_config.random_batch(config, config.samples, vocab_size)
  shape = (config.batch, config.samples)
  if config.samples == 1:
    return types.Ratings(batch, np.ones(shape, np.float32))
  ranks = np.broadcast_to(np.arange(config.samples, dtype=np.int32), shape)
  return types.Preferences(batch, ranks, np.zeros(config.batch, np.float32))


def _memory(planned, batch, mesh) -> device_memory.MemoryPlan:
  return training_memory.training_plan(
    planned,
    optimizer=optimizers.adafactor(LEARNING_RATE),
    batch=batch,
    mesh=mesh,
  )


def fine_tuning_memory(
  config: benchmark_config.BenchmarkConfig, mesh: meshes.AnyMesh
) -> device_memory.MemoryPlan:
  """What a step of SFT takes of each device."""
  model = benchmark_config.model(config, config.dropout)
  planned = training_memory.Planned(
    model, lambda m: (m.abstract(), sft.sft_loss(m, Z_LOSS))
  )
  batch = benchmark_config.random_batch(config, 1, model.config.vocab_size)
  return _memory(planned, batch, mesh)


def reward_training_memory(
  config: benchmark_config.BenchmarkConfig, mesh: meshes.AnyMesh
) -> device_memory.MemoryPlan:
  """What a step of a reward model takes of each device."""
  scorer = benchmark_config.scorer(config, config.dropout)
  planned = training_memory.Planned(
    scorer, lambda m: (m.abstract(), reward.reward_loss(m))
  )
  judged = _judged(config, scorer.model.config.vocab_size)
  return _memory(planned, judged, mesh)
