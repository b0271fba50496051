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


def test_a_prompt_has_one_answer_of_a_method():
  records = comparisons.both(["a"], ["x"])
  again = comparisons.record("other")
  with pytest.raises(ValueError, match="two records answer one prompt: .*best"):
    pairing.by_prompt([*records, again], "best_of_n", "en", "es")
  found = pairing.by_prompt(records, "sample", "", "es")
  assert [x.output for x in found.values()] == ["x"]
  assert pairing.by_prompt(records, "best_of_n", "de", "es") == {}


def test_g28_what_has_no_partner_is_counted():
  found = comparisons.both(["a", "b", "c"], ["x"])
  found += comparisons.both(["a"], ["x", "y"], target="ru")
  paired = pairing.pair(found, "best_of_n", "sample")
  assert len(paired.pairs) == 2
  assert paired.unpaired == {("en", "es"): 2, ("en", "ru"): 1}


@pytest.mark.parametrize(
  ("found", "method", "said"),
  [
    (
      comparisons.both(["a"], ["x"]),
      "ppo",
      "'ppo'; there are best_of_n, sample",
    ),
    (comparisons.both(["a"], ["x"]), "sample", "compared with itself"),
    (
      [*comparisons.both(["a"], ["x"]), comparisons.record("b", sample=1)],
      "best_of_n",
      "two records answer one prompt",
    ),
    (
      [
        comparisons.record("a"),
        comparisons.record("x", method="sample", index=1),
      ],
      "best_of_n",
      "no prompt is answered by both",
    ),
    (
      [*comparisons.both(["a"], ["x"]), comparisons.record("b", study="t")],
      "best_of_n",
      "records of 2 studies",
    ),
  ],
)
def test_g28_records_that_cannot_be_paired(found, method, said):
  with pytest.raises(ValueError, match=said):
    pairing.pair(found, method, "sample")


def test_a_baseline_with_sources_meets_its_own_source():
  """`ppo` of two reward models against `best_of_n` of the same."""
  found = [
    comparisons.record(f"{method} {source}", method=method, source=source)
    for method in ("ppo", "best_of_n")
    for source in ("en", "de")
  ]
  pairs = pairing.pair(found, "ppo", "best_of_n").pairs
  assert [(x.ours.output, x.theirs.output) for x in pairs] == [
    ("ppo en", "best_of_n en"),
    ("ppo de", "best_of_n de"),
  ]
  assert [x.cell for x in pairs] == [("en", "es"), ("de", "es")]
  assert pairs[0].id == (found[0].id, found[2].id)


def test_equal_outputs_are_identical():
  pairs = pairing.pair(
    comparisons.both(["a", "a "], ["a", "a"]), "best_of_n", "sample"
  ).pairs
  assert [x.identical for x in pairs] == [True, False]
