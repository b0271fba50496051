"""gin: from a .gin file and bindings to a job.

Texts are read and checked first; then what the job comes to is imported, and
gin is given all of it, defaults too: a job runs with what its saved
configuration says.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import importlib
import pathlib
from typing import Any

import gin

from xlrm.config import gin_bindings
from xlrm.config import gin_checks
from xlrm.config import gin_files as gin_files_lib
from xlrm.config import gin_registration
from xlrm.config import gin_statements
from xlrm.config import gin_targets
from xlrm.config import operative_config
from xlrm.storage import files

SAVED = "config.gin"
COMMAND_LINE = "command line"


@dataclasses.dataclass(frozen=True)
class ConfiguredJob:
  """A job and all that it runs with, ready to run once.

  Attributes:
    sources: the texts that it was read from.
    bindings: all that it comes to, with every default.
  """

  sources: tuple[gin_statements.Source, ...]
  bindings: gin_bindings.Bindings

  def text(self) -> str:
    """The whole configuration as one gin file that reruns the job."""
    imports = [x for source in self.sources for _, x, _ in source.imports]
    return operative_config.text(self.bindings, imports)

  def model_dir(self) -> str | None:
    """MODEL_DIR, if the job has one."""
    macros = self.bindings.macros
    return self.bindings.resolved(macros.get(gin_bindings.MODEL_DIR))

  def _target(self) -> Any:
    """What JOB names."""
    key = f"{gin_bindings.JOB}/gin.macro.value"
    return gin.query_parameter(key).configurable

  def build(self, kind: type) -> Any:
    """The object of a class that JOB names, in place of a job to run.

    Raises:
      ConfigError: JOB names something else.
    """
    with _named(self.sources):
      target = self._target()
      if target.wrapped is not kind:
        raise gin_statements.ConfigError(
          f"{gin_bindings.JOB} is @{target.selector}, not @{kind.__name__}; "
          "a job is for `xlrm run`"
        )
      return target.wrapper()

  def plan(self, devices: str | None = None) -> Any:
    """What the job says it would do; writes nothing.

    Args:
      devices: planned for, such as 'v4-32'; None is what is here.
    """
    return self._made().plan(devices)

  def run(self) -> Any:
    """Writes MODEL_DIR/config.gin and does the job."""
    # imports JAX, which a typo need not wait for
    from xlrm.distributed import processes

    job = self._made()
    saved = processes.on_first(self._save)
    try:
      return job.run()
    except (ValueError, OSError):
      if saved is not None and processes.is_first():
        _remove_if_alone(saved)
      raise

  def _made(self) -> Any:
    """The job that JOB names, with everything that gin gives it."""
    with _named(self.sources):
      job = self._target()
      if not callable(getattr(job.wrapped, "run", None)):
        raise gin_statements.ConfigError(
          f"{gin_bindings.JOB} is @{job.name}, no job: xlrm "
          f"{job.name.lower()} --gin_file=.."
        )
      return job.wrapper()

  def _save(self) -> pathlib.Path | None:
    directory = self.model_dir()
    if directory is None:
      return None
    if "://" in str(directory):  # pathlib would make a folder 'gs:'
      raise gin_statements.ConfigError(
        f"MODEL_DIR {directory!r}: a job writes to a folder; `xlrm launch` "
        "mounts buckets on its workers, by hand: gcsfuse BUCKET FOLDER"
      )
    path = pathlib.Path(directory) / SAVED
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, self.text())
    return path


def _remove_if_alone(path: pathlib.Path) -> None:
  """A job that never began leaves no folder that looks like a run."""
  if [x.name for x in path.parent.iterdir()] == [path.name]:
    path.unlink()
    # In a mounted bucket it is gone with its last file.
    with contextlib.suppress(FileNotFoundError):
      path.parent.rmdir()


class _named:
  """Turns gin's decorated errors back into the job's own."""

  def __init__(self, sources: Sequence[gin_statements.Source]):
    self._sources = sources

  def __enter__(self):
    return self

  def __exit__(self, kind, error, trace):
    own = gin_registration.undecorated(error)
    if own is not error and isinstance(own, ValueError | OSError):
      raise gin_statements.ConfigError(str(own)) from error
    return False


def _import(sources: Sequence[gin_statements.Source]) -> None:
  """Imports what they say.

  Raises:
    ConfigError: it cannot be imported.
  """
  for source in sources:
    for module, statement, line in source.imports:
      try:
        importlib.import_module(module)
      except ImportError as error:
        raise gin_statements.ConfigError(
          f"{source.place(line)}: {statement}: {error}"
        ) from error


def _read(
  gin_files: Sequence[str],
  bindings: Sequence[str],
  search_paths: Sequence[str],
) -> tuple[list[gin_statements.Source], list[gin_statements.Source]]:
  """(what `read` returns, those among them that the user wrote)."""
  search = [*map(pathlib.Path, search_paths), gin_files_lib.gin_directory()]
  by_file = [gin_files_lib.with_includes(name, search) for name in gin_files]
  sources = [source for found in by_file for source in found]
  own = [x for x in (f[-1] for f in by_file) if not x.name.endswith(SAVED)]
  if bindings:
    text = "".join(f"{line}\n" for line in bindings)
    own.append(gin_statements.Source(COMMAND_LINE, text))
    sources.append(own[-1])
  gin_checks.check(sources, own)
  if bindings:
    gin_checks.check_numbers(sources[:-1], sources[-1])
  return sources, own


def read(
  gin_files: Sequence[str],
  bindings: Sequence[str] = (),
  search_paths: Sequence[str] = (),
) -> list[gin_statements.Source]:
  """The texts of a job in the order of their force; arguments as of `load`.

  Everything that can be told from text is checked, and nothing is imported.

  Raises:
    ConfigError, FileNotFoundError: one message with file, line or name.
  """
  return _read(gin_files, bindings, search_paths)[0]


def macros(sources: Sequence[gin_statements.Source]) -> dict[str, Any]:
  """Macro -> what it is set to in the end, with other macros' values in it."""
  bindings = gin_bindings.Bindings.of(sources)
  return {name: bindings.resolved(x) for name, x in bindings.macros.items()}


def load(
  gin_files: Sequence[str],
  bindings: Sequence[str] = (),
  search_paths: Sequence[str] = (),
) -> ConfiguredJob:
  """Reads gin files and bindings; clears what was loaded before.

  Args:
    gin_files: found as they stand, in `search_paths`, or among the packaged.
    bindings: 'NAME = value' lines, which win over the files.
    search_paths: further folders.

  Raises:
    ConfigError, FileNotFoundError: one message with file, line or name.
  """
  sources, own = _read(gin_files, bindings, search_paths)
  bound = gin_bindings.Bindings.of(sources)
  _import(sources)
  mine = [x.name for source in own for x in source.bindings if x.parameter]
  gin_targets.check_parameters(sources, {*mine, *bound.reached.names})
  whole = operative_config.completed(bound)
  gin_registration.bind(whole)
  return ConfiguredJob(tuple(sources), whole)
