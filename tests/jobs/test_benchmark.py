"""What is measured, against what there is to count."""

import math
import time

import jax
import pytest

from xlrm.distributed import device_memory
from xlrm.distributed import sharding
from xlrm.jobs import benchmark
from xlrm.jobs import benchmark_config

KINDS = benchmark.KINDS
CONFIG = {"size": "speck", "batch": 8, "inputs": 5, "targets": 3, "samples": 2}


def config(**changes):
  return benchmark_config.BenchmarkConfig(**{**CONFIG, **changes})


def test_passes_that_a_step_of_ppo_takes():
  # draw, reference, values, reward model; policy and value updates
  layers = ("sample", "sample", "score", "score", "train", "reward")
  heads = ("sample", "sample", "train")
  ppo = KINDS["ppo"]
  assert ppo.layer_passes == sum(KINDS[x].layer_passes for x in layers)
  assert ppo.head_passes == sum(KINDS[x].head_passes for x in heads)


def test_flops_are_two_per_weight_and_token_that_passes_it(speck_size):
  model = benchmark_config.model(config())
  sizes = {
    sharding.path_name(path): math.prod(x.shape)
    for path, x in jax.tree_util.tree_leaves_with_path(model.abstract())
    if "kernel" in sharding.path_name(path)
  }
  head = sizes.pop("decoder/logits_dense/kernel")
  prompt = sum(
    size
    for name, size in sizes.items()
    if name.startswith("encoder/")
    or "encoder_decoder_attention/key" in name
    or "encoder_decoder_attention/value" in name
  )
  response = sum(sizes.values()) - prompt
  prompts, responses = 8 * 5, 8 * 2 * 3
  for name, passes in (("score", (1, 0)), ("sample", (1, 1))):
    found = benchmark.flop_count(KINDS[name], config(), model.config)
    layers = prompts * prompt + responses * response
    expected = 2 * (passes[0] * layers + passes[1] * responses * head)
    assert found == expected


def test_times_are_of_calls_after_the_first():
  seconds = iter((0.2, 0.01, 0.05, 0.03))
  first, median = benchmark.timed(lambda: time.sleep(next(seconds)), 3)
  assert first == pytest.approx(0.2, abs=0.05)
  assert median == pytest.approx(0.03, abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_planned_for_devices_that_are_not_here(kind, speck_size):
  plan = benchmark.Benchmark(kind=kind, config=config()).plan("v4-8")
  (memory,) = plan.memory.values()
  assert isinstance(memory, device_memory.MemoryPlan) and memory.total > 0
  assert "on 4 devices" in plan.text() and "v4-8 (32) yes" in plan.text()


def test_a_measurement_has_rates_and_what_they_are_of(speck_size, monkeypatch):
  monkeypatch.setattr(benchmark, "matrix_product_rate", lambda: 1e9)
  found = benchmark.Benchmark(kind="score", config=config(), steps=2).run()
  assert {name: found[name] for name in CONFIG} == CONFIG
  assert found["kind"] == "score" and found["num_devices"] == 8
  tokens = 8 * 2 * 3
  assert found["tokens_per_second"] * found[
    "seconds_per_call"
  ] == pytest.approx(tokens, rel=0.05)
  assert found["peak_memory_bytes"] > 1e6


def test_g28_a_kind_and_a_batch_that_cannot_be():
  with pytest.raises(ValueError, match="'trian' is none of train, reward"):
    benchmark.Benchmark(kind="trian", config=config())
  with pytest.raises(ValueError, match="7 .* 4 data shards"):
    benchmark.Benchmark(kind="score", config=config(batch=7)).plan("v4-8")
