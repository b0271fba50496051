"""Random choices: their shares, and that a name has numbers of its own."""

import collections

import pytest
from scipy import stats

from xlrm.miniworld import randomness


def test_a_path_of_names_has_its_own_numbers():
  draw = lambda *names: randomness.stream(*names).random()
  assert draw("a", 1) == draw("a", 1)
  assert len({draw("a", 1), draw("a", 2), draw("b", 1), draw("a")}) == 4


@pytest.mark.parametrize(
  ("draw", "shares"),
  [
    (lambda rng: randomness.below(rng, 4), {0: 1, 1: 1, 2: 1, 3: 1}),
    (lambda rng: randomness.pick(rng, "abc"), {"a": 1, "b": 1, "c": 1}),
    (
      lambda rng: randomness.pick_other(rng, "abcd", "b", "d"),
      {"a": 1, "c": 1},
    ),
    (
      lambda rng: randomness.weighted(rng, {"x": 3.0, "none": 0.0, "y": 1.0}),
      {"x": 3, "y": 1},
    ),
    (
      lambda rng: "".join(randomness.shuffled(rng, "abc")),
      dict.fromkeys(("abc", "acb", "bac", "bca", "cab", "cba"), 1),
    ),
  ],
)
def test_shares_are_as_they_should_be(draw, shares):
  rng = randomness.stream("shares")
  counts = collections.Counter(draw(rng) for _ in range(4000))
  assert counts.keys() == shares.keys()
  expected = [4000 * x / sum(shares.values()) for x in shares.values()]
  found = [counts[x] for x in shares]
  assert stats.chisquare(found, expected).pvalue > 1e-3
