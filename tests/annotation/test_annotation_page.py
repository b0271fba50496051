"""The page says everything in all six languages."""

import string

import pytest

from xlrm.annotation import annotation_page
from xlrm.annotation import answers
from xlrm.miniworld import world_rows


def leaves(tree, name=""):
  if isinstance(tree, dict):
    return {k for x in tree for k in leaves(tree[x], f"{name}/{x}")}
  return {name}


def texts(tree):
  if isinstance(tree, dict):
    return [x for value in tree.values() for x in texts(value)]
  return tree if isinstance(tree, list) else [tree]


def make_page(language, **fields):
  return answers.Page(
    **{
      "study": "s",
      "language": language,
      "kind": "summary",
      "ties": True,
      "instructions": "",
      **fields,
    }
  )


def test_every_language_of_the_miniworld_has_a_page():
  assert annotation_page.languages() == sorted(world_rows.LANGUAGES)
  assert annotation_page.language_of("vi") == "vi"
  assert annotation_page.language_of("sw") == "en"


@pytest.mark.parametrize("language", sorted(world_rows.LANGUAGES))
def test_no_word_is_missing_or_english(language):
  said, english = annotation_page.words(language), annotation_page.words("en")
  assert leaves(said) == leaves(english)
  assert all(x.strip() == x and x for x in texts(said))
  if language != "en":
    same = set(texts(said)) & set(texts(english))
    assert same <= {"Text"}  # it is German, too
  assert said["tie"] in said["ties"]  # the button is called as it says


@pytest.mark.parametrize("language", sorted(world_rows.LANGUAGES))
@pytest.mark.parametrize("kind", ["summary", "dialogue"])
def test_pages_are_complete(language, kind):
  text = annotation_page.render(make_page(language, kind=kind))
  assert f'<html lang="{language}">' in text
  assert "$" not in text
  assert annotation_page.words(language)[kind]["question"] in text


def test_own_instructions_are_escaped():
  own = "Wählen Sie <b>gut</b>.\n\nUnd $schnell."
  text = annotation_page.render(make_page("de", instructions=own))
  assert "&lt;b&gt;gut&lt;/b&gt;" in text and "<b>" not in text
  assert "$schnell" in text
  assert "Länge allein" not in text


def test_the_script_uses_words_that_the_page_has():
  html = (annotation_page.ASSETS / "page.html").read_text(encoding="utf-8")
  script = (annotation_page.ASSETS / "page.js").read_text(encoding="utf-8")
  names = string.Template(html).get_identifiers()
  flat = {x.split("/")[-1] for x in leaves(annotation_page.words("en"))}
  assert set(names) <= flat | {
    "page_language",
    "instructions",
    "tie_keys",
    "tie_button",
  }
  assert "innerHTML" not in script and "eval" not in script
  assert "http://" not in script + html and "https://" not in script + html
