"""Who sees what: complete, balanced, seeded, and nothing to guess from."""

import dataclasses
import random

import people
import pytest

from xlrm.annotation import design


def drawn(annotators=("ana", "ben"), rows=None, joining=False, **settings):
  """name -> [(task, key)] in the annotator's order."""
  rows = design.tasks(
    people.make_pairs(rows),
    people.make_settings(**settings),
    annotators,
    joining=joining,
  )
  return {
    name: [x for x in rows if x[0].annotator == name] for name in annotators
  }


def inputs(tasks, attention=False):
  return [task.input for task, key in tasks if key.attention == attention]


def shown(tasks):
  return [(task.input, task.left, task.right) for task, _ in tasks]


def test_everybody_judges_every_item_once_in_an_order_of_their_own():
  tasks = drawn()
  ana, ben = inputs(tasks["ana"]), inputs(tasks["ben"])
  assert len(set(ana)) == 10 and set(ana) == set(ben) and ana != ben
  assert len(inputs(tasks["ana"], attention=True)) == 2
  # Checks are of prompts that nobody judges, as long as there are some.
  assert not set(inputs(tasks["ana"], attention=True)) & set(ana)


def test_the_seed_draws_and_the_order_of_the_records_does_not():
  first = drawn()
  rows = people.make_records()
  random.Random(1).shuffle(rows)
  again = drawn(rows=rows)
  for name in first:
    assert shown(first[name]) == shown(again[name])
    assert shown(first[name]) != shown(drawn(seed=1)[name])
  ids = [
    task.item for x in (first, again) for ts in x.values() for task, _ in ts
  ]
  assert len(set(ids)) == len(ids)  # random: nothing leads back to a prompt


@pytest.mark.parametrize("annotator", ["ana", "ben", "cem", "duy"])
def test_each_text_is_on_the_left_half_of_the_time(annotator):
  tasks = drawn((annotator,), items=20)[annotator]
  for attention, total in ((False, 20), (True, 4)):
    left = [k.left for _, k in tasks if k.attention == attention]
    assert left.count("first") == left.count("second") == total // 2


def test_sides_are_hidden_in_the_order():
  """Over seeds, every place of the order has either side equally often."""
  lefts = [0] * 12
  for seed in range(200):
    for i, (_, key) in enumerate(drawn(("ana",), seed=seed)["ana"]):
      lefts[i] += key.left == "first"
  # Binomial(200, 1/2): 4.5 standard deviations.
  assert all(abs(x - 100) < 4.5 * 50**0.5 for x in lefts)


def test_the_key_names_the_records_of_the_texts():
  by_id = {row.id: row for row in people.make_records()}
  for task, key in drawn()["ana"]:
    texts = {key.left: task.left}
    texts["second" if key.left == "first" else "first"] = task.right
    if key.attention:
      assert people.REFERENCE in texts["first"]
      assert sorted(texts["second"].split()) != sorted(texts["first"].split())
      assert key.second == ""
    else:
      assert texts["first"] == by_id[key.first].output
      assert texts["second"] == by_id[key.second].output


def test_overlap_is_judged_by_all_and_the_rest_once():
  tasks = drawn(("ana", "ben", "cem"), overlap=4)
  sets = [set(inputs(x)) for x in tasks.values()]
  assert len(set.intersection(*sets)) == 4
  assert len(set.union(*sets)) == 10
  assert sum(map(len, sets)) == 3 * 4 + 6
  joined = drawn(("eva",), overlap=4, joining=True)["eva"]
  assert set(inputs(joined)) == set.intersection(*sets)


def test_identical_outputs_are_not_shown():
  rows = [
    people.make_record(i, method, source, "igual" if i < 25 else method + "x")
    for i in range(30)
    for method, source in (("zz_ours", "en"), ("zz_theirs", ""))
  ]
  assert len(inputs(drawn(rows=rows)["ana"])) == 5
  with pytest.raises(ValueError, match="identical for all 25 prompts"):
    drawn(rows=rows[:50])


def test_scrambled_texts_are_other_texts_of_the_same_words():
  text = "Un incendio destruyó 35 casas en Hanoi."
  for seed in range(50):
    mixed = design.scrambled(text, seed)
    assert mixed != text and sorted(mixed.split()) == sorted(text.split())
  assert sorted(design.scrambled("你好世界", 0)) == sorted("你好世界")


@pytest.mark.parametrize(
  ("fields", "said"),
  [
    ({"kind": "sumary"}, "'sumary'.*summary"),
    ({"items": 0}, "items 0"),
    ({"overlap": 11}, "overlap 11 .* items 10"),
    ({"attention": 1.5}, "attention 1.5"),
  ],
)
def test_g28_senseless_settings(fields, said):
  with pytest.raises(ValueError, match=said):
    people.make_settings(**fields)


@pytest.mark.parametrize(
  ("names", "said"),
  [((), "no annotator"), (("a b",), "'a b'"), (("a", "a"), "named twice")],
)
def test_g28_senseless_names(names, said):
  with pytest.raises(ValueError, match=said):
    drawn(names)


def test_g28_too_little_to_judge():
  with pytest.raises(ValueError, match="nothing is left .* 'cem'"):
    drawn(("ana", "ben", "cem"), items=2, overlap=0)
  rows = [
    dataclasses.replace(row, reference="", output=f"{row.method[3]}.")
    for row in people.make_records()
  ]
  with pytest.raises(ValueError, match="2 attention checks, and 0 prompts"):
    drawn(rows=rows)
  assert len(inputs(drawn(rows=rows, attention=0.0)["ana"])) == 10
