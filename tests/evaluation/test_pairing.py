"""Pairs of two methods' outputs, and what has no partner."""

import comparisons
import pytest

from xlrm.evaluation import pairing


def test_pairs_are_those_of_the_same_prompt_in_every_cell():
  records = comparisons.both(["a", "b", "c"], ["x", "b"])
  found = pairing.pair(records[::-1], "best_of_n", "sample")
  assert [(x.ours.output, x.theirs.output) for x in found.pairs] == [
    ("b", "b"),
    ("a", "x"),
  ]
  assert found.unpaired == {("en", "es"): 1}
  assert [x.identical for x in found.pairs] == [True, False]
  for x in found.pairs:
    assert x.cell == ("en", "es") and x.id == (x.ours.id, x.theirs.id)


def test_a_baseline_with_sources_is_that_of_the_same_source():
  ours = [
    comparisons.record(f"ours {source}", source=source)
    for source in ("en", "de")
  ]
  theirs = [
    comparisons.record(f"theirs {source}", source=source, method="ppo")
    for source in ("de", "en")
  ]
  found = pairing.pair([*ours, *theirs], "best_of_n", "ppo")
  assert [x.theirs.output for x in found.pairs] == ["theirs en", "theirs de"]


@pytest.mark.parametrize(
  ("change", "methods", "message"),
  [
    ({}, ("sample", "sample"), "'sample' cannot be compared with itself"),
    ({}, ("ppo", "sample"), "no records of the method 'ppo'; there are best_"),
    ({"study": "t"}, ("best_of_n", "sample"), r"2 studies: \['s', 't'\]"),
    ({"index": 5}, ("best_of_n", "sample"), "no prompt is answered by both"),
  ],
)
def test_records_that_cannot_be_paired(change, methods, message):
  records = [
    comparisons.record("a", method="best_of_n"),
    comparisons.record("b", method="sample", **change),
  ]
  with pytest.raises(ValueError, match=message):
    pairing.pair(records, *methods)


def test_a_prompt_has_one_answer_of_a_method():
  records = comparisons.both(["a"], ["x"])
  again = comparisons.record("other")
  with pytest.raises(ValueError, match="two records answer one prompt: .*best"):
    pairing.by_prompt([*records, again], "best_of_n", "en", "es")
  found = pairing.by_prompt(records, "sample", "", "es")
  assert [x.output for x in found.values()] == ["x"]
  assert pairing.by_prompt(records, "best_of_n", "de", "es") == {}
