"""The cells of a study as SLURM jobs that wait for each other.

Two sbatch files, for cells that run as several processes and for those that run
as one, and a script that submits the cells with their dependencies.
"""

import argparse
from collections.abc import Sequence
import shlex

from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_state
from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import launch_slurm
from xlrm.studies import study as study_lib
from xlrm.studies import study_cell

SUBMIT, SEVERAL, ONE = "submit.sh", "several.sbatch", "one.sbatch"
# A file system of several machines may show late what another one wrote, or
# that the lock of one that is gone is free (NFS: 90 seconds).
WAIT_SECONDS = 120


def _sbatch(
  options: argparse.Namespace, job: launch_plan.LaunchJob, name: str
) -> str:
  """The file that runs a cell, whose name is its argument."""
  own = launch_slurm.layout(options)
  if name == ONE:
    own[:2] = ["--nodes=1", "--ntasks-per-node=1"]
  path = launch_slurm.folder_of(job) / launch_plan.CONFIG
  gin_file = shlex.quote(f"--gin_file={path}")
  command = f'study {gin_file} --wait_seconds={WAIT_SECONDS} --only="$1"'
  comment = (
    f"`xlrm study --launcher=slurm`; {SUBMIT} does `sbatch {name} CELL`."
  )
  return launch_slurm.script(options, job, comment, own, command)


def plan(
  options: argparse.Namespace,
  job: launch_plan.LaunchJob,
  study: study_plan.StudyPlan,
  chosen: Sequence[study_cell.StudyCell],
) -> launch_plan.LaunchPlan:
  """The plan of the scripts and their submission; empty if all is complete.

  Raises:
    ValueError: an option that sbatch could not read, or MODEL_DIR a bucket.
  """
  folder = launch_slurm.folder_of(job)
  names, lines, used = set(), [], set()
  for cell in chosen:
    needs = [x for x in cell.needs if x in names]
    wants = [f"?{x}" for x in cell.wants if x in names]
    if study.states[cell.name] is study_state.CellState.EXISTS and not wants:
      continue
    script = ONE if cell.kind in study_lib.ONE_PROCESS else SEVERAL
    lines.append(shlex.join(["submit", script, cell.name, *needs, *wants]))
    names.add(cell.name)
    used.add(script)
  if not lines:
    return launch_plan.LaunchPlan(folder, {}, (), ("All cells are complete.",))
  head = [
    "#!/bin/bash",
    "# Written by `xlrm study --launcher=slurm`.",
    f"STUDY={job.name}",
    f"LOGS={shlex.quote(launch_slurm.log(folder, ''))}",
    launch_plan.asset("slurm_study.sh"),
  ]
  submit = "\n".join([*head, *lines, "finish", ""])
  return launch_plan.LaunchPlan(
    folder,
    {
      **job.gin_files,
      **{name: _sbatch(options, job, name) for name in sorted(used)},
      SUBMIT: submit,
    },
    (launch_plan.Command(("bash", str(folder / SUBMIT))),),
    (*launch_slurm.notes(folder, options.nodes),),
  )
