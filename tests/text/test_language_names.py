"""English names of languages, as prompts and pages spell them."""

import pytest

from xlrm.miniworld import world
from xlrm.text import language_names


@pytest.mark.parametrize(
  ("code", "name"),
  [("de", "German"), ("pt-BR", "Portuguese"), ("xx", "xx"), ("", "")],
)
def test_a_code_without_a_name_stays_as_it_is(code, name):
  assert language_names.english(code) == name


def test_the_languages_of_the_paper_have_names():
  names = [language_names.english(code) for code in world.LANGUAGES]
  assert len(set(names)) == 6 and not set(names) & set(world.LANGUAGES)
