"""Which gin file is found, and what it includes, whatever looks like it."""

import pathlib

import pytest

from xlrm.config import gin_files
from xlrm.config import gin_statements


def read(tmp_path: pathlib.Path, **texts: str) -> list[tuple[str, list[str]]]:
  """(name, what it binds) of a.gin and what it includes."""
  for name, text in texts.items():
    (tmp_path / f"{name}.gin").write_text(text, encoding="utf-8")
  sources = gin_files.with_includes(str(tmp_path / "a.gin"), [])
  return [
    (pathlib.Path(x.name).stem, [y.left for y in x.bindings]) for x in sources
  ]


def test_includes_come_first_and_the_deepest_before(tmp_path):
  found = read(
    tmp_path,
    a="# of a\ninclude 'b.gin'  # 'no.gin'\ninclude \\\n  'd.gin'\nA = 1\n",
    b="include 'c.gin'\nB = 1\n",
    c="C = 1",
    d="D = 1\n",
  )
  assert found == [("c", ["C"]), ("b", ["B"]), ("d", ["D"]), ("a", ["A"])]


def test_what_stands_in_quotes_is_no_include(tmp_path):
  text = 'A = """\ninclude \'no.gin\'\n"""\n'
  assert read(tmp_path, a=text) == [("a", ["A"])]


@pytest.mark.parametrize(
  "text",
  [
    "A = 3\ninclude 'b.gin'\n",
    "f:\n  x = 3\ninclude 'b.gin'\n",
    "A = (\n 1)\ninclude \\\n 'b.gin'\n",
  ],
)
def test_g23_an_include_below_a_binding_is_refused(text, tmp_path):
  line = text.split("\n").index("include 'b.gin'") if "\\" not in text else 2
  with pytest.raises(
    gin_statements.ConfigError, match=f"a.gin:{line + 1}: an include below"
  ):
    read(tmp_path, a=text, b="")


def test_imports_and_comments_above_an_include_are_none_of_its_bindings(
  tmp_path,
):
  text = "# A = 3\nimport json\ninclude 'b.gin'\n"
  assert read(tmp_path, a=text, b="B = 1\n") == [("b", ["B"]), ("a", [])]


def test_g23_a_file_of_t5x_s_trainer_is_refused():
  with pytest.raises(gin_statements.ConfigError, match="for T5X's own trainer"):
    gin_files.with_includes("t5x/sft.gin", [gin_files.gin_directory()])


def test_a_file_that_includes_itself_is_refused(tmp_path):
  with pytest.raises(gin_statements.ConfigError, match="includes itself"):
    read(tmp_path, a="include 'a.gin'\n")


def test_a_file_of_the_same_name_is_found_behind_itself(tmp_path):
  (tmp_path / "sft.gin").write_text("include 'sft.gin'\n")
  search = [gin_files.gin_directory()]
  sources = gin_files.with_includes(str(tmp_path / "sft.gin"), search)
  assert [pathlib.Path(x.name).parent for x in sources] == [
    gin_files.gin_directory(),
    tmp_path,
  ]


def test_a_missing_file_names_the_nearest():
  with pytest.raises(FileNotFoundError, match="nearest: sft.gin"):
    gin_files.with_includes("stf.gin", [gin_files.gin_directory()])
