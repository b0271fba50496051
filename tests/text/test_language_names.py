"""English names of languages, by code."""

import re

from xlrm.miniworld import world_rows
from xlrm.text import language_names


def test_every_language_of_the_shipped_tasks_has_its_name():
  named = {x: language_names.english(x) for x in world_rows.LANGUAGES}
  assert named == {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "ru": "Russian",
    "tr": "Turkish",
    "vi": "Vietnamese",
  }


def test_an_unknown_code_stays_as_it_is():
  assert language_names.english("xx-Qaaa") == "xx-Qaaa"
  assert language_names.english("") == ""


def test_codes_are_codes_and_names_are_names():
  for code, name in language_names.ENGLISH.items():
    assert re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", code), code
    assert re.fullmatch(r"[A-Z][a-z]+", name), name
