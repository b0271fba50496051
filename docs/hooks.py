"""What the build of the site adds to docs/: README, reference, notebooks.

mkdocs calls `on_files` once per build, before it reads any page.
"""

import pathlib
import re
import sys

from mkdocs.structure import files as files_lib

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import make_reference
import notebook_pages

ROOT = pathlib.Path(__file__).parents[1]
# Page of the site -> file outside docs/.
OUTSIDE = {
  "index.md": "README.md",
  "changelog.md": "CHANGELOG.md",
  "contributing.md": "CONTRIBUTING.md",
  "launching.md": "launch/README.md",
}
# Pages that a checkout need not have: no error if they are missing.
OPTIONAL = ("launching.md", "studies.md", "many_processes.md")


def _target(link: str, folder: pathlib.PurePosixPath) -> str:
  """A link in a file outside docs/, as one in a page at the site's root."""
  path, hash_, anchor = link.partition("#")
  if not path or re.match(r"[a-z]+:", path):
    return link
  named = (folder / path).as_posix()
  pages = {file: page for page, file in OUTSIDE.items()}
  page = pages.get(named, named.removeprefix("docs/"))
  return re.sub(r"\.ipynb$", ".md", page) + hash_ + anchor


def outside_page(text: str, name: str) -> str:
  """A file outside docs/ with the links of a page at the site's root."""
  folder = pathlib.PurePosixPath(name).parent
  text = re.sub(
    r"(\]\()([^)\s]+)(\))",
    lambda x: x[1] + _target(x[2], folder) + x[3],
    text,
  )
  return re.sub(
    r'(src=")([^"]+)(")', lambda x: x[1] + _target(x[2], folder) + x[3], text
  )


def _is_there(page: str) -> bool:
  outside = OUTSIDE.get(page)
  return (ROOT / outside if outside else ROOT / "docs" / page).is_file()


def _without_missing(nav: list) -> list:
  """The nav without optional pages that this checkout lacks."""
  kept = []
  for entry in nav:
    title, page = next(iter(entry.items()))
    if isinstance(page, list):
      kept.append({title: _without_missing(page)})
    elif page not in OPTIONAL or _is_there(page):
      kept.append(entry)
  return kept


def on_config(config):
  config.nav = _without_missing(config.nav)
  return config


def on_files(files, config):
  made = dict(make_reference.pages())
  for page, name in OUTSIDE.items():
    if (ROOT / name).is_file():
      text = (ROOT / name).read_text(encoding="utf-8")
      made[page] = outside_page(text, name)
  cache = ROOT / "build/notebooks"
  made |= notebook_pages.pages(ROOT / "docs/notebooks", cache)
  for path, content in made.items():
    files.append(files_lib.File.generated(config, path, content=content))
  for file in list(files):
    if file.src_uri.endswith(".ipynb"):
      files.remove(file)
  return files
