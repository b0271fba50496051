"""Targets of `xlrm launch`: which there are, their options, and doing it."""

import argparse
from collections.abc import Callable
import difflib
import importlib
import types

from xlrm.launch.targets import launch_plan

TARGETS = {
  "local": ("processes on this machine", "xlrm.launch.targets.launch_local"),
  "tpu": ("a Cloud TPU slice, queued", "xlrm.launch.targets.launch_tpu"),
  "slurm": ("nodes of a SLURM cluster", "xlrm.launch.targets.launch_slurm"),
  "kubernetes": ("a JobSet", "xlrm.launch.targets.launch_kubernetes"),
}


def module_of(target: str) -> types.ModuleType:
  """The module of a target."""
  return importlib.import_module(TARGETS[target][1])


def add_target_arguments(parser: argparse.ArgumentParser, target: str) -> None:
  """Adds the options of all targets, and those of one."""
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
  """The hint '; did you mean 'tpu'?', if something is near."""
  near = difflib.get_close_matches(target, TARGETS, 1, 0.3)
  return f"; did you mean {near[0]!r}?" if near else ""


def carry_out(
  plan: launch_plan.LaunchPlan,
  go: Callable[[launch_plan.LaunchPlan], int],
  really: bool,
) -> int:
  """Prints a plan, and does it if that is really meant."""
  print(plan.text(), flush=True)
  if not really:
    print("Nothing was written or run: --go does it.")
    return 0
  plan.write()
  return go(plan)
