"""Runs the job of a gin file elsewhere, or as several processes.

  xlrm launch tpu --accelerator_type=v4-32 --project=my-project \\
    --zone=us-central2-b --wheel=dist/xlrm-0.1.0-py3-none-any.whl \\
    --gin_file=reward.gin --gin.MODEL_DIR="'gs://my-bucket/rm_en'" ...

It prints the files and commands, and writes and runs them only with --go.
launch/README.md leads from nothing to the first loss, target by target.
"""

import argparse
from collections.abc import Callable, Sequence
import difflib
import importlib
import types

from xlrm.launch import launch_plan
from xlrm.launch import run

TARGETS = {
  "local": ("processes on this machine", "xlrm.launch.launch_local"),
  "tpu": ("a Cloud TPU slice, queued", "xlrm.launch.launch_tpu"),
  "slurm": ("nodes of a SLURM cluster", "xlrm.launch.launch_slurm"),
  "kubernetes": ("a JobSet", "xlrm.launch.launch_kubernetes"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  targets = parser.add_subparsers(dest="target", metavar="TARGET")
  for name, (title, _) in TARGETS.items():
    module = module_of(name)
    target = targets.add_parser(
      name,
      help=title,
      description=module.__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_gin_arguments(target)
    add_target_arguments(target, name)


def module_of(target: str) -> types.ModuleType:
  return importlib.import_module(TARGETS[target][1])


def add_target_arguments(parser: argparse.ArgumentParser, target: str) -> None:
  """Options of all targets, and those of one."""
  parser.add_argument("--name", help="of the job; default: from MODEL_DIR")
  parser.add_argument("--go", action="store_true", help="do it")
  parser.add_argument(
    "--env",
    action="append",
    default=[],
    metavar="NAME=VALUE",
    help="a variable of the job's processes; may be repeated",
  )
  module_of(target).add_arguments(parser)


def nearest(target: str) -> str:
  """'; did you mean 'tpu'?', if something is near."""
  near = difflib.get_close_matches(target, TARGETS, 1, 0.3)
  return f"; did you mean {near[0]!r}?" if near else ""


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  first = arguments[0] if arguments else ""
  if first not in (*TARGETS, "-h", "--help"):
    parser.error(
      f"the first word is the target, {' or '.join(TARGETS)}, "
      f"not {first!r}{nearest(first)}"
    )
  return run.parse(parser, arguments)


def carry_out(
  plan: launch_plan.Plan, go: Callable[[launch_plan.Plan], int], really: bool
) -> int:
  """Prints a plan, and does it if that is really meant."""
  print(plan.text(), flush=True)
  if not really:
    print("Nothing was written or run: --go does it.")
    return 0
  plan.write()
  return go(plan)


def main(options: argparse.Namespace) -> int:
  from xlrm import config

  target = module_of(options.target)
  target.check(options)
  paths = [x for x in options.gin_search_paths.split(",") if x]
  loaded = config.load(options.gin_file, options.bindings, paths)
  job = launch_plan.job(
    loaded.model_dir(), loaded.text(), options.name, options.env
  )
  return carry_out(target.plan(options, job), target.go, options.go)
