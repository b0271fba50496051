"""One verdict of a pair from both orders."""

import itertools

import pytest

from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import records


def test_g26_every_combination_of_two_orders():
  outcomes = ("first", "second", "tie", "invalid")
  for one, two in itertools.product(outcomes, outcomes):
    told = pair_verdicts.combine(
      records.Verdict("a", "b", "j", "first", one),
      records.Verdict("a", "b", "j", "second", two),
    )
    if "invalid" in (one, two):
      assert (told.kind, told.hard) == ("invalid", None)
    elif one != two:
      assert (told.kind, told.hard) == ("inconsistent", 0.5)
    else:
      expected = {
        "first": ("win", 1),
        "second": ("loss", 0),
        "tie": ("tie", 0.5),
      }
      assert (told.kind, told.hard) == expected[one]


def test_g28_verdicts_that_are_not_of_both_orders():
  one = records.Verdict("a", "b", "j", "first", "first")
  with pytest.raises(ValueError, match="one order only of a against b"):
    pair_verdicts.of_pairs([one])
  with pytest.raises(ValueError, match="two verdicts with first shown first"):
    pair_verdicts.of_pairs([one, one])
  other = records.Verdict("a", "b", "k", "second", "first")
  with pytest.raises(ValueError, match="2 judges"):
    pair_verdicts.of_pairs([one, other])
