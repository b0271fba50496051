"""Sentences read back: facts, agreement, and what is no sentence."""

import unicodedata

import pytest

from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import parsing
from xlrm.miniworld import world


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


@pytest.mark.parametrize(
  ("text", "code", "expected"),
  [
    ("  ISI  İzmir", "tr", "ısı izmir"),
    ("Ёлка", "ru", "елка"),
    ("Kahire’de", "tr", "kahire'de"),
    (unicodedata.normalize("NFD", "Hà Nội"), "vi", "hà nội"),
  ],
)
def test_spellings_of_one_text_are_one(text, code, expected):
  assert parsing.normalise(text, code) == expected


def test_a_damaged_sentence_still_mentions_its_facts():
  (read,) = parsing.read("Belova fire 07 22 on Tuesday Cairo", "en")
  assert read.role is None and read.kind is None
  told = [(mention.slot, mention.value) for mention in read.mentions]
  assert told == [
    ("person", "belova"),
    ("number", "07"),  # a spelling that this world does not have
    ("number", 22),
    ("day", "tuesday"),
    ("city", "cairo"),
  ]
  assert read.words[:2] == ("<person>", "fire")


def test_known_words_are_counted():
  assert parsing.known_share("A fire destroyed 22 qwx zzq", "en") == 4 / 6
  assert parsing.known_share("", "en") == 0.0
  assert parsing.words("A fire, in Cairo!", "en") == [
    "a",
    "fire",
    "in",
    "cairo",
  ]
