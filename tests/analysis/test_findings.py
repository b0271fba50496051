"""Sentences follow the numbers; expectations are met or missed honestly."""

import dataclasses

import numpy as np
import pytest

from xlrm.analysis import expectations
from xlrm.analysis import findings
from xlrm.analysis import palette
from xlrm.analysis import report_inputs


def verdict_of(inputs):
  return findings.verdict(inputs, findings.results(inputs))


@pytest.mark.parametrize(
  "lift, answer, first",
  [
    (0.35, "Yes.", "In all 4 cross-lingual pairs, the best of 16"),
    (0.0, "Not shown.", "In none of 4 cross-lingual pairs"),
    (-0.5, "No.", "In none of 4 cross-lingual pairs"),
  ],
)
def test_verdict(study, lift, answer, first):
  records = study.make_records(60, lift=lift)
  verdict = verdict_of(study.make_inputs(records=records))
  assert verdict.answer == answer
  assert verdict.sentences[0].startswith(first)
  assert "gold judge" in verdict.sentences[0]
  assert any("greedy" in sentence for sentence in verdict.sentences)
  assert any("baselines" in sentence for sentence in verdict.sentences)


def test_worse_pairs_are_told(study):
  records = study.make_records(60, lift=-0.5)
  text = " ".join(verdict_of(study.make_inputs(records=records)).sentences)
  assert "In all 4 pairs it is worse than the sample." in text
  assert "it loses to it" in text


def test_verdict_without_cross_lingual_pairs(study):
  records = [r for r in study.make_records(5) if r.source in ("", r.target)]
  verdict = verdict_of(study.make_inputs(records=records))
  assert verdict.answer == "Not measured."


def states(inputs):
  checked = expectations.check(inputs, findings.results(inputs))
  return [finding.met for finding in checked], checked


def test_expectations_met(study):
  goal = report_inputs.Expectations(min_prompts=100, flat_change=0.05)
  records = study.make_records(100, lift=0.35)
  met, _ = states(study.make_inputs(records=records, expectations=goal))
  assert met == [True] * 7


def test_g10_expectations_missed_name_the_numbers(study):
  weak = dataclasses.replace(
    study.make_accuracy()[4], language="ru", accuracy=0.6, length=0.58
  )
  lucky = dataclasses.replace(weak, reward_model="untrained head", accuracy=0.9)
  inputs = study.make_inputs(
    records=study.make_records(40, lift=-0.4)[:-1],
    accuracy=[weak, lucky],
    expectations=report_inputs.Expectations(sft_quality=0.95),
  )
  met, checked = states(inputs)
  assert met == [False] * 7
  details = [" ".join(finding.details) for finding in checked]
  assert "English \u2192 Spanish" in details[0] and "n = 40" in details[0]
  assert "English \u2192 Spanish" in details[1]
  assert "Russian" not in details[1]  # PPO was not run there
  assert "60.0%" in details[2] and "58.0% length, n = 400" in details[2]
  assert "90.0%" in details[3]
  assert "Spanish: 0." in details[4]
  assert "SFT en: +" in details[5]
  assert "Russian \u2192 Russian: 39" in details[6]
  assert "1 prompts lack one side" in details[6]


def test_what_was_not_measured_is_not_met(study):
  records = [
    dataclasses.replace(
      r, scores={k: v for k, v in r.scores.items() if k != "gold"}
    )
    for r in study.make_records(30)
    if r.source in ("", r.target)
  ]
  met, _ = states(study.make_inputs(records=records, accuracy=(), training={}))
  assert met[:6] == [None] * 6
  inputs = study.make_inputs(expectations=None)
  assert expectations.check(inputs, findings.results(inputs)) == ()


def test_last_quarter_rise():
  history = [
    {"step": float(step), "x": value}
    for step, value in ((10, 0.1), (30, 0.5), (35, 0.7), (40, 0.6))
  ]
  rise = expectations.last_quarter_rise
  assert rise(history, "x") == pytest.approx(0.1)  # from step 30 to step 40
  assert rise(history, "y") is None
  assert rise(history[-2:], "x") is None


def test_judges_are_those_that_the_records_have(study):
  inputs = study.make_inputs()
  assert report_inputs.judges_of(inputs) == ("gold", "reward/{target}")
  chosen = study.make_inputs(judges=("reward/en",))
  assert report_inputs.judges_of(chosen) == ("reward/en",)


def test_text_on_the_colour_scale_is_readable():
  for value in np.linspace(0, 1, 201):
    colour = palette.diverging(float(value), 0.5, 0.5)
    assert palette.contrast(palette.text_on(colour), colour) > 3.9
  assert palette.diverging(0.5, 0.5, 0.1) == "#f7f6f2"
  assert palette.diverging(9.0, 0.5, 0.1) == "#1b5e9b"
  assert palette.contrast("#ffffff", "#000000") == pytest.approx(21)
