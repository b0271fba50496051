"""Random batches and weights of benchmarks."""

import jax
import numpy as np

from xlrm import types
from xlrm.jobs import benchmark_config


def config(**changes):
  return benchmark_config.BenchmarkConfig(
    size="speck", batch=3, inputs=7, targets=4, **changes
  )


def test_a_batch_has_no_padding_and_is_the_same_every_time():
  batch = benchmark_config.random_batch(config(), 2, 50)
  types.check_shapes(batch)
  assert batch.inputs.shape == (3, 7) and batch.targets.shape == (3, 2, 4)
  for tokens in (batch.inputs, batch.targets):
    assert 3 <= tokens.min() and tokens.max() < 50
  assert (batch.weights == 1).all()
  again = benchmark_config.random_batch(config(), 2, 50)
  np.testing.assert_array_equal(batch.targets, again.targets)


def test_weights_have_the_scale_of_fresh_ones(speck_size):
  model = benchmark_config.model(config())
  params = benchmark_config.random_params(model.abstract())
  assert jax.tree.map(lambda x: x.shape, params) == jax.tree.map(
    lambda x: x.shape, model.abstract()
  )
  kernel = np.asarray(params["decoder"]["logits_dense"]["kernel"])
  assert abs(kernel.std() * 16**0.5 - 1) < 0.05 and abs(kernel.mean()) < 0.01


def test_options_reach_the_model(speck_size):
  made = benchmark_config.scorer(config(dtype="bfloat16", remat=True), 0.2)
  assert made.model.config.dtype == "bfloat16" and made.model.config.remat
  assert made.model.config.dropout_rate == 0.2
  assert (made.max_input_length, made.max_response_length) == (7, 4)
