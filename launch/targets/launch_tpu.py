"""A Cloud TPU slice, asked for as a queued resource.

  xlrm launch tpu --accelerator_type=v4-32 --spot --project=my-project \\
    --zone=us-central2-b --wheel=dist/xlrm-0.1.0-py3-none-any.whl \\
    --gin_file=... --gin.MODEL_DIR=gs://my-bucket/rm_en --go

Two bash scripts: tpu.sh runs here and calls gcloud, worker.sh runs on every
worker. JAX finds the other workers by the metadata of the TPU.
"""

import argparse
import pathlib
import re
import shlex

from xlrm.launch.targets import launch_plan
from xlrm.storage import files

SCRIPT, WORKER = "tpu.sh", "worker.sh"
# By the kind in an accelerator type: what one more worker adds to its number
# (cores, of v5litepod and v6e chips), and the runtime without a framework.
KINDS = {
  "v4": (8, "tpu-ubuntu2204-base"),
  "v5litepod": (4, "v2-alpha-tpuv5-lite"),
  "v5p": (8, "v2-alpha-tpuv5"),
  "v6e": (4, "v2-alpha-tpuv6e"),
}
ONE_WORKER = ("1", "4", "8")  # v5litepod and v6e within one machine


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the options of this target."""
  add = parser.add_argument
  add("--accelerator_type", help="v4-32, v5litepod-16, v5p-8, v6e-8")
  add("--project", help="of Google Cloud")
  add("--zone", help="us-central2-b; one that has this type")
  add(
    "--wheel",
    action="append",
    default=[],
    help="xlrm's; may be repeated for packages of your own, such as tasks",
  )
  add("--extras", default="data,tpu", help="of xlrm; default data,tpu")
  add("--spot", action="store_true", help="cheaper, may be preempted")
  add("--slices", type=int, default=1, help="default 1")
  add("--runtime_version", help="default: the one of the accelerator type")
  add(
    "--create",
    action="append",
    default=[],
    metavar="OPTION",
    help="a further option of `gcloud compute tpus queued-resources create`,"
    " may be repeated: --create=--reserved",
  )


def kind(accelerator_type: str) -> str:
  """The kind of an accelerator type: v4 of v4-32.

  Raises:
    ValueError: not an accelerator type; says which are near.
  """
  match = re.fullmatch(r"([a-z0-9]+)-(\d+)", accelerator_type)
  name, number = match.groups() if match else (accelerator_type, "8")
  name = {"v5e": "v5litepod", "v5lite": "v5litepod"}.get(name, name)
  if name not in KINDS:
    raise ValueError(
      f"--accelerator_type={accelerator_type!r} is none of "
      f"{', '.join(f'{x}-NUMBER' for x in KINDS)}: v4-32, v5litepod-16"
    )
  unit, _ = KINDS[name]
  small = unit == 4 and number in ONE_WORKER
  if not match or name != match[1] or not (small or _fits(int(number), unit)):
    near = max(unit, round(int(number) / unit) * unit)
    raise ValueError(
      f"--accelerator_type={accelerator_type!r} does not exist; nearest: "
      f"{name}-{number if small else near}"
    )
  return name


def _fits(number: int, unit: int) -> bool:
  return number >= unit and number % unit == 0


def _require(options: argparse.Namespace) -> None:
  needed = ("accelerator_type", "project", "zone", "wheel")
  missing = [f"--{x}=..." for x in needed if not getattr(options, x)]
  if missing:
    raise ValueError(
      f"still to be said: {' '.join(missing)}. `gcloud config list` shows your "
      "project and zone; `python -m pip wheel --no-deps -w dist .` in a "
      "checkout makes dist/xlrm-*.whl"
    )


def _is_ours(wheel: pathlib.Path) -> bool:
  return wheel.name.startswith("xlrm-")


def _wheels(paths: list[str]) -> list[pathlib.Path]:
  for path in paths:
    if not path.endswith(".whl") or not files.local(path).is_file():
      folder = files.local(path).parent
      there = sorted(str(x) for x in folder.glob("*.whl"))
      raise ValueError(
        f"--wheel={path!r} is not a wheel here; {folder} has "
        f"{', '.join(there) or 'none'}. In a checkout `python -m pip wheel "
        "--no-deps -w dist .` makes dist/xlrm-*.whl"
      )
    launch_plan.checked(
      "--wheel",
      files.local(path).name,
      r"[\w.+-]+\.whl",
      "NAME-VERSION-TAGS.whl",
    )
  wheels = [files.local(path).absolute() for path in paths]
  if not any(map(_is_ours, wheels)):
    raise ValueError(
      f"--wheel={paths[0]!r}: none of the wheels is xlrm's, xlrm-*.whl"
    )
  return wheels


def check(options: argparse.Namespace) -> None:
  """Raises ValueError for an option that is missing or impossible."""
  _require(options)
  kind(options.accelerator_type)
  _wheels(options.wheel)
  form = launch_plan.checked
  form("--project", options.project, r"[a-z][-a-z0-9:.]+", "my-project-123")
  form("--zone", options.zone, r"[a-z]+-[a-z]+\d+-[a-z]", "us-central2-b")
  form("--extras", options.extras, r"\w+(,\w+)*", "data,tpu")
  launch_plan.at_least("--slices", options.slices, 1)
  if options.runtime_version is not None:
    version = options.runtime_version
    form("--runtime_version", version, r"[\w.-]+", "tpu-ubuntu2204-base")
  for option in options.create:
    form(
      "--create",
      option,
      r"--[a-z][-a-z]*(=[^\x00-\x1f\x7f]*)?",
      "--option=value in one line: --create=--reserved",
    )


def _assigned(name: str, value: str | list[str]) -> str:
  """`name=value` in bash."""
  if isinstance(value, str):
    return f"{name}={shlex.quote(value)}"
  return f"{name}=({shlex.join(value)})"


def _script(title: str, asset: str, values: dict[str, str | list[str]]) -> str:
  lines = [_assigned(name, value) for name, value in values.items()]
  head = ["#!/bin/bash", f"# Written by `xlrm launch tpu`: {title}"]
  return "\n".join([*head, *lines, launch_plan.asset(asset)])


def _creation(options: argparse.Namespace, name: str, runtime: str):
  """Options of `queued-resources create`."""
  many = [f"--node-count={options.slices}", f"--node-prefix={name}"]
  return [
    *(many if options.slices > 1 else [f"--node-id={name}"]),
    f"--accelerator-type={options.accelerator_type}",
    f"--runtime-version={options.runtime_version or runtime}",
    *(["--spot"] if options.spot else []),
    *options.create,
  ]


def _files(
  options: argparse.Namespace,
  job: launch_plan.LaunchJob,
  wheels: list[pathlib.Path],
) -> dict[str, str]:
  """The gin files and the two scripts, by name."""
  _, runtime = KINDS[kind(options.accelerator_type)]
  extras = {x: f"[{options.extras}]" for x in wheels if _is_ours(x)}
  variables = {"PYTHONUNBUFFERED": "1", **job.environment}
  here = {
    "NAME": job.name,
    "PROJECT": options.project,
    "ZONE": options.zone,
    "MODEL_DIR": job.model_dir.rstrip("/"),
    "WHEELS": [str(x) for x in wheels],
    "GIN_FILES": list(job.gin_files),
    "CREATE": _creation(options, job.name, runtime),
  }
  there = {
    "BUCKET": job.bucket,
    "MODEL_DIR": job.mounted_dir(),
    "PACKAGES": [f"./{x.name}{extras.get(x, '')}" for x in wheels],
    "COMMAND": job.run(),
    "ENVIRONMENT": [
      f"{name}={job.mounted(value)}" for name, value in variables.items()
    ],
  }
  return {
    **job.gin_files,
    SCRIPT: _script("runs on your machine", SCRIPT, here),
    WORKER: _script("runs on every worker", WORKER, there),
  }


def plan(
  options: argparse.Namespace, job: launch_plan.LaunchJob
) -> launch_plan.LaunchPlan:
  """The plan of the two scripts, the gin file, and `bash tpu.sh`.

  Raises:
    ValueError: something is missing or is not what gcloud takes, MODEL_DIR is
      no bucket, or a wheel is not there.
  """
  if job.bucket is None:
    raise ValueError(
      f"MODEL_DIR {job.model_dir!r} would be lost with the TPU, each worker "
      "having its own; it must be gs://BUCKET/FOLDER: "
      "--gin.MODEL_DIR=gs://my-bucket/rm_en"
    )
  files = _files(options, job, _wheels(options.wheel))
  folder = launch_plan.folder_here(job)
  script = str(folder / SCRIPT)
  return launch_plan.LaunchPlan(
    folder,
    files,
    (launch_plan.Command(("bash", script)),),
    (f"Then: bash {shlex.quote(script)} logs, stop, delete or state",),
  )


go = launch_plan.run
