"""One sbatch file for nodes that share a file system.

  xlrm launch slurm --nodes=2 --gpus_per_node=8 --time=24:00:00 \\
    --sbatch=--partition=gpu --gin_file=... --go

One process per GPU, or one per node without GPUs; JAX finds the others by
SLURM's own variables. A job that is preempted or near its time limit saves, is
queued again, and continues.
"""

import argparse
from collections.abc import Sequence
import os
import pathlib
import shlex
import sys

from xlrm.launch.targets import launch_plan
from xlrm.storage import files

SCRIPT = "job.sbatch"
NETWORKED = (
  "nfs",
  "lustre",
  "gpfs",
  "beegfs",
  "ceph",
  "wekafs",
  "panfs",
  "afs",
  "fuse",
  "9p",
  "orangefs",
  "glusterfs",
  "cifs",
  "smb",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the options of this target."""
  parser.add_argument("--nodes", type=int, default=1, help="default 1")
  parser.add_argument(
    "--gpus_per_node", type=int, default=0, help="default 0: CPUs only"
  )
  parser.add_argument("--time", help="limit: minutes, 24:00:00, 2-00:00:00")
  parser.add_argument(
    "--sbatch",
    action="append",
    default=[],
    metavar="OPTION",
    help="a further option of sbatch, may be repeated:"
    " --sbatch=--account=nlp --sbatch=--cpus-per-task=8",
  )
  parser.add_argument(
    "--python",
    default=sys.executable,
    help="that has xlrm on the nodes; default: this one",
  )


def _quoted(option: str) -> str:
  """An option as an #SBATCH line reads it."""
  if any(x in option for x in " \t#'\"\\"):
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
  return option


def _mount_type(path: pathlib.Path) -> tuple[str, str]:
  """(mount point, type of file system) that a path lies on, here."""
  found = ("/", "unknown")
  try:
    mounts = files.read_text("/proc/mounts")
  except OSError:
    return found
  for line in mounts.splitlines():
    _, point, kind, *_ = line.split(" ")
    if path.is_relative_to(point) and len(point) >= len(found[0]):
      found = (point, kind)
  return found


def notes(folder: pathlib.Path, nodes: int) -> list[str]:
  """The warning, if there is one, that the nodes may not see the folder."""
  point, kind = _mount_type(folder)
  if nodes > 1 and not kind.startswith(NETWORKED):
    return [
      f"WARNING: {folder} is on {point} ({kind}), which looks local to this "
      "machine; MODEL_DIR must be a folder that all nodes share."
    ]
  return []


def check(options: argparse.Namespace) -> None:
  """Raises ValueError for an option that is missing or impossible."""
  launch_plan.at_least("--nodes", options.nodes, 1)
  launch_plan.at_least("--gpus_per_node", options.gpus_per_node, 0)
  if options.time is not None:
    launch_plan.checked(
      "--time",
      options.time,
      r"(\d+-)?\d+(:\d{2}){0,2}",
      "minutes, hours:minutes:seconds or days-hours:minutes:seconds: 24:00:00",
    )
  for option in options.sbatch:
    launch_plan.checked(
      "--sbatch",
      option,
      r"--[a-z][-a-z]*(=[^\x00-\x1f\x7f]*)?",
      "--option=value in one line: --sbatch=--partition=gpu",
    )
  if not os.access(options.python, os.X_OK):
    raise ValueError(
      f"--python={options.python} is no program here; name the interpreter "
      "that has xlrm, in a folder that the nodes share"
    )


def layout(options: argparse.Namespace) -> list[str]:
  """The options of sbatch: one process per GPU, or per node without GPUs."""
  tasks = options.gpus_per_node or 1
  return [
    f"--nodes={options.nodes}",
    f"--ntasks-per-node={tasks}",
    *([f"--gpus-per-node={tasks}"] if options.gpus_per_node else []),
  ]


def script(
  options: argparse.Namespace,
  job: launch_plan.LaunchJob,
  comment: str,
  own: Sequence[str],
  command: str,
) -> str:
  """The text of an sbatch file.

  Args:
    own: options of sbatch that come before those of every job.
    command: the words after `xlrm`, as bash reads them.
  """
  lines = [
    *own,
    *([f"--time={options.time}"] if options.time else []),
    f"--chdir={pathlib.Path.cwd()}",
    "--open-mode=append",
    "--requeue",
    "--signal=B:USR1@180",
    *options.sbatch,
  ]
  return "\n".join(
    [
      "#!/bin/bash",
      f"# Written by {comment}",
      *(f"#SBATCH {_quoted(line)}" for line in lines),
      *(f"export {k}={shlex.quote(v)}" for k, v in job.environment.items()),
      f"PYTHON={shlex.quote(options.python)}",
      f"COMMAND=({command})",
      launch_plan.asset("slurm.sh"),
    ]
  )


def folder_of(job: launch_plan.LaunchJob) -> pathlib.Path:
  """The folder for a job's files, absolute.

  Raises:
    ValueError: MODEL_DIR is a bucket.
  """
  if job.bucket is not None:
    raise ValueError(
      f"MODEL_DIR {job.model_dir} is a bucket; SLURM's nodes keep a job in a "
      "folder that they share: --gin.MODEL_DIR=/shared/me/rm_en"
    )
  return job.folder().absolute()


def log(folder: pathlib.Path, name: str) -> str:
  """A path as --output of sbatch reads it: '%' begins a pattern."""
  return f"{folder}/".replace("%", "%%") + name


def plan(
  options: argparse.Namespace, job: launch_plan.LaunchJob
) -> launch_plan.LaunchPlan:
  """The plan of the sbatch file and its submission.

  Raises:
    ValueError: an option that sbatch could not read, or MODEL_DIR a bucket.
  """
  folder = folder_of(job)
  own = [
    f"--job-name={job.name}",
    f"--output={log(folder, 'slurm-%j.log')}",
    *layout(options),
  ]
  comment = f"`xlrm launch slurm`; submit it with `sbatch {SCRIPT}`."
  text = script(options, job, comment, own, shlex.join(job.run(folder)))
  return launch_plan.LaunchPlan(
    folder,
    {**job.gin_files, SCRIPT: text},
    (launch_plan.Command(("sbatch", str(folder / SCRIPT))),),
    (
      *notes(folder, options.nodes),
      f"Then: tail -F {shlex.quote(str(folder))}/slurm-*.log, squeue --me, "
      f"scancel --name={job.name}",
    ),
  )


go = launch_plan.run
