"""What a gin name stands for: a function or class, and its parameters.

Importing one costs seconds (JAX, SeqIO): whoever asks has checked before what
text alone can tell.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
import dataclasses
import difflib
import importlib
import inspect
from typing import Any

from xlrm.config import configurables
from xlrm.config import gin_statements

NO_DEFAULT = inspect.Parameter.empty


def names() -> Mapping[str, str]:
  """gin name -> where it lives."""
  return {**configurables.CORE, **configurables.DATA}


def target(name: str) -> Callable[..., Any]:
  """Imports it.

  Raises:
    ConfigError: it needs SeqIO, which is not here.
  """
  module, _, path = names()[name].partition(":")
  try:
    found = importlib.import_module(module)
  except ModuleNotFoundError as error:
    if error.name in ("seqio", "tensorflow", "tensorflow_text"):
      raise gin_statements.ConfigError(
        f"{module} needs {error.name}: pip install 'xlrm[data]', or read "
        "batches from .npz files with @npz_source()"
      ) from error
    raise
  for part in path.split("."):
    found = getattr(found, part)
  return found


def parameters(name: str) -> dict[str, Any]:
  """Parameter -> default or NO_DEFAULT, of those that can be set."""
  called = target(name)
  makers = {}
  if dataclasses.is_dataclass(called):
    makers = {x.name: x.default_factory for x in dataclasses.fields(called)}
  found = {}
  for x in inspect.signature(called).parameters.values():
    if x.kind in (x.VAR_POSITIONAL, x.VAR_KEYWORD):
      continue
    if not x.name.startswith("_"):
      maker = makers.get(x.name, dataclasses.MISSING)
      found[x.name] = x.default if maker is dataclasses.MISSING else maker()
  return found


def takes(name: str, parameter: str) -> bool:
  """Whether it can be called with such a parameter."""
  signature = inspect.signature(target(name)).parameters
  kinds = {x.kind for x in signature.values()}
  return parameter in signature or inspect.Parameter.VAR_KEYWORD in kinds


def check_parameters(
  sources: Sequence[gin_statements.Source], called: Collection[str]
) -> None:
  """What is bound of these names is a parameter of theirs; imports them.

  Raises:
    ConfigError: it is none; names the nearest.
  """
  # The last word first: a typo there need not wait for the imports of others.
  for source in reversed(sources):
    for x in source.bindings:
      if x.parameter and x.name in called and not takes(x.name, x.parameter):
        known = list(parameters(x.name))
        near = difflib.get_close_matches(x.parameter, known, 1, 0.3)
        raise gin_statements.ConfigError(
          f"{source.place(x.line)}: {x.name} has no parameter "
          f"{x.parameter!r}; nearest: {near[0] if near else ', '.join(known)}"
        )


def name_of(value: Any) -> str | None:
  """The gin name of a function or class; None: it has none."""
  own = getattr(value, "__qualname__", None)
  for name, place in names().items():
    # Others need not be imported to know that they are not it.
    if own is not None and place.partition(":")[2] == own:
      if target(name) is value:
        return name
  return None
