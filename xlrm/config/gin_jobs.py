"""gin: from a .gin file and bindings to a job. The only importer of gin.

Functions and frozen dataclasses become configurable here, by one table; the
modules themselves know nothing of gin. gin 0.5 accepts some mistakes in
silence (a misspelt macro, an include after a binding): here they are errors
that name the file, the line and the nearest name.
"""

import ast
from collections.abc import Callable, Iterable, Sequence
import contextlib
import dataclasses
import difflib
import importlib
import inspect
import pathlib
import re
from typing import Any

import gin

from xlrm.config import configurables
from xlrm.config import gin_files as gin_files_lib
from xlrm.storage import files

JOB = "JOB"
SAVED = "config.gin"

ConfigError = gin_files_lib.ConfigError
Source = gin_files_lib.Source
gin_directory = gin_files_lib.gin_directory


def _resolve(target: str) -> Any:
  module, _, name = target.partition(":")
  try:
    value = importlib.import_module(module)
  except ModuleNotFoundError as error:
    if error.name in ("seqio", "tensorflow", "tensorflow_text"):
      raise ConfigError(
        f"{module} needs {error.name}: pip install 'xlrm[data]', or read "
        "batches from .npz files with @npz_source()"
      ) from error
    raise
  for part in name.split("."):
    value = getattr(value, part)
  return value


def _used(text: str, table: Iterable[str]) -> set[str]:
  """Names of `table` that a gin text mentions."""
  words = set(re.findall(r"[A-Za-z_][\w.]*", text))
  parts = {word.rpartition(".")[0] for word in words} | words
  return {name for name in table if name in parts}


def _register(text: str) -> None:
  """Registers what `text` uses; everything without SeqIO if it uses less."""
  table = {**configurables.CORE, **configurables.DATA}
  for name in sorted(_used(text, table)):
    scope, _, short = name.rpartition(".")
    with gin.unlock_config():
      if name not in _registered:
        gin.external_configurable(
          _resolve(table[name]), name=short, module=scope or None
        )
        _registered.add(name)


_registered: set[str] = set()


def _macros(text: str) -> dict[str, int]:
  """Macros that a text defines, with their line."""
  found = {}
  for number, line in enumerate(text.splitlines(), 1):
    match = re.match(r"^([A-Z][A-Z0-9_]*)\s*=", line)
    if match:
      found[match[1]] = number
  return found


def _references(text: str) -> set[str]:
  return set(re.findall(r"%([A-Za-z_]\w*)", text)) - {"gin"}


def _check_macros(sources: Sequence[Source]) -> None:
  """Every macro that is set is used, every one that is used is set."""
  used = set().union(*(_references(x.text) for x in sources)) | {JOB}
  defined = {
    name: f"{source.name}:{line}"
    for source in sources
    for name, line in _macros(source.text).items()
  }
  for name, place in defined.items():
    if name not in used:
      near = difflib.get_close_matches(name, used, 1, 0.5)
      hint = f"; did you mean {near[0]}?" if near else ""
      raise ConfigError(f"{place}: nothing uses the macro {name}{hint}")
  for name in sorted(used - set(defined) - {JOB}):
    near = difflib.get_close_matches(name, defined, 1, 0.5)
    hint = f"; nearest: {near[0]}" if near else ""
    raise ConfigError(f"the macro %{name} is used but never set{hint}")


def macros(sources: Sequence[Source]) -> dict[str, Any]:
  """Macro -> what it is set to in the end; text where that is no literal.

  A literal that goes on over several lines is the text of its first.
  """
  found: dict[str, Any] = {}
  for source in sources:
    for match in re.finditer(
      r"^([A-Z][A-Z0-9_]*)\s*=\s*(.+)$", source.text, re.MULTILINE
    ):
      try:
        found[match[1]] = ast.literal_eval(match[2])
      except (SyntaxError, ValueError):
        found[match[1]] = match[2].split("#")[0].strip()
  return found


def _unset(sources: Sequence[Source]) -> list[str]:
  values = macros(sources)
  return [name for name, value in values.items() if value == "%gin.REQUIRED"]


