"""What all benchmarks are made of: sizes, random batches, random weights."""

import dataclasses
from typing import Any, Protocol

import jax
import numpy as np

from xlrm import types
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
  """Sizes of a model and of what it is given.

  Attributes:
    size: of mT5: 'nano', 'small', 'base', ...
    batch: prompts.
    inputs: tokens of a prompt.
    targets: tokens of a response.
    samples: responses per prompt; SFT has one.
    dtype: of the computation, 'float32' or 'bfloat16'.
    dropout: of training.
    temperature: of sampling.
    rows: responses under way together; None is all.
    mean_length: responses end by chance after about so many tokens; None: all
      have full length.
    int8: sample with the output matrix in int8.
    remat: recompute layers in training.
    model_axis: devices that share one layer.
  """

  size: str = "small"
  batch: int = 8
  inputs: int = 128
  targets: int = 32
  samples: int = 8
  dtype: str = "float32"
  dropout: float = 0.1
  temperature: float = 1.0
  rows: int | None = None
  mean_length: int | None = None
  int8: bool = False
  remat: bool = False
  model_axis: int = 1


class Program(Protocol):
  """What is timed."""

  tokens: int  # of one call, for tokens per second

  def call(self) -> Any:
    """Runs once; returns what to wait for."""
    ...

  def facts(self, steps: int) -> dict[str, Any]:
    """What else is told, after the calls; may take `steps` more.

    'tokens' in it is how many a call really had.
    """
    ...


def model(
  config: BenchmarkConfig, dropout: float = 0.0
) -> language_model.EncoderDecoder:
  """mT5 of a size."""
  return language_model.EncoderDecoder(
    t5.mt5(
      config.size,
      dtype=config.dtype,
      dropout_rate=dropout,
      remat=config.remat,
    )
  )


def scorer(
  config: BenchmarkConfig, dropout: float = 0.0
) -> response_scorer.ResponseScorer:
  """A reward model over it."""
  return response_scorer.ResponseScorer(
    model=model(config, dropout),
    tokenizer=None,
    max_input_length=config.inputs,
    max_response_length=config.targets,
  )


def random_batch(
  config: BenchmarkConfig, num_responses: int, vocab_size: int
) -> types.Batch:
  """Tokens without padding, on the host."""
  rng = np.random.default_rng(0)
  shape = (config.batch, num_responses, config.targets)
  inputs = rng.integers(3, vocab_size, (config.batch, config.inputs))
  targets = rng.integers(3, vocab_size, shape)
  return types.Batch(
    inputs=inputs.astype(np.int32),
    targets=targets.astype(np.int32),
    weights=np.ones(shape, np.float32),
  )


def random_params(abstract: types.Params) -> types.Params:
  """Weights leaf by leaf: a compiled `init` takes several times their memory.

  Args:
    abstract: shapes, with shardings where they matter.
  """
  rng = np.random.default_rng(0)

  def leaf(shape):
    array = rng.standard_normal(shape.shape, np.float32)
    array *= shape.shape[0] ** -0.5
    return jax.block_until_ready(jax.device_put(array, shape.sharding))

  return jax.tree.map(leaf, abstract)
