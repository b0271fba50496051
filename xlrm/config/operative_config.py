"""All that a job runs with as one gin file: what is bound, and every default.

Defaults are written out, so that one which changes later does not change the
job when its file runs again. A default that is one of our configurations
becomes `@Name()` with its own parameters. What has no form in gin stays a
comment, and a default.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import pprint
from typing import Any

import xlrm
from xlrm.config import gin_bindings
from xlrm.config import gin_statements
from xlrm.config import gin_targets

WIDTH = 80


@dataclasses.dataclass(frozen=True)
class Unwritable:
  """A default that gin has no form for; `text` shows it."""

  text: str


def _shown(value: Any) -> str:
  """One line, the same in every process: no address."""
  text = " ".join(repr(value).split())
  if " at 0x" in text:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
  return text


def _is_literal(value: Any) -> bool:
  if type(value) in (list, tuple):
    return all(map(_is_literal, value))
  if type(value) is dict:
    return all(map(_is_literal, (*value, *value.values())))
  try:
    return repr(gin_statements.value(repr(value))) == repr(value)
  except SyntaxError:
    return False


def _ordered(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
  """As the signature has them."""
  known = [x for x in gin_targets.parameters(name) if x in values]
  return {x: values[x] for x in dict.fromkeys((*known, *values))}


class _Defaults:
  """Bindings to which is added what their calls take by default."""

  def __init__(self, bindings: gin_bindings.Bindings):
    self.parameters = {k: dict(v) for k, v in bindings.parameters.items()}
    reached = bindings.reached
    self._names = set(reached.names)  # bound for good
    self._scopes = {scope for scope, _ in (*self.parameters, *reached.calls)}
    self._scoped = {name for scope, name in self.parameters if scope}
    for call in reached.calls:
      self._complete(call)

  def _complete(self, call: gin_bindings.Call) -> None:
    """Binds, without a scope, what this call is not given."""
    given = gin_bindings.Bindings({}, self.parameters).given(call)
    name = call[1]
    for parameter, default in gin_targets.parameters(name).items():
      if parameter not in given and default is not gin_targets.NO_DEFAULT:
        value = self._written(default, f"{name}.{parameter}")
        self.parameters.setdefault(((), name), {})[parameter] = value

  def _written(self, default: Any, owner: str) -> Any:
    """The default as gin has it, or Unwritable; `owner` takes it."""
    if _is_literal(default):
      return default
    if type(default) in (list, tuple):
      items = [self._written(x, owner) for x in default]
      if any(isinstance(x, Unwritable) for x in items):
        return Unwritable(_shown(default))
      return type(default)(items)
    name = gin_targets.name_of(default)
    if name is not None:
      return gin_statements.Reference((), name, called=False)
    name = gin_targets.name_of(type(default))
    if name is None or not dataclasses.is_dataclass(default):
      return Unwritable(_shown(default))
    own = {
      x: self._written(getattr(default, x), f"{name}.{x}")
      for x in gin_targets.parameters(name)
    }
    if any(isinstance(x, Unwritable) for x in own.values()):
      return Unwritable(_shown(default))
    return gin_statements.Reference(self._place(name, own, owner), name, True)

  def _place(
    self, name: str, own: dict[str, Any], owner: str
  ) -> gin_bindings.Scope:
    """Binds a default's parameters in a scope where nothing else is bound."""
    if name not in self._names:
      self._names.add(name)
      # What was bound is of no call.
      for scope, other in list(self.parameters):
        if other == name:
          del self.parameters[scope, name]
      self.parameters[(), name] = own
      return ()
    self._complete(((), name))
    there = _ordered(name, self.parameters[(), name])
    if name not in self._scoped and repr(there) == repr(own):
      return ()
    scope = (owner.replace(".", "_"),)
    while scope in self._scopes:
      scope = (f"{scope[0]}_",)
    self._scopes.add(scope)
    self.parameters[scope, name] = own
    return scope


def completed(bindings: gin_bindings.Bindings) -> gin_bindings.Bindings:
  """What a job comes to, and no more, with every default.

  Imports all of it. Without a default that changed meanwhile, it is what comes
  of its own text, too.
  """
  whole = gin_bindings.Bindings(
    bindings.macros, _Defaults(bindings).parameters
  ).reached
  parameters = {
    call: _ordered(call[1], values) for call, values in whole.parameters.items()
  }
  macros = {x: bindings.macros[x] for x in bindings.macros if x in whole.macros}
  macros[gin_bindings.JOB] = macros.pop(gin_bindings.JOB)  # the last one
  order = gin_bindings.Bindings(macros, parameters).reached.names
  calls = sorted(parameters, key=lambda x: (order.index(x[1]), x[0]))
  return gin_bindings.Bindings(macros, {x: parameters[x] for x in calls})


def _assignment(left: str, value: Any) -> str:
  """`left = value`, over several lines where it is long."""
  begin = f"{left} = "
  lines = pprint.pformat(
    value, width=max(WIDTH - len(begin), WIDTH // 2), sort_dicts=False
  ).split("\n")
  return begin + f"\n{' ' * len(begin)}".join(lines)


def _block(call: gin_bindings.Call, values: Mapping[str, Any]) -> list[str]:
  scope, name = call
  comments, lines = [], []
  for parameter, value in values.items():
    if isinstance(value, Unwritable):
      comments.append(
        f"# {name}.{parameter}: its default, which has no form in gin: "
        f"{value.text}"
      )
    else:
      lines.append(_assignment(f"  {parameter}", value))
  head = [f"{'/'.join((*scope, name))}:"] if lines else []
  return [*comments, *head, *lines]


def text(bindings: gin_bindings.Bindings, imports: Iterable[str] = ()) -> str:
  """The gin file of completed bindings.

  Args:
    imports: statements that its names need.
  """
  lines = [
    f"# xlrm {xlrm.__version__}: a whole job, with every default that it took.",
    "# This file alone runs it again.",
    *dict.fromkeys(imports),
    *(_assignment(name, value) for name, value in bindings.macros.items()),
  ]
  for call, values in bindings.parameters.items():
    lines += _block(call, values)
  return "\n".join(lines) + "\n"
