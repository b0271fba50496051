"""Runs the job of a gin file elsewhere, or as several processes.

  xlrm launch tpu --accelerator_type=v4-32 --project=my-project \\
    --zone=us-central2-b --wheel=dist/xlrm-0.1.0-py3-none-any.whl \\
    --gin_file=reward.gin --gin.MODEL_DIR=gs://my-bucket/rm_en ...

It prints the files and commands, and writes and runs them only with --go.
launch/README.md leads from nothing to the first loss, target by target.
"""

import argparse
from collections.abc import Sequence

from xlrm.launch import run
from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import target_choice


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  targets = parser.add_subparsers(dest="target", metavar="TARGET")
  for name, (title, _) in target_choice.TARGETS.items():
    module = target_choice.module_of(name)
    target = targets.add_parser(
      name,
      help=title,
      description=module.__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_gin_arguments(target)
    target_choice.add_target_arguments(target, name)


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  first = arguments[0] if arguments else ""
  if first not in (*target_choice.TARGETS, "-h", "--help"):
    parser.error(
      f"the first word is the target, {' or '.join(target_choice.TARGETS)}, "
      f"not {first!r}{target_choice.nearest(first)}"
    )
  return run.parse(parser, arguments)


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.config import gin_jobs

  target = target_choice.module_of(options.target)
  target.check(options)
  run.print_bindings(options)
  paths = [x for x in options.gin_search_paths.split(",") if x]
  loaded = gin_jobs.load(options.gin_file, options.bindings, paths)
  job = launch_plan.job(
    loaded.model_dir(), loaded.text(), options.name, options.env
  )
  return target_choice.carry_out(
    target.plan(options, job), target.go, options.go
  )
