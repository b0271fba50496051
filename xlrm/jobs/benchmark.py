"""Job: speed of training, sampling, scoring and PPO with random weights.

Tokens per second are the median over steps. Beside them stands the rate of a
2048-wide float32 matrix product in the same run, to which the rest should be
compared.
"""

from collections.abc import Callable, Mapping
import dataclasses
import resource
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

from xlrm.distributed import device_memory
from xlrm.distributed import machine
from xlrm.distributed import meshes
from xlrm.jobs import benchmark_config
from xlrm.jobs import benchmark_ppo
from xlrm.jobs import benchmark_sampling
from xlrm.jobs import benchmark_training
from xlrm.jobs import job
from xlrm.models import t5


@dataclasses.dataclass(frozen=True)
class BenchmarkKind:
  """What can be measured.

  Attributes:
    program: makes what is timed.
    memory: what it takes of each device of a mesh.
    layer_passes: of a token through encoder and decoder; a backward pass is
      two.
    head_passes: through the output matrix.
    responses: per prompt; None is `BenchmarkConfig.samples`.
  """

  program: Callable[
    [benchmark_config.BenchmarkConfig], benchmark_config.Program
  ]
  memory: Callable[
    [benchmark_config.BenchmarkConfig, meshes.AnyMesh], device_memory.MemoryPlan
  ]
  layer_passes: int
  head_passes: int
  responses: int | None = None


KINDS: Mapping[str, BenchmarkKind] = {
  "train": BenchmarkKind(
    benchmark_training.fine_tuning,
    benchmark_training.fine_tuning_memory,
    3,
    3,
    responses=1,
  ),
  "reward": BenchmarkKind(
    benchmark_training.reward_training,
    benchmark_training.reward_training_memory,
    3,
    0,
  ),
  "sample": BenchmarkKind(
    benchmark_sampling.SampledResponses,
    benchmark_sampling.sampling_memory_of,
    1,
    1,
  ),
  "score": BenchmarkKind(
    benchmark_sampling.ScoredResponses,
    benchmark_sampling.scoring_memory_of,
    1,
    0,
  ),
  # Draw, reference, values, reward; two updates.
  "ppo": BenchmarkKind(
    benchmark_ppo.PPOSteps, benchmark_ppo.ppo_memory_of, 10, 5
  ),
}


def timed(call: Callable[[], Any], steps: int) -> tuple[float, float]:
  """(seconds of the first call, median seconds of the next `steps`)."""
  seconds = []
  for _ in range(steps + 1):
    start = time.perf_counter()
    jax.block_until_ready(call())
    seconds.append(time.perf_counter() - start)
  return seconds[0], statistics.median(seconds[1:])


def matrix_product_rate(width: int = 2048, steps: int = 5) -> float:
  """FLOP/s of a float32 product of two square matrices on this device."""
  matrix = jnp.ones((width, width), jnp.float32)
  product = jax.jit(jnp.matmul)
  _, seconds = timed(lambda: product(matrix, matrix), steps)
  return 2 * width**3 / seconds


def flop_count(
  kind: BenchmarkKind,
  config: benchmark_config.BenchmarkConfig,
  model: t5.T5Config,
) -> float:
  """Floating-point operations of one call: 2 per weight and token that passes
  it; attention scores are left out."""
  joined = model.num_heads * model.head_dim
  attention = 4 * model.emb_dim * joined
  mlp = model.emb_dim * model.mlp_dim * (len(model.mlp_activations) + 1)
  encoder = model.num_encoder_layers * (attention + mlp)
  cross_keys = model.num_decoder_layers * attention / 2
  decoder = model.num_decoder_layers * (attention * 1.5 + mlp)
  head = model.emb_dim * model.vocab_size
  prompt_tokens = config.batch * config.inputs
  tokens = config.batch * (kind.responses or config.samples) * config.targets
  layers = prompt_tokens * (encoder + cross_keys) + tokens * decoder
  return 2 * (kind.layer_passes * layers + kind.head_passes * tokens * head)


def peak_memory() -> int:
  """Bytes: of the device where it counts them, else of the process."""
  statistics_of_device = jax.devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in statistics_of_device:
    return statistics_of_device["peak_bytes_in_use"]
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
  """One measurement.

  Attributes:
    kind: of KINDS.
    config: sizes.
    steps: timed; one more compiles.
  """

  kind: str
  config: benchmark_config.BenchmarkConfig
  steps: int = 5

  def __post_init__(self):
    if self.kind not in KINDS:
      raise ValueError(f"kind {self.kind!r} is none of {', '.join(KINDS)}")

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """What a call takes of each device; None are as many as are here."""
    named = device_memory.devices(devices) if devices else None
    count = named.count if named else jax.device_count()
    mesh = meshes.MeshConfig(model=self.config.model_axis).abstract(count)
    meshes.check_batch_size(self.config.batch, mesh)
    return job.JobPlan(
      f"benchmark of {self.kind}: mT5 {self.config.size}, {self.config.dtype}, "
      f"on {count} devices",
      {self.kind: KINDS[self.kind].memory(self.config, mesh)},
      named,
    )

  def run(self) -> dict[str, Any]:
    """Name -> what was measured, and of what."""
    config, kind = self.config, KINDS[self.kind]
    program = kind.program(config)
    first, seconds = timed(program.call, self.steps)
    peak = peak_memory()
    facts = program.facts(self.steps)
    tokens = facts.pop("tokens", program.tokens)
    flops = flop_count(kind, config, benchmark_config.model(config).config)
    device = jax.devices()[0]
    on_cpu = device.platform == "cpu"
    return {
      "kind": self.kind,
      "size": config.size,
      "dtype": config.dtype,
      "batch": config.batch,
      "inputs": config.inputs,
      "targets": config.targets,
      "samples": kind.responses or config.samples,
      "tokens_per_second": round(tokens / seconds, 2),
      "seconds_per_call": round(seconds, 5),
      "compile_seconds": round(first - seconds, 2),
      "flops_per_second": round(flops / seconds),
      "matrix_product_flops_per_second": round(matrix_product_rate()),
      "peak_memory_bytes": int(peak),
      **facts,
      "device": machine.cpu_name() if on_cpu else device.device_kind,
      "num_devices": jax.device_count(),
      "jax": jax.__version__,
    }
