"""Sentences of every language checked by eye, one or more rules each."""

import pytest

from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import world

DE, EN, ES, RU, TR, VI = (languages.get(code) for code in world.LANGUAGES)


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


def test_unknown_language():
  with pytest.raises(ValueError, match="'fr'.*'de', 'en', 'es'"):
    languages.get("fr")
