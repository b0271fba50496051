"""A study elsewhere, or as several processes: `xlrm study --launcher=TARGET`.

It travels as config.gin and, for each kind of cell, one gin file with
everything that its job includes. On SLURM each cell is a job of its own; on the
other targets one job, of all processes, runs the cells one after the other.
"""

import argparse
import os

from xlrm.config import gin_jobs
from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_slurm
from xlrm.launch.studies import study_state
from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import target_choice

HERE = ("local", "slurm")  # this machine sees MODEL_DIR


def travelling(
  loaded: study_plan.Loaded, plan: study_plan.StudyPlan
) -> tuple[str, dict[str, str]]:
  """The study's gin file, and the gin files of its jobs by name.

  A cell is the same cell as before: its job's text is what it was read as.
  """
  files, jobs = {}, {}
  for cell in plan.cells:
    if cell.kind in jobs:
      continue
    *sources, _ = gin_jobs.read(
      [cell.gin_file], cell.bindings, loaded.search_paths
    )
    # A name that `config` takes as its own: only included files may leave
    # bindings that nothing calls, and here they are included.
    name = f"{cell.kind}.{gin_jobs.SAVED}"
    parts = [f"# {os.path.basename(x.name)}\n{x.text}" for x in sources]
    files[name] = "".join(parts)
    jobs[cell.kind] = name
  lines = "".join(f"    {kind!r}: {name!r},\n" for kind, name in jobs.items())
  return f"{loaded.text}\nStudy.jobs = {{\n{lines}}}\n", files


def run(options: argparse.Namespace, loaded: study_plan.Loaded) -> int:
  """Prints what would be written and run, and does it with --go.

  Raises:
    ValueError: a mistake in the study or in an option; nothing is written.
  """
  target = target_choice.module_of(options.launcher)
  target.check(options)
  plan = study_plan.StudyPlan.of(loaded)
  chosen = study_plan.selected(plan, options.only)
  if options.launcher in HERE:
    study_plan.check_needs(plan, chosen)
  study_state.refuse_changed(chosen, plan.states)
  study_plan.check_tasks(plan)
  text, files = travelling(loaded, plan)
  job = launch_plan.job(
    loaded.study.model_dir,
    text,
    options.name,
    options.env,
    files,
    ["study", *(f"--only={x}" for x in options.only or ())],
  )
  if options.launcher == "slurm":
    made = study_slurm.plan(options, job, plan, chosen)
  else:
    made = target.plan(options, job)
  print(plan.text(chosen))
  return target_choice.carry_out(made, target.go, options.go)
