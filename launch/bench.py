"""Speed of training, sampling and scoring with random weights.

  xlrm bench train --size=small --batch=8 --inputs=128 --targets=32
  xlrm bench reward --size=small --batch=2 --samples=2 --inputs=512 --targets=64
  xlrm bench sample --size=small --batch=4 --samples=8
  xlrm bench ppo --size=tiny --batch=16 --samples=1
  xlrm bench train --size=xl --dtype=bfloat16 --remat --dry_run --devices=v4-32

Prints one JSON line: tokens per second as the median over steps, peak memory,
compile seconds, FLOP/s, and the rate of a 2048-wide float32 matrix product in
the same run, to which the rest should be compared. With --dry_run it runs
nothing and prints what each device would have to hold, see docs/sizes.md.
"""

import argparse
from collections.abc import Callable, Sequence
import json
import resource
import statistics
import time
from typing import Any

KINDS = ("train", "reward", "sample", "score", "ppo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument("kind", choices=KINDS)
  parser.add_argument("--size", default="small", help="nano small base ...")
  parser.add_argument("--batch", type=int, default=8, help="prompts")
  parser.add_argument("--inputs", type=int, default=128, help="tokens")
  parser.add_argument("--targets", type=int, default=32, help="tokens")
  parser.add_argument("--samples", type=int, default=8, help="per prompt")
  parser.add_argument("--dtype", default="float32", help="or bfloat16")
  parser.add_argument("--dropout", type=float, default=0.1, help="training")
  parser.add_argument("--steps", type=int, default=5, help="timed")
  parser.add_argument("--temperature", type=float, default=1.0)
  parser.add_argument(
    "--rows", type=int, help="sample: responses under way; default all"
  )
  parser.add_argument(
    "--mean_length",
    type=int,
    help="sample: responses end by chance; default full length",
  )
  parser.add_argument(
    "--int8", action="store_true", help="sample: output matrix in int8"
  )
  parser.add_argument(
    "--remat", action="store_true", help="recompute layers in training"
  )
  parser.add_argument(
    "--model_axis", type=int, default=1, help="devices that share one layer"
  )
  parser.add_argument(
    "--dry_run", action="store_true", help="print the memory plan, run nothing"
  )
  parser.add_argument(
    "--devices", help="with --dry_run: H200, H100x8, v4-32, v5e-8, v5p-8"
  )


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  return parser.parse_args(arguments)


def _timed(call: Callable[[], Any], steps: int) -> tuple[float, float]:
  """(seconds of the first call, median seconds of the next `steps`)."""
  import jax

  seconds = []
  for _ in range(steps + 1):
    start = time.perf_counter()
    jax.block_until_ready(call())
    seconds.append(time.perf_counter() - start)
  return seconds[0], statistics.median(seconds[1:])


def matrix_product_rate(width: int = 2048, steps: int = 5) -> float:
  """FLOP/s of a float32 product of two square matrices on this device."""
  import jax
  import jax.numpy as jnp

  matrix = jnp.ones((width, width), jnp.float32)
  product = jax.jit(jnp.matmul)
  _, seconds = _timed(lambda: product(matrix, matrix), steps)
  return 2 * width**3 / seconds


def _random_batch(options, num_responses: int, vocabulary: int):
  import numpy as np

  from xlrm import types

  rng = np.random.default_rng(0)
  shape = (options.batch, num_responses, options.targets)
  inputs = rng.integers(3, vocabulary, (options.batch, options.inputs))
  targets = rng.integers(3, vocabulary, shape)
  return types.Batch(
    inputs=inputs.astype(np.int32),
    targets=targets.astype(np.int32),
    weights=np.ones(shape, np.float32),
  )


def _random_params(abstract):
  """Leaf by leaf: a compiled `init` takes several times their memory."""
  import jax
  import numpy as np

  rng = np.random.default_rng(0)

  def leaf(shape):
    array = rng.standard_normal(shape.shape, np.float32)
    array *= shape.shape[0] ** -0.5
    return jax.block_until_ready(jax.device_put(array, shape.sharding))

  return jax.tree.map(leaf, abstract)


def _updates(options, model, loss_fn, batch) -> Callable[[], Any]:
  """Steps of training, each from where the one before ended."""
  import jax

  from xlrm.distributed import lazy_params
  from xlrm.distributed import meshes
  from xlrm.distributed import sharding as sharding_lib
  from xlrm.training import optimizers as optimizers_lib
  from xlrm.training import train_step

  optimizer = optimizers_lib.adafactor(1e-3)
  mesh = meshes.MeshConfig(model=options.model_axis).build()
  params = lazy_params.LazyParams(model.abstract(), _random_params)
  state = train_step.initial_state(params, optimizer, mesh)
  step = train_step.jit_train_step(
    train_step.make_train_step(loss_fn, optimizer),
    jax.eval_shape(lambda: state),
  )
  batch = sharding_lib.shard(batch, mesh)
  kept = [state]
  del state

  def call():
    with meshes.active(mesh):
      kept[0], metrics = step(kept[0], batch, jax.random.key(1))
    return metrics

  return call


def _train(options, model) -> tuple[Callable[[], Any], int]:
  from xlrm.jobs import sft

  batch = _random_batch(options, 1, model.config.vocab_size)
  call = _updates(options, model, sft.sft_loss(model, 1e-4), batch)
  return call, options.batch * (options.inputs + options.targets)


def _judged(options, vocabulary: int):
  """Ratings of one response per prompt, or rankings of several."""
  import numpy as np

  from xlrm import types

  batch = _random_batch(options, options.samples, vocabulary)
  shape = (options.batch, options.samples)
  if options.samples == 1:
    return types.Ratings(batch, np.ones(shape, np.float32))
  ranks = np.broadcast_to(np.arange(options.samples, dtype=np.int32), shape)
  return types.Preferences(batch, ranks, np.zeros(options.batch, np.float32))


def _reward(options, model) -> tuple[Callable[[], Any], int]:
  from xlrm.jobs import reward

  scorer = _scorer(options, model)
  judged = _judged(options, model.config.vocab_size)
  call = _updates(options, scorer, reward.reward_loss(scorer), judged)
  tokens = options.inputs + options.samples * options.targets
  return call, options.batch * tokens


def _sample(options, model) -> tuple[Callable[[], Any], int]:
  """Responses of full length, or ended by chance after --mean_length tokens."""
  import numpy as np

  from xlrm.sampling import batch_shapes
  from xlrm.sampling import decode_programs
  from xlrm.sampling import sampling_config
  from xlrm.sampling import scheduler

  size = model.config.vocab_size
  temperature, support = options.temperature, np.ones(size, bool)
  support[:2] = False  # without EOS every response has full length
  if options.mean_length:
    # All but equal probabilities on so many tokens, EOS one of them.
    temperature, support = 1e6, np.arange(size) - 1 < options.mean_length
    support[0] = False
  config = sampling_config.SamplingConfig(
    max_tokens=options.targets,
    temperature=temperature,
    int8_output_matrix=options.int8,
  )
  weights = decode_programs.prepare(
    model, _random_params(model.abstract()), config, support
  )
  prompts = np.asarray(_random_batch(options, 1, size).inputs)
  rows = options.rows or options.batch * options.samples
  shape = batch_shapes.choose_batch_shape(
    model,
    batch_size=rows,
    num_prompts=options.batch,
    num_samples=options.samples,
    prompt_length=options.inputs,
  )

  def call():
    stream = scheduler.Scheduler(
      model,
      weights,
      config,
      list(prompts),
      range(options.batch),
      num_samples=options.samples,
      shape=shape,
      lengths=[options.inputs],
    )
    usage = stream.run(lambda index, tokens, logprobs: None)
    call.facts = {
      "shape": [shape.slots, shape.rows_per_slot],
      "useful_share": round(usage.share, 4),
      "tokens": usage.useful,
    }

  return call, options.batch * options.samples * options.targets


def _ppo(options, model) -> tuple[Callable[[], Any], int]:
  from xlrm.launch import bench_ppo

  return bench_ppo.steps(options, model, _random_params)


def _scorer(options, model):
  from xlrm.models import response_scorer

  return response_scorer.ResponseScorer(
    model=model,
    tokenizer=None,
    max_input_length=options.inputs,
    max_response_length=options.targets,
  )


def _score(options, model) -> tuple[Callable[[], Any], int]:
  import jax

  scorer = _scorer(options, model)
  params = _random_params(scorer.abstract())
  batch = _random_batch(options, options.samples, model.config.vocab_size)
  run = jax.jit(scorer.scores)
  tokens = options.batch * options.samples * options.targets
  return lambda: run(params, batch), tokens


# Passes through encoder and decoder, and through the output matrix, of a kind;
# a backward pass is two. PPO: draw, reference, value, reward; two updates.
PASSES = {
  "train": (3, 3),
  "reward": (3, 0),
  "sample": (1, 1),
  "score": (1, 0),
  "ppo": (10, 5),
}


def flop_count(options, config) -> float:
  """Floating-point operations of one call: 2 per weight and token that passes
  it; attention scores are left out."""
  joined = config.num_heads * config.head_dim
  attention = 4 * config.emb_dim * joined
  mlp = config.emb_dim * config.mlp_dim * (len(config.mlp_activations) + 1)
  encoder = config.num_encoder_layers * (attention + mlp)
  cross_keys = config.num_decoder_layers * attention / 2
  decoder = config.num_decoder_layers * (attention * 1.5 + mlp)
  head = config.emb_dim * config.vocab_size
  prompt_tokens = options.batch * options.inputs
  responses = 1 if options.kind == "train" else options.samples
  tokens = options.batch * responses * options.targets
  stacks, heads = PASSES[options.kind]
  layers = prompt_tokens * (encoder + cross_keys) + tokens * decoder
  return 2 * (stacks * layers + heads * tokens * head)


def _peak_memory() -> int:
  """Bytes: of the device where it counts them, else of the process."""
  import jax

  statistics_of_device = jax.devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in statistics_of_device:
    return statistics_of_device["peak_bytes_in_use"]
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _model(options):
  from xlrm.models import language_model
  from xlrm.models import t5

  training = options.kind in ("train", "reward")
  dropout = options.dropout if training else 0.0
  config = t5.mt5(
    options.size,
    dtype=options.dtype,
    dropout_rate=dropout,
    remat=options.remat,
  )
  return language_model.EncoderDecoder(config)


def memory_of(options: argparse.Namespace):
  """The plan (`memory_plan.Plan`) of one call, and the devices planned for."""
  import jax

  from xlrm.distributed import device_memory
  from xlrm.distributed import meshes
  from xlrm.jobs import reward
  from xlrm.jobs import sft
  from xlrm.launch import bench_ppo
  from xlrm.sampling import batch_shapes
  from xlrm.sampling import sampling_config
  from xlrm.sampling import sampling_memory
  from xlrm.training import optimizers as optimizers_lib
  from xlrm.training import training_memory

  model = _model(options)
  named = options.devices and device_memory.devices(options.devices)
  count = named.count if named else jax.device_count()
  mesh = meshes.MeshConfig(model=options.model_axis).abstract(count)
  meshes.check_batch_size(options.batch, mesh)
  if options.kind == "train":
    plan = training_memory.training_plan(
      training_memory.Planned(
        model, lambda m: (m.abstract(), sft.sft_loss(m, 1e-4))
      ),
      optimizer=optimizers_lib.adafactor(1e-3),
      batch=_random_batch(options, 1, model.config.vocab_size),
      mesh=mesh,
    )
  elif options.kind == "reward":
    scorer = _scorer(options, model)
    plan = training_memory.training_plan(
      training_memory.Planned(
        scorer, lambda m: (m.abstract(), reward.reward_loss(m))
      ),
      optimizer=optimizers_lib.adafactor(1e-3),
      batch=_judged(options, model.config.vocab_size),
      mesh=mesh,
    )
  elif options.kind == "sample":
    plan = sampling_memory.sampling_plan(
      model,
      mesh,
      shape=batch_shapes.choose_batch_shape(
        model,
        batch_size=options.rows or options.batch * options.samples,
        num_prompts=options.batch,
        num_samples=options.samples,
        prompt_length=options.inputs,
        data_shards=mesh.shape["data"],
      ),
      input_length=options.inputs,
      config=sampling_config.SamplingConfig(max_tokens=options.targets),
    )
  elif options.kind == "ppo":
    plan = bench_ppo.plan(options, model, mesh, _random_params)
  else:
    plan = sampling_memory.scoring_plan(
      _scorer(options, model),
      mesh,
      batch_size=options.batch,
      num_responses=options.samples,
    )
  return plan, named


def measure(options: argparse.Namespace) -> dict[str, Any]:
  """Runs one benchmark."""
  import jax

  from xlrm.launch import environment

  model = _model(options)
  config = model.config
  make = {
    "train": _train,
    "reward": _reward,
    "sample": _sample,
    "score": _score,
    "ppo": _ppo,
  }
  call, tokens = make[options.kind](options, model)
  first, seconds = _timed(call, options.steps)
  peak = _peak_memory()
  facts = getattr(call, "facts", {})
  if hasattr(call, "parts"):
    facts |= call.parts(options.steps)
  tokens = facts.pop("tokens", tokens)
  device = jax.devices()[0]
  on_cpu = device.platform == "cpu"
  return {
    "kind": options.kind,
    "size": options.size,
    "dtype": options.dtype,
    "batch": options.batch,
    "inputs": options.inputs,
    "targets": options.targets,
    "samples": 1 if options.kind == "train" else options.samples,
    "tokens_per_second": round(tokens / seconds, 2),
    "seconds_per_call": round(seconds, 5),
    "compile_seconds": round(first - seconds, 2),
    "flops_per_second": round(flop_count(options, config) / seconds),
    "matrix_product_flops_per_second": round(matrix_product_rate()),
    "peak_memory_bytes": int(peak),
    **facts,
    "device": environment.cpu_name() if on_cpu else device.device_kind,
    "num_devices": jax.device_count(),
    "jax": jax.__version__,
  }


def main(options: argparse.Namespace) -> int:
  if options.devices and not options.dry_run:
    raise ValueError("--devices is a question to --dry_run")
  if options.dry_run:
    plan, named = memory_of(options)
    print(plan.text(named))
    return 0
  print(json.dumps(measure(options)))
  return 0
