"""gin's side: functions and classes become configurable, and bindings bound.

The modules themselves know nothing of gin.
"""

from collections.abc import Iterable
from typing import Any

import gin

from xlrm.config import gin_bindings
from xlrm.config import gin_statements
from xlrm.config import gin_targets
from xlrm.config import operative_config

_registered: set[str] = set()


def _register(names: Iterable[str]) -> None:
  """Makes them configurable; what was, in this process, stays so."""
  for name in sorted(set(names) - _registered):
    module, _, short = name.rpartition(".")
    with gin.unlock_config():
      gin.external_configurable(
        gin_targets.target(name), name=short, module=module or None
      )
    _registered.add(name)


def bind(bindings: gin_bindings.Bindings) -> None:
  """Gives gin these bindings in place of all others.

  Args:
    bindings: completed ones.
  """
  _register(bindings.reached.names)
  gin.clear_config()
  delegate = gin.config.ParserDelegate()
  bound = {name for _, name in bindings.parameters}

  def made(x: gin_statements.Reference | gin_statements.Macro) -> Any:
    if isinstance(x, gin_statements.Macro):
      return delegate.macro(x.name)
    if not x.called and x.name not in bound and x != bindings.job:
      return gin_targets.target(x.name)  # itself, as a default would be
    whole = "/".join((*x.scope, x.name))
    return delegate.configurable_reference(whole, x.called)

  for (scope, name), values in bindings.parameters.items():
    for parameter, value in values.items():
      if not isinstance(value, operative_config.Unwritable):
        key = "/".join(scope), name, parameter
        gin.bind_parameter(key, gin_statements.replaced(value, made))
  for name, value in bindings.macros.items():
    key = name, "gin.macro", "value"
    gin.bind_parameter(key, gin_statements.replaced(value, made))


def undecorated(error: BaseException | None) -> BaseException | None:
  """What was raised where gin says, in its place, whom it had called.

  gin raises a subclass that it makes for it, of the same name.
  """
  while error is not None:
    kind, other = type(error), type(error.__context__)
    if (kind.__bases__, kind.__qualname__) != ((other,), other.__qualname__):
      return error
    error = error.__context__
  return None