def _check_required(sources: Sequence[Source]) -> None:
  unset = _unset(sources)
  if unset:
    flags = " ".join(f"--gin.{name}=..." for name in unset)
    raise ConfigError(
      f"{sources[0].name}: still to be set: {', '.join(unset)} ({flags})"
    )


def _check_selectors(sources: Sequence[Source]) -> None:
  """Every configurable that is bound or called is one of ours."""
  known = {*configurables.CORE, *configurables.DATA}
  for source in sources:
    for number, line in enumerate(source.text.splitlines(), 1):
      code = line.split("#")[0]
      names = re.findall(r"@(?:[\w]+/)?([A-Za-z_][\w.]*)", code)
      block = re.match(r"^(?:\w+/)?([A-Za-z_][\w.]*):\s*$", code)
      bound = re.match(r"^(?:\w+/)?([A-Za-z_][\w.]*)\.\w+\s*=", code)
      names += [m[1] for m in (block, bound) if m]
      for name in names:
        if name not in known:
          near = difflib.get_close_matches(name, known, 1, 0.4)
          raise ConfigError(
            f"{source.name}:{number}: nothing configurable is called "
            f"{name!r}; nearest: "
            f"{near[0] if near else ', '.join(sorted(known))}"
          )


def _bound(text: str) -> dict[str, int]:
  """Configurables whose parameters a text binds, with their line."""
  found: dict[str, int] = {}
  for number, line in enumerate(text.splitlines(), 1):
    code = line.split("#")[0]
    block = re.match(r"^(?:\w+/)?([A-Za-z_][\w.]*):\s*$", code)
    one = re.match(r"^(?:\w+/)?([A-Za-z_][\w.]*)\.\w+\s*=", code)
    for match in (block, one):
      if match:
        found.setdefault(match[1], number)
  return found


def _check_called(sources: Sequence[Source], own: Sequence[Source]) -> None:
  """What the user's own text binds is called by something.

  gin keeps such a binding in silence. Included files are not checked: a file
  that replaces an optimizer leaves the bindings of the one before unused.
  """
  called = set()
  for source in sources:
    for line in source.text.splitlines():
      code = line.split("#")[0]
      called |= set(re.findall(r"@(?:\w+/)?([A-Za-z_][\w.]*)", code))
  for source in own:
    for name, line in _bound(source.text).items():
      if name not in called:
        raise ConfigError(
          f"{source.name}:{line}: nothing calls {name}, so what it is given "
          f"is never used; bind it where it belongs (parameter = @{name}()); "
          f"called are: {', '.join(sorted(called))}"
        )


def _explain(error: Exception, source: Source) -> ConfigError:
  """gin's own message, shortened, with the nearest parameter."""
  text = str(error).strip()
  place = re.search(r"line (\d+)", text)
  where = f"{source.name}:{place[1]}" if place else source.name
  match = re.search(
    r"[Cc]onfigurable '([\w.]+)' doesn't have a parameter "
    r"named '(\w+)'",
    text,
  )
  if match:
    table = {**configurables.CORE, **configurables.DATA}
    full = next((x for x in table if x.endswith(match[1].split(".")[-1])), "")
    names = _parameters(_resolve(table[full])) if full else []
    near = difflib.get_close_matches(match[2], names, 1, 0.3)
    return ConfigError(
      f"{where}: {match[1]} has no parameter {match[2]!r}; nearest: "
      f"{near[0] if near else ', '.join(names)}"
    )
  said = re.sub(r"\s*\(line \d+\)$", "", text.splitlines()[0])
  lines = source.text.splitlines()
  if isinstance(error, SyntaxError) and place and int(place[1]) <= len(lines):
    said += f" In: {lines[int(place[1]) - 1]}"
  return ConfigError(f"{where}: {said}")


def _parameters(target: Callable) -> list[str]:
  return [x for x in inspect.signature(target).parameters if x != "self"]


