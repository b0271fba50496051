"""The packages of xlrm and what imports what, read from the code's own imports.

  python docs/package_graph.py          # packages, arrows, cycles, sizes

A package is a folder with modules, or a module in the root of xlrm; an arrow is
any import of one of another's modules, inside functions, too.
"""

import ast
import collections
from collections.abc import Mapping
import functools
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
# Folder of the checkout -> package that it installs as.
FOLDERS = {"xlrm": "xlrm", "tasks": "xlrm.tasks", "launch": "xlrm.launch"}


@functools.cache
def modules() -> dict[str, pathlib.Path]:
  """Module -> its file; a package stands for its __init__.py."""
  found = {}
  for folder, package in FOLDERS.items():
    for path in sorted((ROOT / folder).rglob("*.py")):
      parts = path.relative_to(ROOT / folder).with_suffix("").parts
      parts = parts[:-1] if parts[-1] == "__init__" else parts
      found[".".join((package, *parts))] = path
  return found


@functools.cache
def tree(module: str) -> ast.Module:
  return ast.parse(modules()[module].read_text(encoding="utf-8"))


@functools.cache
def imported(module: str) -> frozenset[str]:
  """Dotted names that a module imports, anywhere in it."""
  names = set()
  for node in ast.walk(tree(module)):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      names |= {f"{node.module}.{alias.name}" for alias in node.names}
  return frozenset(names)


def _module_of(name: str) -> str | None:
  """xlrm.types.Batch -> xlrm.types; None: nothing of ours."""
  while name and name not in modules():
    name = name.rpartition(".")[0]
  return name or None


def package(module: str) -> str:
  """The package that a module belongs to: its folder, or itself in the root."""
  if modules()[module].name == "__init__.py":
    return module
  parent = module.rpartition(".")[0]
  return module if parent == "xlrm" else parent


def packages() -> list[str]:
  """All but xlrm itself, which only says its version."""
  return sorted({package(x) for x in modules()} - {"xlrm"})


def arrows() -> dict[str, set[str]]:
  """Package -> packages that it imports."""
  found: dict[str, set[str]] = {name: set() for name in packages()}
  for module in modules():
    for name in imported(module):
      other = _module_of(name)
      if other is not None and package(other) != package(module):
        found.setdefault(package(module), set()).add(package(other))
  return found


def cycles(found: Mapping[str, set[str]]) -> list[list[str]]:
  """Packages that import each other, directly or round about; one per list."""
  reach = {name: set(to) for name, to in found.items()}
  changed = True
  while changed:
    changed = False
    for own in reach.values():
      more = set().union(*(reach.get(x, set()) for x in own)) - own
      changed = changed or bool(more)
      own |= more
  groups = collections.defaultdict(set)
  for name, to in reach.items():
    if name in to:
      groups[frozenset(x for x in to if name in reach.get(x, ()))].add(name)
  return [sorted(group) for group in groups]


def functions(module: str) -> list[tuple[str, int]]:
  """(name, lines) of every function and method, decorators left out."""
  return [
    (node.name, node.end_lineno - node.lineno + 1)
    for node in ast.walk(tree(module))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
  ]


def public(module: str) -> list[tuple[str, ast.FunctionDef | ast.ClassDef]]:
  """(name, definition) of what is public: functions, classes, methods."""
  found = []

  def visit(body, prefix):
    for node in body:
      if not isinstance(node, ast.FunctionDef | ast.ClassDef):
        continue
      if not node.name.startswith("_"):
        found.append((prefix + node.name, node))
        if isinstance(node, ast.ClassDef):
          visit(node.body, f"{node.name}.")

  visit(tree(module).body, "")
  return found


def lines(module: str) -> int:
  return len(modules()[module].read_text(encoding="utf-8").splitlines())


def quantiles(values: list[int]) -> tuple[int, int, int]:
  """Median, 90th percentile, largest."""
  ordered = sorted(values)
  return (
    ordered[len(ordered) // 2],
    ordered[int(0.9 * (len(ordered) - 1))],
    ordered[-1],
  )


def main() -> None:
  found = arrows()
  print(f"{len(packages())} packages, {sum(map(len, found.values()))} arrows")
  for name in packages():
    print(f"  {name}: {' '.join(sorted(found[name])) or '-'}")
  print(f"cycles: {cycles(found) or 'none'}")
  files = [lines(x) for x in modules()]
  print("lines of a file, median, p90, most:", *quantiles(files))
  sizes = [size for x in modules() for _, size in functions(x)]
  print("lines of a function, median, p90, most:", *quantiles(sizes))


if __name__ == "__main__":
  main()
