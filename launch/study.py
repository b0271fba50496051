"""Runs what is missing of a study, cell by cell.

  xlrm study --gin_file=demo_study.gin --dry_run
  xlrm study --gin_file=demo_study.gin --gin.MODEL_DIR="'runs/study'"

A study names languages, tasks, methods, judges, seeds and swept values; a cell
of it is one gin job. A complete cell is not run again, so the same line
continues a study that was killed, or that got more languages or seeds. A cell
that fails stops those that need it, and no others.
"""

import argparse
import pathlib

from xlrm.launch import run

parse = run.parse


def add_arguments(parser: argparse.ArgumentParser) -> None:
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


def main(options: argparse.Namespace) -> int:
  from xlrm.launch import study_plan
  from xlrm.launch import study_runner

  given = [x for x in options.gin_search_paths.split(",") if x]
  # Jobs may lie beside the study that names them.
  beside = {str(pathlib.Path(x).parent): None for x in options.gin_file}
  search = [*given, *(x for x in beside if x != ".")]
  loaded = study_plan.Loaded.of(options.gin_file, options.bindings, search)
  if not options.dry_run:
    return study_runner.run(loaded, options.only)
  plan = study_plan.Plan.of(loaded)
  print(plan.text(study_plan.selected(plan, options.only)))
  study_plan.check_tasks(plan)
  return 0
