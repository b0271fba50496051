"""Every fault is the one it claims to be, and costs quality."""

import pytest

from xlrm.miniworld import faults
from xlrm.miniworld import gold
from xlrm.miniworld import randomness
from xlrm.miniworld import world


@pytest.mark.parametrize("code", world.LANGUAGES)
@pytest.mark.parametrize("fault", faults.ALL)
def test_every_fault_costs_quality(code, fault):
  for index in range(20):
    rng = randomness.stream("test", code, fault, index)
    event = world.draw_event(rng, "test")
    text = faults.ALL[fault](event, code, rng)
    verdict = gold.judge(event, text, code)
    assert verdict.quality < 0.71, text
    assert verdict.faults
    if fault == "wrong_language":
      assert verdict.quality <= gold.WRONG_LANGUAGE
      assert verdict.faults == ("language",) or len(verdict.faults) > 1


@pytest.mark.parametrize("code", world.LANGUAGES)
def test_faults_are_the_ones_they_claim(code):
  expected = {
    "wrong_number": {"number"},
    "wrong_name": {"person", "city"},
    "ungrammatical": {"grammar"},
    "repetitive": {"repetition"},
    "not_concise": {"concision"},
  }
  for fault, claimed in expected.items():
    for index in range(20):
      rng = randomness.stream("claims", code, fault, index)
      event = world.draw_event(rng, "test")
      text = faults.ALL[fault](event, code, rng)
      assert claimed & set(gold.judge(event, text, code).faults), text


def test_a_wrong_fact_is_wrong_in_one_field():
  for index in range(40):
    rng = randomness.stream("wrong", index)
    event = world.draw_event(rng, "train")
    for field in ("number", "city", "person", "kind", "day"):
      wrong = faults.wrong_facts(event, field, rng)
      differing = [
        name
        for name in ("number", "city", "person", "kind", "day")
        if getattr(wrong, name) != getattr(event.main, name)
      ]
      assert differing == [field]
      assert world.may_be_told(wrong, event)


def test_a_mixture_draws_its_faults_by_weight():
  rng = randomness.stream("mixture")
  event = world.draw_event(rng, "test")
  weights = {"repetitive": 3.0, "not_concise": 1.0, "wrong_name": 0.0}
  drawn = [faults.of_mixture(weights, event, "en", rng)[0] for _ in range(200)]
  assert set(drawn) == {"repetitive", "not_concise"}
  assert 0.6 < drawn.count("repetitive") / 200 < 0.9


def test_mentions_are_kept_or_not():
  good = "According to Belova, 22 houses burned in Cairo."
  assert faults.keeps_mentions(good, "22 houses Belova in Cairo.", "en")
  assert not faults.keeps_mentions(good, "22 houses burned in Cairo.", "en")
  assert not faults.keeps_mentions(good, good.replace("22", "23"), "en")
