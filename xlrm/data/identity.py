"""What a function is, in words that are equal when it is defined again.

A notebook cell that runs twice makes a new function object of the same code:
comparing objects would call it another one, comparing names would miss that
its code was edited. So a function is its name, its code, and the values that
it holds (arguments of a partial, defaults, closure).
"""

from collections.abc import Mapping
import functools
import hashlib
import types
from typing import Any

LONGEST = 200  # characters of one value that are shown; its hash follows


def describe(value: Any) -> str:
  """A text that is equal for equal values and for functions of equal code.

  What a function calls is not followed.
  """
  if isinstance(value, functools.partial):
    held = [*map(describe, value.args)]
    held += [f"{k}={describe(v)}" for k, v in sorted(value.keywords.items())]
    return f"{describe(value.func)}({', '.join(held)})"
  if isinstance(value, types.MethodType):
    return f"{describe(value.__self__)}.{describe(value.__func__)}"
  if isinstance(value, types.FunctionType):
    return _function(value)
  if isinstance(value, Mapping):
    held = [f"{k!r}: {describe(value[k])}" for k in sorted(value, key=repr)]
    return _short(f"{{{', '.join(held)}}}")
  if isinstance(value, list | tuple):
    return _short(f"[{', '.join(map(describe, value))}]")
  if type(value).__repr__ is object.__repr__:
    return f"{type(value).__module__}.{type(value).__qualname__}"
  return _short(repr(value))


def _short(text: str) -> str:
  if len(text) <= LONGEST:
    return text
  digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
  return f"{text[:LONGEST]}... [{digest[:8]}]"


def _function(function: types.FunctionType) -> str:
  digest = hashlib.sha256()
  _add_code(digest, function.__code__)
  held = list(function.__defaults__ or ())
  held += (function.__kwdefaults__ or {}).values()
  held += [
    cell.cell_contents
    for cell in function.__closure__ or ()
    if not _is_function(cell)  # it may hold itself
  ]
  name = f"{function.__module__}.{function.__qualname__}"
  values = f" holding {', '.join(map(describe, held))}" if held else ""
  return f"{name} [code {digest.hexdigest()[:8]}{values}]"


def _is_function(cell: types.CellType) -> bool:
  try:
    return isinstance(cell.cell_contents, types.FunctionType)
  except ValueError:  # an empty cell
    return True


def _add_code(digest: Any, code: types.CodeType) -> None:
  """Everything that a function does; not where it stands."""
  digest.update(code.co_code)
  digest.update(repr((code.co_names, code.co_varnames)).encode())
  for constant in code.co_consts:
    if isinstance(constant, types.CodeType):
      _add_code(digest, constant)
    else:
      digest.update(repr(constant).encode())
