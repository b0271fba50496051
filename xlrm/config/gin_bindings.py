"""What gin texts bind in the end, and what of it a job comes to.

A call in the scope a/b has what is bound there, in a, and without a scope; the
innermost wins. `@f()` is called in the scope of its caller, `@a/f()` in a, and
what a macro NAME holds in the scope NAME. So gin 0.5 does it.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import functools
from typing import Any

from xlrm.config import gin_statements

JOB = "JOB"
MODEL_DIR = "MODEL_DIR"
Scope = tuple[str, ...]
Call = tuple[Scope, str]  # a scope, and the name that is called in it


@dataclasses.dataclass(frozen=True)
class Bindings:
  """What is bound at the end, in the order in which it was bound first.

  Attributes:
    macros: name -> value.
    parameters: scope and name -> parameter -> value.
  """

  macros: Mapping[str, Any]
  parameters: Mapping[Call, Mapping[str, Any]]

  @classmethod
  def of(cls, sources: Iterable[gin_statements.Source]) -> "Bindings":
    """The bindings of texts, of which a later one wins."""
    macros, parameters = {}, {}
    for binding in (x for source in sources for x in source.bindings):
      if not binding.parameter:
        macros[binding.name] = binding.value
      else:
        call = binding.scope, binding.name
        parameters.setdefault(call, {})[binding.parameter] = binding.value
    return cls(macros, parameters)

  def resolved(self, value: Any) -> Any:
    """The value with what macros hold in their place; others stay."""

    def held(x: gin_statements.Reference | gin_statements.Macro) -> Any:
      if isinstance(x, gin_statements.Macro) and x.name in self.macros:
        return self.resolved(self.macros[x.name])
      return x

    return gin_statements.replaced(value, held)

  def given(self, call: Call) -> dict[str, Call]:
    """Parameter of a call -> where it is bound."""
    scope, name = call
    found = {}
    for depth in range(len(scope) + 1):
      place = scope[:depth], name
      found |= dict.fromkeys(self.parameters.get(place, ()), place)
    return found

  @functools.cached_property
  def job(self) -> gin_statements.Reference | None:
    """What JOB names."""
    found = self.resolved(self.macros.get(JOB))
    return found if isinstance(found, gin_statements.Reference) else None

  @functools.cached_property
  def reached(self) -> "Reached":
    """What the job comes to."""
    found = Reached({}, {}, {})
    if self.job is not None:
      found.macros[JOB] = self.macros[JOB]
      _visit(self, self.macros[JOB], (), found)
    return found


@dataclasses.dataclass(frozen=True)
class Reached:
  """What a job comes to, each in the order in which it does.

  Attributes:
    calls: scope and name of what is called, or passed as a function.
    macros: name -> value.
    parameters: those of the bindings that some call takes.
  """

  calls: dict[Call, None]
  macros: dict[str, Any]
  parameters: dict[Call, dict[str, Any]]

  @property
  def names(self) -> list[str]:
    """The configurables that are called, each once."""
    return list(dict.fromkeys(name for _, name in self.calls))


def _visit(
  bindings: Bindings, value: Any, scope: Scope, found: Reached
) -> None:
  """Adds what a value that is used in a scope comes to."""
  for x in gin_statements.inside(value):
    if isinstance(x, gin_statements.Reference):
      # A function that is passed on is called later, in no scope.
      call = x.scope or (scope if x.called else ()), x.name
      if call not in found.calls:
        found.calls[call] = None
        for parameter, place in bindings.given(call).items():
          own = bindings.parameters[place][parameter]
          found.parameters.setdefault(place, {})[parameter] = own
          _visit(bindings, own, call[0], found)
    elif x.name in bindings.macros and x.name not in found.macros:
      found.macros[x.name] = bindings.macros[x.name]
      own = tuple(x.name.split("/"))
      _visit(bindings, bindings.macros[x.name], own, found)
