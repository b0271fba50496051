"""What people compare: pairs of records, by prompt."""

import dataclasses
import random

import people
import pytest

from xlrm.annotation import pairs
from xlrm.evaluation import pairing


def test_g28_records_without_pairs_list_what_there_is():
  rows = people.make_records(3)
  with pytest.raises(ValueError, match=r"zz_ours en->es \(3\)"):
    pairs.of_records(
      rows, method="zz_ours", source="de", baseline="zz_theirs", language="es"
    )
  with pytest.raises(ValueError, match="two records answer one prompt"):
    people.make_pairs([*rows, rows[0]])


def test_pairs_are_sorted_by_prompt_whatever_the_order_of_the_records():
  rows = people.make_records(12)
  expected = people.make_pairs(rows)
  assert [x.ours.prompt for x in expected] == sorted(
    {row.prompt for row in rows}
  )
  assert all(x.ours.prompt == x.theirs.prompt for x in expected)
  assert {x.ours.method for x in expected} == {"zz_ours"}
  random.Random(0).shuffle(rows)
  assert people.make_pairs(rows) == expected


def test_texts_that_look_alike_are_not_worth_a_question():
  ours, theirs = (
    people.make_record(0, method, "", text)
    for method, text in (("zz_ours", "Dos  palabras\n"), ("zz", "Dos palabras"))
  )
  assert pairs.look_alike(pairing.Pair(ours, theirs))
  other = dataclasses.replace(theirs, output="dos palabras")
  assert not pairs.look_alike(pairing.Pair(ours, other))


def test_the_digest_changes_with_texts_and_not_with_scores():
  rows = people.make_records(3)
  digest = pairs.digest(people.make_pairs(rows))
  scored = [dataclasses.replace(row, scores={"x": 1.0}) for row in rows]
  assert pairs.digest(people.make_pairs(scored)) == digest
  for name in ("output", "reference"):
    changed = [dataclasses.replace(rows[0], **{name: "otro"}), *rows[1:]]
    assert pairs.digest(people.make_pairs(changed)) != digest


def test_g28_one_prompt_has_one_input():
  rows = people.make_records(3)
  rows[0] = dataclasses.replace(rows[0], input="Otro documento.")
  with pytest.raises(ValueError, match="answer different inputs"):
    people.make_pairs(rows)
  rows[0] = dataclasses.replace(rows[0], study="zz_other")
  with pytest.raises(ValueError, match="records of 2 studies"):
    people.make_pairs(rows)
