"""What `xlrm launch` would do: files, commands, and doing it.

A job travels as one gin file with its whole configuration, a study with one
more for each kind of its cells, so that no value of the user's passes through a
shell. gs:// folders of the bucket of MODEL_DIR are read and written as files of
that bucket, mounted below /gcs on every worker.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
import re
import shlex
import subprocess

from xlrm.storage import files as files_lib
from xlrm.storage import package_data

CONFIG = "config.gin"
FOLDER = "launch"  # in MODEL_DIR
LOCAL = "xlrm_launch"  # see `folder_here`
MOUNT = "/gcs"
NAME = r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"


@dataclasses.dataclass(frozen=True)
class LaunchJob:
  """A job that is launched.

  Attributes:
    name: of the queued resource, the SLURM job, the JobSet.
    model_dir: as the user wrote it.
    gin: the text of its gin file.
    environment: further variables of its processes.
    files: further gin files, which lie beside it.
    command: what of xlrm runs the gin file, and options.
  """

  name: str
  model_dir: str
  gin: str
  environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
  files: Mapping[str, str] = dataclasses.field(default_factory=dict)
  command: Sequence[str] = ("run",)

  def run(self, folder: str | pathlib.PurePath | None = None) -> list[str]:
    """The words after `xlrm`, with the gin file in a folder, or here."""
    path = CONFIG if folder is None else f"{folder}/{CONFIG}"
    return [*self.command, f"--gin_file={path}"]

  @property
  def gin_files(self) -> dict[str, str]:
    """The gin files by name, with paths in MODEL_DIR's bucket as mounted."""
    every = {CONFIG: self.gin, **self.files}
    return {name: self.mounted(text) for name, text in every.items()}

  @property
  def bucket(self) -> str | None:
    """The BUCKET of gs://BUCKET/folder; None for a folder."""
    match = re.match(r"gs://([^/]+)", self.model_dir)
    return match[1] if match else None

  def folder(self) -> pathlib.Path:
    """The folder MODEL_DIR/launch."""
    return files_lib.local(self.model_dir) / FOLDER

  def mounted_dir(self) -> str:
    """MODEL_DIR as the workers see it."""
    path = self.model_dir.rstrip("/")
    return path.replace("gs://", f"{MOUNT}/", 1) if self.bucket else path

  def mounted(self, text: str) -> str:
    """A text with paths in the bucket of MODEL_DIR as mounted files."""
    if self.bucket is None:
      return text
    lines = f"{text}\n"
    for end in ("/", "'", '"', "\n"):  # gs://bucket2 is another
      old, new = f"gs://{self.bucket}{end}", f"{MOUNT}/{self.bucket}{end}"
      lines = lines.replace(old, new)
    return lines.removesuffix("\n")


def job(
  model_dir: str | None,
  gin: str,
  name: str | None = None,
  environment: Sequence[str] = (),
  files: Mapping[str, str] | None = None,
  command: Sequence[str] = ("run",),
) -> LaunchJob:
  """A job with a name, by default the last part of its MODEL_DIR.

  Args:
    environment: NAME=VALUE.

  Raises:
    ValueError: it has no MODEL_DIR, or one that no script can name.
  """
  if not model_dir:
    raise ValueError(
      "this job has no MODEL_DIR, so nothing to keep on a machine that may "
      "be taken away: --gin.MODEL_DIR=runs/my_job"
    )
  if not isinstance(model_dir, str) or re.search(r"[\x00-\x1f\x7f]", model_dir):
    raise ValueError(f"MODEL_DIR {model_dir!r} must be one line of text")
  if re.match(r"gs:/*$", model_dir) or re.match(r"(?!gs://)\w+://", model_dir):
    raise ValueError(
      f"MODEL_DIR {model_dir!r} is neither a folder nor gs://BUCKET/FOLDER"
    )
  form = "NAME=VALUE in one line: --env=XLRM_REAL_DATA=gs://my-bucket/data"
  for one in environment:
    checked("--env", one, r"[A-Za-z_]\w*=[^\x00-\x1f\x7f]*", form)
  said = dict(one.split("=", 1) for one in environment)
  if name is None:
    last = model_dir.rstrip("/").rsplit("/", 1)[-1].lower()
    name = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:40].rstrip("-")
    name = name if re.match("[a-z]", name) else f"xlrm-{name}".rstrip("-")[:40]
  name = checked("--name", name, NAME)
  return LaunchJob(name, model_dir, gin, said, files or {}, command)


def checked(option: str, value: str, pattern: str, example: str = "") -> str:
  """The value, if it is what its place in a script or manifest can hold.

  Raises:
    ValueError: names the option and an example.
  """
  if re.fullmatch(pattern, value):
    return value
  hint = example or "lower-case letters, digits and '-', 40 at most: rm-en"
  raise ValueError(f"{option}={value!r} is not of the form {hint}")


def at_least(option: str, value: int, minimum: int) -> None:
  """Raises ValueError if the value of an option is below its minimum."""
  if value < minimum:
    raise ValueError(f"{option}={value} must be at least {minimum}")


@dataclasses.dataclass(frozen=True)
class Command:
  """A command of a plan; `environment` is added to the present one."""

  arguments: tuple[str, ...]
  environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def text(self) -> str:
    """The command as a shell reads it."""
    words = [f"{k}={shlex.quote(v)}" for k, v in self.environment.items()]
    return " ".join([*words, shlex.join(self.arguments)])


@dataclasses.dataclass(frozen=True)
class LaunchPlan:
  """A plan: everything that --go would do.

  Attributes:
    folder: where the files go, on this machine.
    files: text by name.
    commands: run in their order.
    notes: warnings, and what can be done afterwards; one line each.
  """

  folder: pathlib.Path
  files: Mapping[str, str]
  commands: tuple[Command, ...]
  notes: tuple[str, ...] = ()

  def text(self) -> str:
    """The files, commands and notes, as they are shown."""
    parts = [
      f"---- {self.folder / name}\n{text.rstrip()}\n"
      for name, text in self.files.items()
    ]
    lines = [f"  {command.text()}" for command in self.commands]
    parts.append("\n".join(["---- commands", *lines]) + "\n")
    return "\n".join([*parts, *self.notes])

  def write(self) -> None:
    """Writes the files.

    Raises:
      OSError: the folder cannot be written; names it.
    """
    for name, text in self.files.items():
      files_lib.write_text(self.folder / name, text)


def folder_here(launched: LaunchJob) -> pathlib.Path:
  """The folder for a job whose MODEL_DIR this machine may not see."""
  return pathlib.Path(LOCAL) / launched.name


def asset(name: str) -> str:
  """The text of the unchanging part of a script."""
  path = package_data.asset("launch", name)
  return files_lib.read_text(path)


def run(plan: LaunchPlan) -> int:
  """Runs the commands one after another; the first failure ends it.

  Raises:
    ValueError: a program is not on this machine.
  """
  for command in plan.commands:
    program = command.arguments[0]
    try:
      done = subprocess.run(command.arguments)
    except FileNotFoundError as error:
      raise ValueError(
        f"{program} is not on this machine; the files are in {plan.folder}: "
        f"where it is, run {command.text()}"
      ) from error
    if done.returncode:
      print(f"{program} ended with {done.returncode}: {command.text()}")
      return done.returncode
  return 0
