"""Sentences checked by eye, one or more rules of grammar each."""

import dataclasses

import pytest

from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import parsing
from xlrm.miniworld import world

DE, EN, ES, RU, TR, VI = (languages.get(code) for code in world.LANGUAGES)


def _report(language, index, core, **changes):
  facts = dict(
    kind="fire", person="belova", city="cairo", number=22, day="tuesday"
  )
  facts = world.Facts(**{**facts, **changes})
  return grammar.sentence(language, language.reports[index], facts, core)


@pytest.mark.parametrize(
  "language, index, core, changes, expected",
  [
    # The finite verb stands second, and first after a clause.
    (DE, 1, 0, {}, "Laut Belowa zerstörte ein Feuer 22 Häuser in Kairo."),
    (
      DE,
      3,
      1,
      {"person": "nam"},
      "Wie Bürgermeister Nam der Presse am Dienstag sagte, brannten in Kairo "
      "22 Häuser.",
    ),
    (
      DE,
      2,
      0,
      {"kind": "strike"},
      "Bürgermeisterin Belowa teilte mit: In Kairo streikten 22 Fahrer.",
    ),
    (
      DE,
      0,
      1,
      {"kind": "strike"},
      "In Kairo begann ein Streik von 22 Fahrern, sagte Belowa.",
    ),
    (
      EN,
      3,
      0,
      {},
      "As Mayor Belova told the press on Tuesday, a fire destroyed 22 houses "
      "in Cairo.",
    ),
    (EN, 1, 0, {}, "According to Belova, a fire destroyed 22 houses in Cairo."),
    (
      ES,
      2,
      1,
      {},
      "La alcaldesa Belova anunció que 22 casas ardieron en El Cairo.",
    ),
    (
      ES,
      2,
      1,
      {"person": "vega", "kind": "election", "city": "moscow"},
      "El alcalde Vega anunció que 22 mujeres ganaron las elecciones en Moscú.",
    ),
    # Gender of the speaker; houses after 21, 22 and 25; genitive of a name.
    (RU, 0, 1, {"number": 21}, "В Каире сгорел 21 дом, сказала Белова."),
    (
      RU,
      0,
      1,
      {"number": 22, "person": "orlov"},
      "В Каире сгорели 22 дома, сказал Орлов.",
    ),
    (RU, 1, 1, {"number": 11}, "По словам Беловой, в Каире сгорело 11 домов."),
    (
      RU,
      1,
      1,
      {"kind": "strike", "person": "vega"},
      "По словам Веги, в Каире началась забастовка 22 водителей.",
    ),
    (
      RU,
      4,
      0,
      {"kind": "harvest", "number": 31, "city": "vienna"},
      "Во вторник фермеры собрали 31 тонну яблок в Вене, подтвердила Белова.",
    ),
    # Vowel harmony and hardening; capital of i.
    (TR, 1, 1, {"city": "paris"}, "Belova'ya göre Paris'te 22 ev yandı."),
    (
      TR,
      3,
      1,
      {"person": "orlov", "city": "moscow"},
      "Başkan Orlov'un salı günü basına verdiği bilgiye göre Moskova'da 22 ev "
      "yandı.",
    ),
    (
      TR,
      0,
      0,
      {"kind": "harvest", "city": "hanoi"},
      "Belova, Hanoi'de çiftçiler 22 ton elma topladı dedi.",
    ),
    # ông or bà, but not after a title.
    (
      VI,
      4,
      1,
      {},
      "Hôm thứ ba, 22 ngôi nhà bị cháy ở Cairo, bà Belova xác nhận.",
    ),
    (
      VI,
      2,
      0,
      {"kind": "harvest", "person": "orlov", "city": "hanoi"},
      "Thị trưởng Orlov thông báo rằng nông dân thu hoạch 22 tấn táo ở Hà Nội.",
    ),
  ],
)
def test_sentence(language, index, core, changes, expected):
  assert _report(language, index, core, **changes) == expected


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
    dataclasses.replace(EN, days=("on Monday",))


@pytest.mark.parametrize("code", world.LANGUAGES)
def test_every_sentence_reads_back(code):
  """Every template with every person, city and day, and 33 numbers."""
  language = languages.get(code)
  for i in range(0, 98, 3):
    facts = world.Facts(
      world.KINDS[i % 8],
      world.PEOPLE[i % 10],
      world.CITIES[i // 8 % 10],
      world.NUMBERS[i],
      world.DAYS[i % 7],
    )
    for core in range(grammar.NUM_CORES):
      for template in language.reports:
        text = grammar.sentence(language, template, facts, core)
        (read,) = parsing.read(text, code)
        assert (read.role, read.kind) == ("report", facts.kind), text
        told = {m.slot: m.value for m in read.mentions}
        told.setdefault("day", facts.day)
        assert told == {
          "person": facts.person,
          "city": facts.city,
          "number": facts.number,
          "day": facts.day,
        }


def test_agreement_is_part_of_grammar():
  good = "В Каире сгорел 21 дом, сказала Белова."
  assert parsing.is_grammatical(good, "ru")
  for wrong in (
    "В Каире сгорел 22 дом, сказала Белова.",
    "В Каире сгорели 21 дома, сказала Белова.",
    "В Каире сгорел 21 дом, сказал Белова.",
    "В Каир сгорел 21 дом, сказала Белова.",
    "В Каира сгорел 21 дом, сказала Белова.",
  ):
    assert not parsing.is_grammatical(wrong, "ru"), wrong
  assert not parsing.is_grammatical("Belova'ya göre Paris'de 2 ev yandı.", "tr")
  assert not parsing.is_grammatical(
    "Thị trưởng bà Lan xác nhận điều này.", "vi"
  )


def test_unknown_language():
  with pytest.raises(ValueError, match="'fr'.*'de', 'en', 'es'"):
    languages.get("fr")
