"""The picture of docs/architecture.md: the packages, and what imports what.

  python docs/draw_packages.py          # writes docs/figures/packages.svg

A package stands above all that it imports. An arrow is left out where others
lead the same way (A -> C beside A -> B -> C): `package_graph.py` lists all.
"""

import ast
from collections.abc import Mapping
import html
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import package_graph

PICTURE = package_graph.ROOT / "docs" / "figures" / "packages.svg"
WIDTH, HEIGHT, GAP, ROW = 150, 46, 18, 92
MARGIN = 16
# Colours of what a package may need.
FILLS = {"numbers": "#eef3f8", "texts": "#f4f1e8", "outside": "#eef6f0"}
OUTSIDE = ("config", "data", "tasks", "launch", "t5x")
TEXTS = (
  "analysis",
  "annotation",
  "evaluation",
  "miniworld",
  "paper",
  "storage",
  "studies",
  "text",
)


def floors(arrows: Mapping[str, set[str]]) -> dict[str, int]:
  """Package -> its floor: above all that it imports, right below its users."""
  found: dict[str, int] = {}

  def floor(name: str) -> int:
    if name not in found:
      below = arrows.get(name, set()) - {"xlrm"}
      found[name] = 1 + max(map(floor, below), default=-1)
    return found[name]

  for name in arrows:
    if name != "xlrm":
      floor(name)
  for name in sorted(found, key=found.get, reverse=True):
    above = [found[x] for x in found if name in arrows[x]]
    found[name] = max(found[name], min(above, default=found[name] + 1) - 1)
  return found


def needed(arrows: Mapping[str, set[str]]) -> list[tuple[str, str]]:
  """The arrows that no others imply (the transitive reduction)."""
  reach: dict[str, set[str]] = {}

  def reached(name: str) -> set[str]:
    if name not in reach:
      below = arrows.get(name, set())
      reach[name] = below.union(*map(reached, below)) if below else set()
    return reach[name]

  return [
    (name, other)
    for name in sorted(arrows)
    for other in sorted(arrows[name])
    if "xlrm" not in (name, other)
    and not any(other in reached(x) for x in arrows[name] - {other})
  ]


def _short(name: str) -> str:
  return name.removeprefix("xlrm.").replace(".", "/")


def _kind(name: str) -> str:
  first = _short(name).partition("/")[0]
  if first.startswith(OUTSIDE):
    return "outside"
  return "texts" if first in TEXTS else "numbers"


def _size(name: str) -> str:
  own = [x for x in package_graph.modules() if package_graph.package(x) == name]
  lines = sum(map(package_graph.lines, own))
  number = len([x for x in own if x != name])
  return f"{number} modules, {lines:,} lines" if number else f"{lines:,} lines"


def about(name: str) -> str:
  """The first line of a package's docstring."""
  return (ast.get_docstring(package_graph.tree(name)) or "").split("\n")[0]


def _places(levels: Mapping[str, int]) -> dict[str, tuple[int, int]]:
  """Upper left corners; in a row as their neighbours below stand."""
  arrows = package_graph.arrows()
  top, places = max(levels.values()), {}
  rows = [sorted(x for x in levels if levels[x] == i) for i in range(top + 1)]
  width = max(map(len, rows)) * (WIDTH + GAP)
  for level, row in enumerate(rows):

    def middle(name):
      below = [places[x][0] for x in arrows[name] if x in places]
      return sum(below) / len(below) if below else 0

    row.sort(key=lambda name: (middle(name), name))
    start = MARGIN + (width - len(row) * (WIDTH + GAP)) // 2
    for i, name in enumerate(row):
      x = start + i * (WIDTH + GAP)
      places[name] = (x, MARGIN + (top - level) * ROW)
  return places


def picture() -> str:
  """The picture as SVG."""
  arrows = package_graph.arrows()
  levels = floors(arrows)
  places = _places(levels)
  width = max(x for x, _ in places.values()) + WIDTH + MARGIN
  height = max(y for _, y in places.values()) + HEIGHT + MARGIN
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    'font-family="Helvetica, Arial, sans-serif" role="img" '
    'aria-label="Packages of xlrm, each above those that it imports">',
    f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
    'markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" '
    'fill="#8a94a0"/></marker></defs>',
  ]
  for name, other in needed(arrows):
    (x1, y1), (x2, y2) = places[name], places[other]
    x1, y1, x2 = x1 + WIDTH // 2, y1 + HEIGHT, x2 + WIDTH // 2
    bend = min(60, (y2 - y1) // 2)
    parts.append(
      f'<path d="M{x1} {y1} C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}" '
      'fill="none" stroke="#8a94a0" stroke-width="1" marker-end="url(#tip)"/>'
    )
  for name, (x, y) in places.items():
    title = html.escape(_short(name))
    parts += [
      f'<g><title>{html.escape(about(name))}</title><rect x="{x}" y="{y}" '
      f'width="{WIDTH}" height="{HEIGHT}" rx="7" fill="{FILLS[_kind(name)]}" '
      'stroke="#b9c2cc"/>',
      f'<text x="{x + 10}" y="{y + 20}" font-size="13" font-weight="bold" '
      f'fill="#1d2733">{title}</text>',
      f'<text x="{x + 10}" y="{y + 36}" font-size="10.5" fill="#5b6672">'
      f"{_size(name)}</text></g>",
    ]
  return "\n".join([*parts, "</svg>", ""])


def main() -> None:
  PICTURE.write_text(picture(), encoding="utf-8")
  print(f"{PICTURE.relative_to(package_graph.ROOT)}: written")


if __name__ == "__main__":
  main()
