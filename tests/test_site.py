"""docs/: every page has its place, links lead somewhere, options have meanings.

(The strict build of the site itself is `make docs`.)
"""

import ast
import json
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "docs"))

import docstring_pages
import make_reference

ROOT = make_reference.ROOT
NAV = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
PAGES = sorted(ROOT.glob("docs/**/*.md"))


@pytest.mark.parametrize(
  "page", [x.relative_to(ROOT / "docs").as_posix() for x in PAGES]
)
def test_every_page_is_in_the_nav(page):
  assert re.search(rf": {re.escape(page)}$", NAV, re.MULTILINE), (
    f"docs/{page} is in no menu: give it a line under `nav` of mkdocs.yml"
  )


def test_readers_find_every_notebook_and_page_of_launching():
  for path in ROOT.glob("docs/notebooks/*.ipynb"):
    assert f"notebooks/{path.stem}.md" in NAV
  hooks = (ROOT / "docs/hooks.py").read_text(encoding="utf-8")
  for path in ROOT.glob("launch/*.md"):
    assert f'"launch/{path.name}"' in hooks


@pytest.mark.parametrize(
  "path",
  [ROOT / x for x in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + PAGES,
  ids=lambda x: x.name,
)
def test_links_to_files_lead_somewhere(path):
  text = path.read_text(encoding="utf-8")
  for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
    if re.match(r"[a-z]+:", link) or "reference/" in link:
      continue
    target = path.parent / link
    notebook = target.with_suffix(".ipynb")
    assert target.exists() or notebook.exists(), f"{path.name}: {link}"


@pytest.mark.parametrize("path", PAGES, ids=lambda x: x.name)
def test_lists_are_lists_on_the_site_too(path):
  """mkdocs wants more than others: a blank line before, 4 columns inside."""
  text = re.sub(
    r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S
  )
  glued = re.search(r"^(?![-*|\s]|\d+\.)[^\n]+\n([-*]|1\.) [^\n]*", text, re.M)
  assert not glued, f"{path.name}: a blank line before the list {glued[0]!r}"
  paragraph = re.search(r"\n {4,}\S[^\n]*\n([-*]|1\.) [^\n]*", text)
  assert not paragraph, f"{path.name}: a blank line before {paragraph[0]!r}"
  inside = re.search(r"\n\n {1,3}\S[^\n]*", text)
  assert not inside, f"{path.name}: indent by 4 columns: {inside[0].strip()!r}"


def test_references_link_to_pages_that_are_made():
  made = {"options", "gin_files", "commands", *make_reference.MODULES}
  for path in PAGES:
    links = re.findall(r"reference/(\w+)\.md", path.read_text(encoding="utf-8"))
    assert set(links) <= made, path


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/notebooks/*.ipynb")))
def test_notebooks_are_kept_without_outputs_and_compile(path):
  notebook = json.loads(path.read_text(encoding="utf-8"))
  for cell in notebook["cells"]:
    if cell["cell_type"] == "code":
      assert not cell["outputs"] and cell["execution_count"] is None
      ast.parse("".join(cell["source"]))


def test_every_option_has_a_meaning_and_every_module_a_page():
  assert make_reference.undocumented() == []
  assert make_reference.unlisted() == []


def test_options_are_those_of_the_signature():
  rows = {
    x[0]: x for x in make_reference.options("xlrm.ppo.objective:PPOConfig")
  }
  assert rows["kl_coefficient"][1] == 0.1
  table = make_reference.options("xlrm.models.t5:mt5")
  assert table[0][:2] == ("size", make_reference.REQUIRED)


def test_prose_shows_the_characters_of_the_docstring():
  shown = docstring_pages.escaped("a_b * [c] <es> `x_y` https://a.b/c_d.")
  assert shown == "a\\_b \\* \\[c] &lt;es&gt; `x_y` <https://a.b/c_d>."


def test_sections_are_told_apart():
  head, sections = docstring_pages.parse(
    """Draws.

    Args:
      first, second: of one kind,
        both.
      third: alone.

    Raises:
      ValueError: never.
    """
  )
  assert head == "Draws."
  assert docstring_pages.entries(sections["Args"]) == {
    "first": "of one kind, both.",
    "second": "of one kind, both.",
    "third": "alone.",
  }
  assert list(sections) == ["Args", "Raises"]


def test_long_signatures_have_a_line_per_argument():
  node = ast.parse(
    "def f(alpha: int, beta: str = 'x' * 9, *, gamma: float = 1.0,"
    " **delta: dict[str, int]) -> dict[str, int]: pass"
  ).body[0]
  assert docstring_pages.signature(node, "f").splitlines() == [
    "f(",
    "  alpha: int,",
    '  beta: str = "x" * 9,',
    "  *,",
    "  gamma: float = 1.0,",
    "  **delta: dict[str, int],",
    ") -> dict[str, int]",
  ]
