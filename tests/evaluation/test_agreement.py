"""How often people agree, and judges, against loops and textbooks."""

import itertools
import math

import numpy as np
import pytest

from xlrm.evaluation import agreement


def test_agreement_of_people_equals_a_loop_over_pairs():
  keys = ["a", "b", "a", "c", "a", "c"]
  ratings = [1.0, 0.0, 0.0, 1.0, 1.0, 0.8]
  found = agreement.of_duplicates(keys, ratings)
  shares = []
  for key in ("a", "c"):
    own = [r > 0.5 for k, r in zip(keys, ratings) if k == key]
    pairs = list(itertools.combinations(own, 2))
    shares.append(np.mean([x == y for x, y in pairs]))
  assert found.n == 2 and found.rate == pytest.approx(np.mean(shares))
  assert found.low < found.rate < found.high
  assert agreement.of_duplicates(["a", "b"], [1.0, 0.0]) is None


def test_cohens_kappa_of_the_textbook():
  # Cohen (1960): 50 proposals, 20 and 15 agreed on, 5 and 10 not
  first = ["yes"] * 25 + ["no"] * 25
  second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
  found = agreement.of_judges(first, second)
  assert (found.rate, found.chance) == pytest.approx((0.7, 0.5))
  assert found.kappa == pytest.approx(0.4)
  assert found.low < 0.7 < found.high
  assert math.isnan(agreement.of_judges(["x"], ["x"]).kappa)


def test_chance_agreement():
  rng = np.random.default_rng(0)
  right = rng.random((2, 200000)) < np.array([[0.7], [0.6]])
  assert agreement.chance(0.7, 0.6) == pytest.approx(
    np.mean(right[0] == right[1]), abs=0.004
  )


def test_every_two_judges_meet_where_both_decided():
  verdicts = {
    "ana": {1: "win", 2: "loss", 3: "win"},
    "bo": {2: "loss", 3: "loss"},
    "cy": {1: "win"},
    "di": {9: "win"},
  }
  found = agreement.of_every_two(verdicts)
  assert {pair: (x.rate, x.n) for pair, x in found.items()} == {
    ("ana", "bo"): (0.5, 2),
    ("ana", "cy"): (1.0, 1),
  }


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: agreement.of_judges([], []), "0 and 0 verdicts"),
    (lambda: agreement.of_judges(["win"], []), "1 and 0 verdicts"),
    (lambda: agreement.chance(0.5, 1.2), "a rate is 1.2"),
    (lambda: agreement.of_duplicates(["a"], []), "1 keys for 0 ratings"),
  ],
)
def test_g28_what_cannot_be_compared(call, message):
  with pytest.raises(ValueError, match=message):
    call()
