"""Verdicts against annotators whose taste is known."""

import people
import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import unblinding
from xlrm.evaluation import agreement
from xlrm.evaluation import records


def work(folder, **choosers):
  with people.serving(folder) as clients:
    for name, choose in choosers.items():
      client = clients[name]
      for _ in range(client.get()[1]["total"]):
        client.answer(choose)
  with annotation_study.opened(folder) as store:
    return annotation_study.read_key(folder), store.answers()


def test_who_likes_one_side_is_told_apart_from_who_likes_a_position(folder):
  key, answers = work(
    folder, ana=people.prefer(people.OURS), ben=lambda _: "left"
  )
  rows = unblinding.verdicts(key, answers)
  by_id = {row.id: row for row in people.make_records()}
  assert len(rows) == 20  # and no attention check
  for row in rows:
    assert by_id[row.first].method == "zz_ours"
    assert by_id[row.second].method == "zz_theirs"
    assert by_id[row.first].prompt == by_id[row.second].prompt
    assert row.cost == {"seconds": 1.5}
  ana = [x for x in rows if x.judge == "person/ana"]
  assert {x.outcome for x in ana} == {"first"}
  assert sorted(x.order for x in ana) == ["first"] * 5 + ["second"] * 5
  ben = [x for x in rows if x.judge == "person/ben"]
  assert all(x.outcome == x.order for x in ben)

  first, second = unblinding.annotators(key, answers)
  assert (first.answered, first.checks, first.passed) == (12, 2, 2)
  assert (second.left, second.passed, second.seconds) == (1.0, 1, 1.5)
  # Per prompt the mean of 1 (ana) and of 1 or 0 (ben, five each).
  win = unblinding.win_rate(key, answers)
  assert (win.rate, win.n, win.wins, win.ties) == (0.75, 10, 5, 5)


def test_skipped_pairs_are_invalid_and_ties_half(folder):
  key, answers = work(folder, ana=lambda _: "skip", ben=lambda _: "tie")
  rows = unblinding.verdicts(key, answers)
  outcomes = {(x.judge, x.outcome) for x in rows}
  assert outcomes == {("person/ana", "invalid"), ("person/ben", "tie")}
  win = unblinding.win_rate(key, answers)
  assert (win.rate, win.n, win.ties) == (0.5, 10, 10)
  assert unblinding.agreement(key, answers) == {}
  assert unblinding.annotators(key, answers)[0].passed == 0


def test_the_summary_says_it_all(folder, tmp_path):
  key, answers = work(
    folder, ana=people.prefer(people.OURS), ben=people.prefer(people.THEIRS)
  )
  text = unblinding.summary(key, answers)
  assert "zz_ours (en) against zz_theirs, es: wins 50.0%" in text
  assert "ana and ben agree on 0.0% [0.0%, 27.8%] of 10 prompts" in text
  assert "ana: 12 of 12 answered, 2 of 2 attention checks passed" in text
  assert "1.5 s per item, left chosen 50%" in text
  rows = unblinding.verdicts(key, answers)
  records.write(tmp_path / "v.jsonl", rows)
  assert records.read(tmp_path / "v.jsonl", records.Verdict) == rows


def test_identical_outputs_count_as_ties_in_the_summary(tmp_path):
  rows = [
    people.make_record(i, method, source, "igual" if i < 20 else word)
    for i in range(30)
    for method, source, word in (
      ("zz_ours", "en", people.OURS),
      ("zz_theirs", "", people.THEIRS),
    )
  ]
  folder = people.begin(tmp_path / "same", rows=rows, annotators=("ana",))
  text = unblinding.summary(*work(folder, ana=people.prefer(people.OURS)))
  assert "wins 100.0%" in text
  assert "20 of 30 prompts have identical outputs" in text
  assert "with them as ties it wins 66.7%" in text


def test_kappa():
  # Cohen's own table of proportions gives .492 (1960, table 1).
  table = {
    ("a", "a"): 88, ("a", "b"): 10, ("a", "c"): 2,
    ("b", "a"): 14, ("b", "b"): 40, ("b", "c"): 6,
    ("c", "a"): 18, ("c", "b"): 10, ("c", "c"): 12,
  }  # fmt: skip
  pairs = [pair for pair, n in table.items() for _ in range(n)]
  found = agreement.of_judges(*zip(*pairs))
  assert (found.rate, found.chance) == pytest.approx((0.70, 0.41))
  assert found.kappa == pytest.approx(0.492, abs=5e-4)
  assert agreement.of_judges("ab", "ba").kappa == -1.0
  with pytest.raises(ValueError, match="1 and 2 verdicts"):
    agreement.of_judges("a", "ab")


def test_agreement_of_three_is_by_two_on_what_both_judged():
  found = agreement.of_every_two(
    {"a": {1: "x", 2: "y"}, "b": {1: "x", 2: "x"}, "c": {2: "y", 3: "y"}}
  )
  said = {pair: (x.rate, x.n) for pair, x in found.items()}
  assert said == {
    ("a", "b"): (0.5, 2),
    ("a", "c"): (1.0, 1),
    ("b", "c"): (0.0, 1),
  }
