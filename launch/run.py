"""Runs the job of a gin file.

  xlrm run --gin_file=sft.gin --gin.MODEL_DIR=runs/sft_es \\
    --gin.MIXTURE_OR_TASK_NAME=miniworld_summary.es

Gin files are found as paths, in --gin_search_paths, or among those that ship
with xlrm. Bindings on the command line win over the files; what is no value of
gin is text. All that the job runs with, defaults included, is written to
MODEL_DIR/config.gin, and that file alone reruns the job.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from xlrm.launch import process_options

PREFIX = "--gin."


def add_gin_arguments(parser: argparse.ArgumentParser) -> None:
  """What names a job; `parse` takes the bindings out."""
  parser.add_argument(
    "--gin_file", action="append", required=True, help="may be repeated"
  )
  parser.add_argument(
    "--gin_search_paths", default="", help="comma-separated folders"
  )
  parser.add_argument(
    "--gin.NAME",
    dest="unused",
    metavar="VALUE",
    help="a binding: --gin.TRAIN_STEPS=100, --gin.MODEL_DIR=runs/x",
  )


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  add_gin_arguments(parser)
  parser.add_argument(
    "--dry_run",
    action="store_true",
    help="print bindings, shapes, parameters and memory; run no step",
  )
  parser.add_argument(
    "--devices",
    help="with --dry_run: plan for these instead of what is here: v4-32, v5e-8,"
    " v5p-8, H100x8, H200",
  )
  process_options.add_arguments(parser)


def _binding(parser: argparse.ArgumentParser, argument: str) -> str:
  """The gin line of a --gin.NAME=VALUE."""
  from xlrm.config import gin_statements  # imports gin; --help does not

  name, equals, value = argument.removeprefix(PREFIX).partition("=")
  if not name or not equals:
    parser.error(f"{argument}: a binding is {PREFIX}NAME=VALUE")
  try:
    return gin_statements.line(name, value)
  except gin_statements.ConfigError as error:
    parser.error(str(error))


def take_bindings(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[list[str], list[str]]:
  """(gin lines of the --gin.NAME=VALUE, the other arguments).

  A value that is none in gin is text: --gin.MODEL_DIR=runs/x.
  """
  bindings, rest = [], []
  for argument in arguments:
    if argument.startswith(PREFIX):
      bindings.append(_binding(parser, argument))
    else:
      rest.append(argument)
  return bindings, rest


def print_bindings(options: argparse.Namespace) -> None:
  """Says how the --gin.NAME=VALUE were understood."""
  if options.bindings:
    print("gin:", *options.bindings, sep="\n  ")


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Takes the --gin.NAME=VALUE bindings out, in any order."""
  bindings, rest = take_bindings(parser, arguments)
  options = parser.parse_args(rest)
  options.bindings = bindings
  return options


def imitate(devices: str) -> None:
  """Lets this process have as many (CPU) devices as the named ones."""
  import jax

  from xlrm.distributed import device_memory

  count = device_memory.devices(devices).count
  try:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", count)
  except RuntimeError as error:  # JAX has begun: in a notebook
    if jax.device_count() != count:
      raise ValueError(
        f"{devices} needs {count} devices, and JAX already runs with "
        f"{jax.device_count()}: plan in a fresh process"
      ) from error


def carry_out(job: Any, dry_run: bool, devices: str | None = None) -> None:
  """Runs a `gin_jobs.ConfiguredJob`, or prints what it would do."""
  if dry_run:
    print(job.plan(devices).text(), flush=True)
  else:
    job.run()


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.config import gin_jobs

  if options.dry_run:
    print_bindings(options)
  paths = [x for x in options.gin_search_paths.split(",") if x]
  if options.devices:
    if not options.dry_run:
      raise ValueError("--devices is a question to --dry_run")
    imitate(options.devices)
  job = gin_jobs.load(options.gin_file, options.bindings, paths)
  if not options.devices:
    process_options.start(options)
  carry_out(job, options.dry_run, options.devices)
  process_options.finish()
  return 0
