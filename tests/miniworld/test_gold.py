"""The gold judge: good texts, garbage, faults, and attempts to please it."""

import unicodedata

import pytest

from xlrm.evaluation import judges
from xlrm.miniworld import documents
from xlrm.miniworld import gold
from xlrm.miniworld import randomness
from xlrm.miniworld import world
from xlrm.miniworld import world_rows

FACTS = world.Facts("fire", "belova", "cairo", 22, "tuesday")
GOOD = {
  "de": "Laut Belowa zerstörte ein Feuer 22 Häuser in Kairo.",
  "en": "On Tuesday a fire destroyed 22 houses in Cairo, Belova confirmed.",
  "es": "Según Belova, 22 casas ardieron en El Cairo.",
  "ru": "В Каире сгорели 22 дома, сказала Белова.",
  "tr": "Belova'ya göre Kahire'de 22 ev yandı.",
  "vi": "Theo bà Belova, 22 ngôi nhà bị cháy ở Cairo.",
}


def quality(text, code="en"):
  return gold.judge(FACTS, text, code).quality


@pytest.mark.parametrize("code", world.LANGUAGES)
def test_good_in_any_spelling(code):
  good = GOOD[code]
  verdict = gold.judge(FACTS, good, code)
  assert (verdict.quality, verdict.faults) == (1.0, ())
  for spelling in (
    unicodedata.normalize("NFD", good),
    good.removesuffix("."),
    good.upper() if code != "tr" else good.replace("e", "E"),
    f"  {good} ",
    good.replace("'", "’"),
  ):
    assert quality(spelling, code) == 1, spelling


@pytest.mark.parametrize("code", world.LANGUAGES)
def test_garbage_and_nothing_get_nothing(code):
  for text in ("", " ", ".", "...", "\u2581\u2581", "qwx zzq", "@#!", "你好"):
    verdict = gold.judge(FACTS, text, code)
    assert verdict.quality == 0, text
    assert verdict.faults


def test_two_faults_are_worse_than_one():
  chain = [
    "According to Belova, a fire destroyed 22 houses in Cairo.",
    "According to Belova, a fire destroyed 23 houses in Cairo.",
    "According to Belova, a fire destroyed 23 houses in Rome.",
    "According to Belova, a flood damaged 23 houses in Rome.",
    "According to Belova, flood a damaged 23 houses in Rome.",
    "According to Belova, flood a damaged 23 houses in Rome. It rained all "
    "night.",
  ]
  qualities = [quality(text) for text in chain]
  assert qualities == sorted(qualities, reverse=True)
  assert len(set(qualities)) == len(qualities)


def test_no_text_games_the_judge():
  for text in (
    "fire Belova Cairo 22",
    "Belova fire destroyed 22 houses Cairo Tuesday",
    "According to Belova, a fire destroyed 22 23 24 houses in Cairo.",
    "A fire destroyed 22 houses in Cairo.",
    "Mayor Belova confirmed this on Tuesday.",
    "Last summer a fire destroyed 22 houses in Cairo.",
    "According to Belova, a fire destroyed 22 houses in Cairo. Nam lives "
    "nearby.",
    " ".join([GOOD["en"]] * 2),
    " ".join(GOOD.values()),
    GOOD["en"].replace("22", "022"),
    GOOD["en"].replace("22", "٢٢"),
  ):
    assert quality(text) <= 0.6, text
  assert quality(
    "On Monday a fire destroyed 22 houses in Cairo, Belova confirmed."
  ) == pytest.approx(0.7)


def test_a_foreign_summary_is_worth_a_tenth():
  for asked in world.LANGUAGES:
    for written, text in GOOD.items():
      verdict = gold.judge(FACTS, text, asked)
      assert verdict.quality == (1 if asked == written else 0.1), (asked, text)
      assert verdict.language == (asked == written)


def test_judge_example_finds_the_event():
  (row,) = world_rows.summary_rows("de", "test", 3, 1)
  assert gold.judge_example(row.id, row.summary).quality == 1
  event = world_rows.event_of(row.id)
  rng = randomness.stream("other")
  assert (
    gold.judge_example(row.id, documents.memory(event, "de", rng)).quality < 0.2
  )


def test_the_gold_judge_is_a_judge_of_records():
  (row, other) = world_rows.summary_rows("ru", "test", 0, 2)
  found = judges.records_of(
    [
      {
        "id": row.id,
        "language": "ru",
        "reward_inputs": row.document,
        "targets_pretokenized": "",
      }
    ]
    * 2,
    [row.summary, other.summary],
  )
  assert isinstance(gold.GoldJudge(), judges.Judge)
  good, bad = judges.judged(found, [gold.GoldJudge()])
  assert good.scores["gold"] == 1.0 > bad.scores["gold"]
