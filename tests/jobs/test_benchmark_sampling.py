"""Responses that are timed have the lengths that they should have."""

import numpy as np

from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_sampling


def config(size, **changes):
  return benchmark_config.BenchmarkConfig(
    size, batch=4, inputs=6, targets=8, samples=2, **changes
  )


def test_responses_of_full_length_use_every_row(speck_size):
  drawn = benchmark_sampling.SampledResponses(config(speck_size))
  drawn.call()
  found = drawn.facts(1)
  assert found["tokens"] == drawn.tokens == 4 * 2 * 8
  assert found["useful_share"] == 1 and np.prod(found["shape"]) == 8


def test_responses_that_end_by_chance_are_shorter(speck_size):
  drawn = benchmark_sampling.SampledResponses(config(speck_size, mean_length=2))
  drawn.call()
  assert 4 * 2 <= drawn.facts(1)["tokens"] < drawn.tokens


def test_a_reward_model_scores_every_response(speck_size):
  scored = benchmark_sampling.ScoredResponses(config(speck_size))
  found = np.asarray(scored.call())
  assert found.shape == (4, 2) and np.isfinite(found).all()
  assert scored.tokens == 4 * 2 * 8
