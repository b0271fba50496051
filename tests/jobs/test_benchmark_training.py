"""Steps of training that are timed do train."""

import pytest

from xlrm import types
from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_training


@pytest.mark.parametrize(
  ("make", "tokens"),
  [
    (benchmark_training.fine_tuning, 8 * (6 + 4)),
    (benchmark_training.reward_training, 8 * (6 + 2 * 4)),
  ],
)
def test_every_call_is_a_step_further(make, tokens, speck_size):
  steps = make(
    benchmark_config.BenchmarkConfig(
      speck_size, batch=8, inputs=6, targets=4, samples=2, dropout=0.0
    )
  )
  losses = []
  for _ in range(3):
    total, weight = steps.call()["loss"]
    losses.append(float(total) / float(weight))
  assert losses[2] < losses[1] < losses[0]
  assert steps.tokens == tokens and steps.facts(5) == {}


def test_one_response_is_rated_and_several_are_ranked():
  def judged(samples):
    config = benchmark_config.BenchmarkConfig(batch=2, samples=samples)
    return benchmark_training._judged(config, 50)

  assert isinstance(judged(1), types.Ratings)
  ranked = judged(3)
  assert isinstance(ranked, types.Preferences)
  assert ranked.ranks.tolist() == [[0, 1, 2]] * 2
