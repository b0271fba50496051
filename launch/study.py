"""Runs what is missing of a study, cell by cell.

  xlrm study --gin_file=demo_study.gin --dry_run
  xlrm study --gin_file=demo_study.gin --gin.MODEL_DIR=runs/study

A study names languages, tasks, methods, judges, seeds and swept values; a cell
of it is one gin job. A complete cell is not run again, so the same line
continues a study that was killed, or that got more languages or seeds. A cell
that fails stops those that need it, and no others.

  xlrm study --launcher=slurm --gpus_per_node=8 --gin_file=demo_study.gin --go

submits the cells as jobs of a cluster; docs/studies.md tells more.
"""

import argparse
from collections.abc import Sequence

from xlrm.launch import process_options
from xlrm.launch import run
from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import target_choice
from xlrm.storage import files


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
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
    help='a binding: --gin.Study.seeds="(0, 1)"',
  )
  parser.add_argument(
    "--dry_run",
    action="store_true",
    help="list cells, what exists and what the rest costs; write nothing",
  )
  parser.add_argument(
    "--only",
    action="append",
    metavar="NAME",
    help="these cells, named as --dry_run does, or a pattern: 'rm_*'; several "
    "processes may run different ones at once",
  )
  parser.add_argument(
    "--wait_seconds",
    type=float,
    default=0,
    help="how long another process may still run these cells, or cells that "
    "they need may be missing; default 0",
  )
  parser.add_argument(
    "--launcher",
    metavar="TARGET",
    help=f"{', '.join(target_choice.TARGETS)}; --help shows its options",
  )
  process_options.add_arguments(parser)


def _named(arguments: Sequence[str]) -> str | None:
  finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
  finder.add_argument("--launcher")
  return finder.parse_known_args(arguments)[0].launcher


def _targets_with(option: str) -> list[str]:
  """Those that know an option."""
  found = []
  for target in target_choice.TARGETS:
    parser = argparse.ArgumentParser(
      add_help=False, allow_abbrev=False, exit_on_error=False
    )
    target_choice.add_target_arguments(parser, target)
    try:
      _, unknown = parser.parse_known_args([option])
    except argparse.ArgumentError:  # it has the option, and no such value
      unknown = []
    if not unknown:
      found.append(target)
  return found


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """With the options of the target that is named; of others none is known."""
  bindings, arguments = run.take_bindings(parser, arguments)
  target = _named(arguments)
  if target is not None:
    if target not in target_choice.TARGETS:
      parser.error(
        f"--launcher={target!r} is none of {', '.join(target_choice.TARGETS)}"
        f"{target_choice.nearest(target)}"
      )
    group = parser.add_argument_group(f"--launcher={target}")
    target_choice.add_target_arguments(group, target)
  options, unknown = parser.parse_known_args(arguments)
  for option in unknown:
    others = _targets_with(option) if option.startswith("--") else []
    if others:
      flags = " or ".join(f"--launcher={x}" for x in others)
      here = "no --launcher is given" if target is None else f"not of {target}"
      parser.error(f"{option} is an option of {flags}, {here}")
  if unknown:
    parser.error(f"unrecognized arguments: {' '.join(unknown)}")
  options.bindings = bindings
  return options


def search_paths(options: argparse.Namespace) -> list[str]:
  """Jobs may lie beside the study that names them, or where --launcher puts
  them."""
  found = [x for x in options.gin_search_paths.split(",") if x]
  for gin_file in options.gin_file:
    beside = files.local(gin_file).parent
    folders = (beside, beside / launch_plan.FOLDER)
    found += [str(x) for x in folders if x.is_dir() and str(x) != "."]
  return list(dict.fromkeys(found))


def _refuse_others(options: argparse.Namespace) -> None:
  given = [x for x in process_options.NAMES if getattr(options, x) is not None]
  if given:
    raise ValueError(
      f"--{given[0]} is for a process that runs the study here; the processes "
      f"of --launcher={options.launcher} are told by it"
    )


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.launch.studies import study_launch
  from xlrm.launch.studies import study_plan
  from xlrm.launch.studies import study_runner

  loaded = study_plan.Loaded.of(
    options.gin_file, options.bindings, search_paths(options)
  )
  if options.dry_run or options.launcher is not None:
    run.print_bindings(options)
  if options.dry_run:
    plan = study_plan.StudyPlan.of(loaded)
    print(plan.text(study_plan.selected(plan, options.only)))
    study_plan.check_tasks(plan)
    return 0
  if options.launcher is not None:
    _refuse_others(options)
    return study_launch.run(options, loaded)
  process_options.start(options)
  code = study_runner.run(loaded, options.only, options.wait_seconds)
  process_options.finish()
  return code
