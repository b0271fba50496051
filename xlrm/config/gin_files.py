"""The texts of gin files: where they lie, and what they include.

gin 0.5 lets an include below a binding override it in silence; here that is an
error with file and line.
"""

from collections.abc import Sequence
import difflib
import pathlib

from xlrm.config import gin_statements
from xlrm.storage import package_data


def gin_directory() -> pathlib.Path:
  """The packaged gin files: inside the package, or beside it in a checkout.

  Raises:
    FileNotFoundError: neither exists.
  """
  package = package_data.PACKAGE
  for candidate in (package / "gin", package.parent / "gin"):
    if candidate.is_dir():
      return candidate
  raise FileNotFoundError(f"no gin files beside {package}")


def _find(
  name: str, search: Sequence[pathlib.Path], seen: Sequence[pathlib.Path]
) -> pathlib.Path:
  """The first file of that name that is not being read already."""
  candidates = [pathlib.Path(name), *(folder / name for folder in search)]
  for candidate in candidates:
    if candidate.is_file() and candidate.resolve() not in seen:
      return candidate.resolve()
  if seen and any(x.name == pathlib.Path(name).name for x in seen):
    raise gin_statements.ConfigError(f"{seen[-1]} includes itself")
  known = [
    str(path.relative_to(folder))
    for folder in search
    for path in sorted(folder.rglob("*.gin"))
  ]
  near = difflib.get_close_matches(name, known, 1, 0.4)
  raise FileNotFoundError(
    f"no gin file {name!r} here or in {', '.join(map(str, search))}; "
    f"nearest: {near[0] if near else ', '.join(known[:6])}"
  )


def _check(source: gin_statements.Source) -> None:
  """Raises ConfigError for what gin, or this trainer, cannot do."""
  for module, _, line in source.imports:
    if module.startswith("__gin__."):
      raise gin_statements.ConfigError(
        f"{source.place(line)}: a file for T5X's own trainer (python -m "
        "t5x.train), see docs/compatibility.md; xlrm's are those without t5x/"
      )
  first = min((x.line for x in source.bindings), default=None)
  for _, line in source.includes:
    if first is not None and first < line:
      raise gin_statements.ConfigError(
        f"{source.place(line)}: an include below a binding would override it; "
        "move it to the top"
      )


def with_includes(
  name: str, search: Sequence[pathlib.Path], seen: tuple = ()
) -> list[gin_statements.Source]:
  """A file's includes, deepest first, and the file itself without them.

  Raises:
    ConfigError: an include below a binding (gin lets it win in silence), or a
      line that gin cannot read.
    FileNotFoundError: a file that is not there.
  """
  path = _find(name, search, seen)
  source = gin_statements.Source(str(path), path.read_text(encoding="utf-8"))
  _check(source)
  result = []
  for included, _ in source.includes:
    result += with_includes(included, [path.parent, *search], (*seen, path))
  return [*result, source.without_includes()]
