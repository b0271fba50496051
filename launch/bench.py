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
from collections.abc import Sequence
import dataclasses
import json

KINDS = ("train", "reward", "sample", "score", "ppo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
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
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def _benchmark(options: argparse.Namespace):
  from xlrm.jobs import benchmark
  from xlrm.jobs import benchmark_config

  names = [x.name for x in dataclasses.fields(benchmark_config.BenchmarkConfig)]
  config = benchmark_config.BenchmarkConfig(
    **{name: getattr(options, name) for name in names}
  )
  return benchmark.Benchmark(
    kind=options.kind, config=config, steps=options.steps
  )


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  if options.devices and not options.dry_run:
    raise ValueError("--devices is a question to --dry_run")
  benchmark = _benchmark(options)
  if options.dry_run:
    print(benchmark.plan(options.devices).text())
  else:
    print(json.dumps(benchmark.run()))
  return 0