@dataclasses.dataclass(frozen=True)
class Job:
  """A configured job, ready to run once."""

  sources: tuple[Source, ...]

  def text(self) -> str:
    """The whole configuration as one gin file that reruns the job.

    gin shortens `best_of_n.run` to `run` where nothing else of that name is
    registered; elsewhere that may be ambiguous, so names are written in full.
    """
    text = gin.config_str(max_line_length=78)
    used = "\n".join(source.text for source in self.sources)
    for name in _used(used, configurables.CORE):
      short = name.rpartition(".")[2]
      text = re.sub(
        rf"(^|@|# Parameters for ){short}(?=\.\w+ =|:|\(|$)",
        rf"\g<1>{name}",
        text,
        flags=re.MULTILINE,
      )
    return text

  def model_dir(self) -> str | None:
    """MODEL_DIR, if the job has one."""
    try:
      return gin.query_parameter("MODEL_DIR/gin.macro.value")
    except ValueError:
      return None

  def _target(self) -> Any:
    """What JOB names."""
    try:
      return gin.query_parameter(f"{JOB}/gin.macro.value").configurable
    except (AttributeError, ValueError) as error:
      raise ConfigError(
        f"{self.sources[0].name}: {JOB} names no job ({JOB} = @sft.train)"
      ) from error

  def build(self, kind: type) -> Any:
    """The object of a class that JOB names, in place of a job to run.

    Raises:
      ConfigError: JOB names something else.
    """
    with _named(self.sources):
      target = self._target()
      if target.wrapped is not kind:
        raise ConfigError(
          f"{JOB} is @{target.selector}, not @{kind.__name__}; a job is for "
          "`xlrm run`"
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
    from xlrm.distributed import (
      processes,
    )  # imports JAX, which a typo need not wait for

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
        raise ConfigError(
          f"{JOB} is @{job.name}, no job: xlrm {job.name.lower()} --gin_file=.."
        )
      return job.wrapper()

  def _save(self) -> pathlib.Path | None:
    directory = self.model_dir()
    if directory is None:
      return None
    if "://" in str(directory):  # pathlib would make a folder 'gs:'
      raise ConfigError(
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

  def __init__(self, sources: Sequence[Source]):
    self._sources = sources

  def __enter__(self):
    return self

  def __exit__(self, kind, error, trace):
    if isinstance(error, ValueError | OSError) and "In call to" in str(error):
      message = str(error).split("\n  In call to")[0].strip()
      raise ConfigError(message) from error
    return False


def read(
  gin_files: Sequence[str],
  bindings: Sequence[str] = (),
  search_paths: Sequence[str] = (),
) -> list[Source]:
  """The texts of a job in the order of their force; arguments as of `load`.

  Everything that can be told from text is checked, and nothing is imported.

  Raises:
    ConfigError, FileNotFoundError: one message with file, line or name.
  """
  search = [*map(pathlib.Path, search_paths), gin_directory()]
  by_file = [gin_files_lib.with_includes(name, search) for name in gin_files]
  sources = [source for found in by_file for source in found]
  own = [x for x in (f[-1] for f in by_file) if not x.name.endswith(SAVED)]
  if bindings:
    text = "".join(f"{line}\n" for line in bindings)
    sources.append(Source("command line", text))
    own.append(sources[-1])
  _check_macros(sources)
  _check_selectors(sources)
  _check_called(sources, own)
  _check_required(sources)
  return sources


def load(
  gin_files: Sequence[str],
  bindings: Sequence[str] = (),
  search_paths: Sequence[str] = (),
) -> Job:
  """Reads gin files and bindings; clears what was loaded before.

  Args:
    gin_files: found as they stand, in `search_paths`, or among the packaged.
    bindings: 'NAME = value' lines, which win over the files.
    search_paths: further folders.

  Raises:
    ConfigError, FileNotFoundError: one message with file, line or name.
  """
  sources = read(gin_files, bindings, search_paths)
  gin.clear_config()
  _register("\n".join(source.text for source in sources))
  for source in sources:
    try:
      gin.parse_config(source.text)
    except (SyntaxError, TypeError, ValueError, ImportError) as error:
      raise _explain(error, source) from error
  return Job(tuple(sources))
