"""What is wrong with gin texts, told from text alone: nothing is imported.

gin 0.5 accepts some mistakes in silence (a misspelt macro, a binding that
nothing calls): here they are errors that name the file, the line and the
nearest name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import difflib
import itertools
from typing import Any

from xlrm.config import gin_bindings
from xlrm.config import gin_statements
from xlrm.config import gin_targets


def _near(name: str, known: Iterable[str], cutoff: float) -> str | None:
  found = difflib.get_close_matches(name, list(known), 1, cutoff)
  return found[0] if found else None


def _inside(
  source: gin_statements.Source,
) -> Iterator[gin_statements.Macro | gin_statements.Reference]:
  for binding in source.bindings:
    yield from gin_statements.inside(binding.value)


def _all(
  sources: Iterable[gin_statements.Source], kind: type
) -> dict[str, str]:
  """Name of a reference or macro -> where it stands first."""
  found: dict[str, str] = {}
  for source in sources:
    for x in _inside(source):
      if isinstance(x, kind):
        found.setdefault(x.name, source.place(x.line))
  return found


def check_macros(sources: Sequence[gin_statements.Source]) -> None:
  """Every macro that is set is used, every one that is used is set.

  Raises:
    ConfigError: one is not, or holds itself.
  """
  used = _all(sources, gin_statements.Macro)
  used.pop(gin_statements.REQUIRED, None)
  defined = {
    binding.name: source.place(binding.line)
    for source in sources
    for binding in source.bindings
    if not binding.parameter
  }
  for name, place in defined.items():
    if name not in used and name != gin_bindings.JOB:
      near = _near(name, [*used, gin_bindings.JOB], 0.5)
      hint = f"; did you mean {near}?" if near else ""
      raise gin_statements.ConfigError(
        f"{place}: nothing uses the macro {name}{hint}"
      )
  for name in sorted(used.keys() - defined.keys()):
    near = _near(name, defined, 0.5)
    hint = f"; nearest: {near}" if near else ""
    raise gin_statements.ConfigError(
      f"{used[name]}: the macro %{name} is used but never set{hint}"
    )
  macros = gin_bindings.Bindings.of(sources).macros
  for name in macros:
    if name in _held(name, macros):
      raise gin_statements.ConfigError(
        f"{defined[name]}: the macro {name} holds itself"
      )


def _held(name: str, macros: Mapping[str, Any]) -> set[str]:
  """Macros in a macro's value, in theirs, and so on."""
  found: set[str] = set()
  left = [name]
  while left:
    for x in gin_statements.inside(macros.get(left.pop())):
      if isinstance(x, gin_statements.Macro) and x.name not in found:
        found.add(x.name)
        left.append(x.name)
  return found


def check_names(sources: Sequence[gin_statements.Source]) -> None:
  """Every configurable that is bound or called is one of ours.

  Raises:
    ConfigError: one is not; names the nearest.
  """
  known = gin_targets.names()
  for source in sources:
    bound = [(x.line, x.name) for x in source.bindings if x.parameter]
    blocks = [(line, name) for name, line in source.blocks]
    called = [
      (x.line, x.name)
      for x in _inside(source)
      if isinstance(x, gin_statements.Reference)
    ]
    for line, name in sorted((*bound, *blocks, *called)):
      if name not in known:
        near = _near(name, known, 0.4)
        raise gin_statements.ConfigError(
          f"{source.place(line)}: nothing configurable is called {name!r}; "
          f"nearest: {near or ', '.join(sorted(known))}"
        )


def check_job(sources: Sequence[gin_statements.Source]) -> None:
  """JOB names a job, and MODEL_DIR, if there is one, a folder.

  Raises:
    ConfigError: JOB does not, or in a scope, which a job has not; MODEL_DIR is
      no text.
  """
  bindings = gin_bindings.Bindings.of(sources)
  job = bindings.job
  if job is None or job.scope:
    said = "names no job" if job is None else f"is {job}: a job has no scope"
    raise gin_statements.ConfigError(
      f"{sources[0].name}: {gin_bindings.JOB} {said} "
      f"({gin_bindings.JOB} = @sft.train)"
    )
  folder = bindings.resolved(bindings.macros.get(gin_bindings.MODEL_DIR))
  if folder is not None and not isinstance(folder, str | gin_statements.Macro):
    raise gin_statements.ConfigError(
      f"{sources[0].name}: MODEL_DIR {folder!r} is no text; a folder of that "
      f"name: --gin.MODEL_DIR=\"'{folder}'\""
    )


