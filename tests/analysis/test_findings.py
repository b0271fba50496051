"""Sentences follow the numbers; expectations are met or missed honestly."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from xlrm.analysis import expectations
from xlrm.analysis import findings
from xlrm.analysis import report_inputs
from xlrm.analysis.exhibits import palette


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


def seeded(study, lifts, pairs):
  """Records of these pairs, a seed for each lift, and the SFT samples."""
  return [
    dataclasses.replace(x, seed=seed)
    for seed, lift in enumerate(lifts)
    for x in study.make_records(60, lift=lift, seed=seed)
    if x.source == "" or (x.source, x.target) in pairs
  ]


@pytest.mark.parametrize("lifts", [(0.38, 0.1), (0.38, 0.1, 0.3)])
def test_the_answer_says_what_the_seeds_say(study, lifts):
  for pairs in ([("en", "es")], [("en", "es"), ("de", "ru")]):
    inputs = study.make_small_inputs(records=seeded(study, lifts, pairs))
    verdict = verdict_of(inputs)
    assert verdict.answer == "Yes."
    ends = {}
    for source, target in pairs:  # as a reader would count
      rates = []
      for seed in range(len(lifts)):
        ours, theirs = (
          {
            x.example_id: x.scores["gold"]
            for x in inputs.records
            if (x.method, x.source, x.target, x.seed) == (*method, target, seed)
          }
          for method in (("best_of_n", source), ("sample", ""))
        )
        won = [np.sign(ours[x] - theirs[x]) for x in ours]
        rates.append(0.5 + np.mean(won) / 2)
      found = stats.ttest_1samp(rates, 0).confidence_interval()
      low, high = max(0.0, found.low), min(1.0, found.high)
      ends[source, target] = np.mean(rates), low, high
    lowest = min(ends, key=lambda x: ends[x][1])
    rate, low, high = (100 * x for x in ends[lowest])
    text = f"{rate:.1f}% [{low:.1f}, {high:.1f}]"
    little = "; two seeds say little" if len(lifts) == 2 else ""
    start = f"Between {len(lifts)} seeds the win rate"
    if len(pairs) == 1:
      expected = f"{start} varies: {text}{little}."
    else:
      above = sum(low > 0.5 for _, low, _ in ends.values())
      count = ("no pair", "1 of 2 pairs", "all 2 pairs")[above]
      name = {"en": "English \u2192 Spanish", "de": "German \u2192 Russian"}
      expected = (
        f"{start}s vary: the interval is above 50% in {count} and reaches "
        f"lowest in {name[lowest[0]]}, {text}{little}."
      )
    assert verdict.sentences[1] == expected


def test_one_seed_says_nothing_of_others(study, inputs):
  text = " ".join(verdict_of(inputs).sentences)
  assert "seeds" not in text and "95% interval over prompts" in text


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
