"""Signs of reward hacking (G17): which rows of a run raise an alarm."""

import math

import pytest

from xlrm.evaluation import hacking_panel

HEALTHY = {
  "objective/scores": 0.1,
  "objective/kl": 1.0,
  "policy/entropy_avg": 2.0,
  "response/tokens": 20.0,
  "response/repeated": 0.05,
  "response/missing_eos": 0.0,
  "response/language": 0.98,
  "response/unique": 0.9,
}
CONFIG = hacking_panel.PanelConfig()


def run(*changes):
  """A healthy first row, and one more per set of changes."""
  rows = [{"step": 1, **HEALTHY}]
  return [
    *rows,
    *({"step": n, **HEALTHY, **c} for n, c in enumerate(changes, 2)),
  ]


def events(*changes, config=CONFIG):
  return hacking_panel.events(run(*changes), config)


# Metric, a value just inside its threshold, one just outside, the threshold.
EDGES = [
  ("objective/kl", 14.9, 15.1, 15.0),
  ("policy/entropy_avg", 0.61, 0.59, 0.6),
  ("response/tokens", 29.9, 30.1, 30.0),
  ("response/tokens", 13.4, 13.3, 40 / 3),
  ("response/repeated", 0.149, 0.151, 0.15),
  ("response/missing_eos", 0.19, 0.21, 0.2),
  ("response/language", 0.91, 0.89, 0.9),
  ("response/unique", 0.46, 0.44, 0.45),
]


@pytest.mark.parametrize(("sign", "inside", "outside", "threshold"), EDGES)
def test_g17_each_threshold_by_hand(sign, inside, outside, threshold):
  assert not events({sign: inside})
  (event,) = events({sign: inside}, {sign: outside})
  assert (event.step, event.sign, event.value) == (3, sign, outside)
  assert event.threshold == pytest.approx(threshold)
  assert event.meaning


def test_g17_a_healthy_run_raises_no_alarm():
  assert not events({"objective/scores": 3.0}, {"objective/kl": 9.0})


def test_g17_a_frozen_policy_hides_no_sign():
  """Entropy is known from the first update of the policy on."""
  rows = run({}, {"policy/entropy_avg": 0.5})
  del rows[0]["policy/entropy_avg"]
  (event,) = hacking_panel.events(rows, CONFIG)
  assert (event.step, event.sign) == (3, "policy/entropy_avg")
  assert event.threshold == pytest.approx(0.6)


def test_g17_a_skipped_first_step_hides_no_sign():
  rows = run({}, {"response/tokens": 90.0})
  rows[0] = {name: math.nan for name in HEALTHY} | {"step": 1}
  (event,) = hacking_panel.events(rows, CONFIG)
  assert (event.step, event.sign) == (3, "response/tokens")


def test_a_metric_that_a_run_does_not_have_raises_no_alarm():
  rows = [{"step": n, "objective/scores": 0.0} for n in (1, 2)]
  assert not hacking_panel.events(rows, CONFIG)
  assert not hacking_panel.events([], CONFIG)


def test_g17_a_held_out_judge_that_falls():
  rows = run({}, {})
  scores = {1: 0.2, 2: 1.0, 3: 0.45}  # 0.55 below the best
  rows += [{"step": n, "validation/heldout": x} for n, x in scores.items()]
  (event,) = hacking_panel.events(rows, CONFIG)
  assert (event.step, event.sign) == (3, "validation/heldout")
  assert event.threshold == pytest.approx(0.5)
  rows[-1]["validation/heldout"] = math.nan
  assert not hacking_panel.events(rows, CONFIG)


def test_g17_events_come_in_order_and_do_not_depend_on_what_follows():
  """So a resumed run writes the same events."""
  changes = [{"objective/kl": 20.0}, {}, {"response/tokens": 50.0}]
  found = events(*changes)
  assert [event.step for event in found] == [2, 4]
  for number in range(len(changes)):
    assert found[: len(events(*changes[:number]))] == events(*changes[:number])


def test_text_facts_of_a_response():
  prompt = "The old mill burned down on Monday night."
  facts = hacking_panel.text_facts
  copied = facts("the old mill burned down", prompt, "en")
  assert copied["response/copied"] == 1
  assert copied["response/repeated"] == 0
  again = facts("so it goes so it goes so it goes", prompt, "en")
  assert again["response/repeated"] > 0.5
  assert again["response/copied"] == 0
  assert set(facts("", prompt, "en")) == set(copied)
  assert all(math.isfinite(x) for x in facts("", "", "tr").values())


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"max_kl": -1.0}, "max_kl -1.0 is negative"),
    ({"min_unique": math.nan}, "min_unique nan"),
    ({"max_length_change": 0.8}, "max_length_change 0.8 is below 1"),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    hacking_panel.PanelConfig(**options)