def check_called(
  sources: Sequence[gin_statements.Source], own: Sequence[gin_statements.Source]
) -> None:
  """What the user's own text binds is called by something.

  gin keeps such a binding in silence. Included files are not checked: a file
  that replaces an optimizer leaves the bindings of the one before unused.

  Raises:
    ConfigError: nothing calls it, or all calls have a nearer binding.
  """
  called = _all(sources, gin_statements.Reference)
  reached = gin_bindings.Bindings.of(sources).reached
  for source in own:
    later = sources[list(sources).index(source) + 1 :]
    again = {
      (x.name, x.parameter) for x in itertools.chain(*map(_bound, later))
    }
    for x in _bound(source):
      if x.name not in called:
        raise gin_statements.ConfigError(
          f"{source.place(x.line)}: nothing calls {x.name}, so what it is "
          "given is never used; bind it where it belongs (parameter = "
          f"@{x.name}()); called are: {', '.join(sorted(called))}"
        )
      taken = x.parameter in reached.parameters.get((x.scope, x.name), ())
      if taken or x.name not in reached.names:
        continue
      if (x.name, x.parameter) not in again:
        raise gin_statements.ConfigError(
          f"{source.place(x.line)}: {_untaken(x, reached)}"
        )


def _bound(source: gin_statements.Source) -> list[gin_statements.Binding]:
  return [x for x in source.bindings if x.parameter]


def _untaken(
  binding: gin_statements.Binding, reached: gin_bindings.Reached
) -> str:
  """Why no call takes a binding of a name that is called."""
  scopes = [scope for scope, name in reached.calls if name == binding.name]
  own = "/".join((*binding.scope, binding.name))  # what would have it
  if all(x[: len(binding.scope)] != binding.scope for x in scopes):
    called = sorted("/".join((*x, binding.name)) for x in scopes)
    return (
      f"nothing calls {own}, so what it is given is never used; called are: "
      f"{', '.join(called)}"
    )
  nearer = sorted(
    "/".join((*scope, name))
    for (scope, name), taken in reached.parameters.items()
    if name == binding.name and binding.parameter in taken
  )
  return (
    f"{binding.left} is never used: it is set for each call, "
    f"{', '.join(f'{x}.{binding.parameter}' for x in nearer)}"
  )


def _required(value: Any) -> bool:
  return any(
    isinstance(x, gin_statements.Macro) and x.name == gin_statements.REQUIRED
    for x in gin_statements.inside(value)
  )


def unset(sources: Sequence[gin_statements.Source]) -> list[str]:
  """Macros and parameters that are still to be set."""
  bindings = gin_bindings.Bindings.of(sources)
  found = [name for name, x in bindings.macros.items() if _required(x)]
  for (scope, name), values in bindings.reached.parameters.items():
    whole = "/".join((*scope, name))
    found += [f"{whole}.{x}" for x in values if _required(values[x])]
  return found


def check_set(sources: Sequence[gin_statements.Source]) -> None:
  """Raises ConfigError if something is still to be set; lists it."""
  missing = unset(sources)
  if missing:
    flags = " ".join(f"--gin.{name}=..." for name in missing)
    raise gin_statements.ConfigError(
      f"{sources[0].name}: still to be set: {', '.join(missing)} ({flags})"
    )


def check_numbers(
  files: Sequence[gin_statements.Source], said: gin_statements.Source
) -> None:
  """Text does not take the place of a number: --gin.TRAIN_STEPS=1OO.

  Raises:
    ConfigError: it does.
  """
  before, own = (
    gin_bindings.Bindings.of(files),
    gin_bindings.Bindings.of([said]),
  )
  for x in said.bindings:
    if x.parameter:
      old = before.parameters.get((x.scope, x.name), {}).get(x.parameter)
    else:
      old = before.macros.get(x.name)
    old, new = before.resolved(old), own.resolved(x.value)
    if isinstance(old, int | float) and isinstance(new, str):
      raise gin_statements.ConfigError(
        f"{said.place(x.line)}: {x.left} = {new!r} is text, and {old!r} in "
        "the files; a number, True or False is expected"
      )


def check(
  sources: Sequence[gin_statements.Source], own: Sequence[gin_statements.Source]
) -> None:
  """All of the above; `own` are those among them that the user wrote.

  Raises:
    ConfigError: of the first mistake.
  """
  check_macros(sources)
  check_names(sources)
  check_job(sources)
  check_called(sources, own)
  check_set(sources)
