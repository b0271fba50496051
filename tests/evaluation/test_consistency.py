"""Judges against themselves and against each other."""

import math

import numpy as np
import pytest

from xlrm.evaluation import consistency
from xlrm.evaluation import records


def verdict(pair, order, outcome, judge="j"):
  first, second = pair
  return records.Verdict(first, second, judge, order, outcome)


PAIR = ("a", "b")


@pytest.mark.parametrize(
  "outcomes, combined",
  [
    (("first", "first"), "win"),
    (("second", "second"), "loss"),
    (("tie", "tie"), "tie"),
    (("first", "second"), "inconsistent"),
    (("first", "tie"), "inconsistent"),
    (("first", "invalid"), "invalid"),
    (("invalid", "invalid"), "invalid"),
  ],
)
def test_g26_two_orders_make_one_verdict(outcomes, combined):
  both = [
    verdict(PAIR, order, outcome)
    for order, outcome in zip(("first", "second"), outcomes)
  ]
  assert consistency.combined(both) == {PAIR: combined}


def test_a_pair_written_the_other_way_round_is_the_same_pair():
  both = [
    verdict(("a", "b"), "first", "first"),
    verdict(("b", "a"), "first", "second"),
  ]
  assert consistency.combined(both) == {PAIR: "win"}
  found = consistency.consistency(both)
  # a was shown first, then b; a won both
  assert (found.both_orders, found.same, found.first_shown) == (1, 1.0, 0.5)


def simulated(n, bias, invalid, seed=0):
  """A judge who takes what is shown first with a probability, else decides by
  quality; quality is a coin."""
  rng = np.random.default_rng(seed)
  found, counts = [], {"shown": 0, "same": 0, "decided": 0, "valid": 0}
  for i in range(n):
    better = rng.choice(["first", "second"])
    said = []
    for order in ("first", "second"):
      outcome = order if rng.random() < bias else str(better)
      if rng.random() < invalid:
        outcome = "invalid"
      else:
        counts["decided"] += 1
        counts["shown"] += outcome == order
      said.append(outcome)
      found.append(verdict((f"x{i}", f"y{i}"), order, outcome))
    if "invalid" not in said:
      counts["valid"] += 1
      counts["same"] += said[0] == said[1]
  return found, counts


def test_g26_position_bias_and_consistency_are_counted():
  verdicts, counts = simulated(300, bias=0.3, invalid=0.1)
  found = consistency.consistency(verdicts)
  assert found.n == 600 and found.decided == counts["decided"]
  assert found.invalid == 600 - counts["decided"] and found.ties == 0
  assert found.first_shown == pytest.approx(counts["shown"] / counts["decided"])
  assert found.same == pytest.approx(counts["same"] / counts["valid"])
  assert found.both_orders == counts["valid"]
  # Takes the first in 0.3 + 0.7 / 2 of the cases
  assert 0.5 < found.low < 0.65 < found.high


def test_g27_position_intervals_cover():
  hits = 0
  for seed in range(200):
    verdicts, _ = simulated(60, bias=0.3, invalid=0.05, seed=seed)
    found = consistency.consistency(verdicts)
    hits += found.low <= 0.65 <= found.high
  assert 0.9 <= hits / 200 <= 0.99


def test_one_order_says_nothing_of_consistency():
  found = consistency.consistency([verdict(PAIR, "first", "tie")])
  assert math.isnan(found.same) and math.isnan(found.first_shown)
  assert (found.ties, found.both_orders, found.low, found.high) == (1, 0, 0, 1)


def test_judges_agree_on_what_both_decided():
  pairs = [(f"a{i}", f"b{i}") for i in range(5)]
  first = ["win", "loss", "tie", "win", "invalid"]
  second = ["win", "win", "tie", "inconsistent", "win"]
  found = consistency.agreed(dict(zip(pairs, first)), dict(zip(pairs, second)))
  assert found.n == 3 and found.rate == pytest.approx(2 / 3)
  # Verdicts first, second, tie against first, first, tie
  assert found.chance == pytest.approx((2 + 0 + 1) / 9)


@pytest.mark.parametrize(
  "call, message",
  [
    (lambda: consistency.consistency([]), "no verdicts"),
    (
      lambda: consistency.combined(
        [verdict(PAIR, "first", "tie"), verdict(PAIR, "first", "tie", "k")]
      ),
      "2 judges: .'j', 'k'.",
    ),
    (
      lambda: consistency.combined([verdict(("a", "a"), "first", "tie")]),
      "with itself",
    ),
    (lambda: consistency.agreed({PAIR: "win"}, {PAIR: "invalid"}), "share no"),
  ],
)
def test_g28_verdicts_that_cannot_be_compared(call, message):
  with pytest.raises(ValueError, match=message):
    call()
