"""How facts become sentences: capitals, plurals, tables of a language."""

import dataclasses

import pytest

from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import world


def test_capitalise():
  assert grammar.capitalise("iki", "tr") == "İki"
  assert grammar.capitalise("in", "de") == "In"
  assert grammar.capitalise("один", "ru") == "Один"
  assert grammar.capitalise("7 Häuser", "de") == "7 Häuser"


def test_slavic():
  numbers = {1: 0, 2: 1, 4: 1, 5: 2, 11: 2, 12: 2, 14: 2, 20: 2, 21: 0, 24: 1}
  assert {n: grammar.slavic(n) for n in numbers} == numbers


def test_a_table_of_the_wrong_length_is_refused():
  with pytest.raises(ValueError, match="'days' has 1 entries, not 7"):
    dataclasses.replace(languages.get("en"), days=("on Monday",))


@pytest.mark.parametrize(
  ("code", "template", "expected"),
  [
    ("de", "laut {person} {inv}.", "laut {person} brannten in {city} "),
    ("de", "{core}, sagte {person}.", "in {city} brannten {number} "),
    ("de", "so ist es: {Core}.", "so ist es: In {city} brannten "),
    ("en", "{inv}, said {person}.", "{number} houses burned in {city}, "),
  ],
)
def test_the_verb_comes_first_where_the_template_asks(code, template, expected):
  language = languages.get(code)
  assert grammar.compose(language, template, "fire", 1).startswith(expected)


def test_a_slot_of_several_words_is_one_piece():
  facts = world.Facts("fire", "belova", "cairo", 22, "tuesday")
  spanish = languages.get("es")
  found = grammar.pieces(spanish, "según {person}, {core}.", facts, core=1)
  assert found == [
    "Según",
    "Belova,",
    "22",
    "casas",
    "ardieron",
    "en",
    "El Cairo.",
  ]
  assert grammar.bare(found[-1]) == "el cairo"


def test_templates_are_whole_but_for_facts():
  for code in world.LANGUAGES:
    found = list(grammar.templates(languages.get(code)))
    assert len(set(found)) == len(found)
    for _, _, template in found:
      slots = {match[0] for match in grammar.SLOT.findall(template)}
      assert slots <= {"city", "person", "number", "day"}
