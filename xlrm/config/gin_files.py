"""The texts of gin files: where they lie, and what they include.

gin 0.5 lets an include below a binding override it in silence; here that is an
error with file and line. Nothing of gin is imported.
"""

from collections.abc import Sequence
import dataclasses
import difflib
import pathlib
import re

from xlrm.storage import package_data


class ConfigError(ValueError):
  """A gin file or binding that cannot be used; one message for the user."""


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


@dataclasses.dataclass(frozen=True)
class Source:
  """One piece of configuration: a file's text or the command line's."""

  name: str
  text: str


def _find(
  name: str, search: Sequence[pathlib.Path], seen: Sequence[pathlib.Path]
) -> pathlib.Path:
  """The first file of that name that is not being read already."""
  candidates = [pathlib.Path(name), *(folder / name for folder in search)]
  for candidate in candidates:
    if candidate.is_file() and candidate.resolve() not in seen:
      return candidate.resolve()
  if seen and any(x.name == pathlib.Path(name).name for x in seen):
    raise ConfigError(f"{seen[-1]} includes itself")
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


_INCLUDE = re.compile(r"""^include\s+['"](.+)['"]\s*(?:#.*)?$""")


def with_includes(
  name: str, search: Sequence[pathlib.Path], seen: tuple = ()
) -> list[Source]:
  """A file's includes, deepest first, and the file itself without them.

  Raises:
    ConfigError: an include below a binding (gin lets it win in silence).
  """
  path = _find(name, search, seen)
  result, lines, bound = [], [], False
  for number, line in enumerate(
    path.read_text(encoding="utf-8").splitlines(), 1
  ):
    if line.startswith("from __gin__"):
      raise ConfigError(
        f"{path}:{number}: a file for T5X's own trainer (python -m t5x.train), "
        "see docs/compatibility.md; xlrm's are those without t5x/"
      )
    match = _INCLUDE.match(line.strip())
    if match and bound:
      raise ConfigError(
        f"{path}:{number}: an include below a binding would override it; "
        "move it to the top"
      )
    if match:
      result += with_includes(match[1], [path.parent, *search], (*seen, path))
      lines.append("")
      continue
    stripped = line.split("#")[0].strip()
    bound = bound or bool(stripped)
    lines.append(line)
  return [*result, Source(str(path), "\n".join(lines) + "\n")]
