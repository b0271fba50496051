"""Prompted judges and people in the report, against hand-counted verdicts."""

import dataclasses
import re

import comparisons
from matplotlib import figure
import numpy as np
import pytest

from xlrm.analysis import findings
from xlrm.analysis import judge_comparisons
from xlrm.analysis import transfer_matrices
from xlrm.analysis import verdict_judges
from xlrm.analysis import verdict_matrices
from xlrm.analysis.exhibits import canvas
from xlrm.analysis.reports import judges_section
from xlrm.analysis.reports import verdicts_section
from xlrm.evaluation import pairing
from xlrm.evaluation import records as records_lib
from xlrm.evaluation import win_rates

GPT = "gpt:summary"
SHOWN = 12  # pairs, to people


def verdict(pair, judge, outcome, order="first"):
  return records_lib.Verdict(*pair.id, judge, order, outcome)


def by_gold(pair):
  ours, theirs = (x.scores["gold"] for x in (pair.ours, pair.theirs))
  return "first" if ours > theirs else "second" if ours < theirs else "tie"


@pytest.fixture(scope="module")
def records(study):
  return study.make_records(80, lift=0.1)


@pytest.fixture(scope="module")
def verdicts(records):
  """A model that repeats the gold judge except on every fifth pair, where its
  orders differ, and two people on the first pairs of English to Spanish that
  differ; Ben contradicts the gold judge, one time out of three."""
  pairs = pairing.pair(records, "best_of_n", "sample").pairs
  found = []
  for i, pair in enumerate(pairs):
    told = ("first", "second") if i % 5 == 0 else (by_gold(pair),) * 2
    told = ("invalid", "first") if i % 13 == 0 else told
    orders = zip(("first", "second"), told)
    found += [verdict(pair, GPT, said, order) for order, said in orders]
  shown = [x for x in pairs if x.cell == ("en", "es") and not x.identical]
  for i, pair in enumerate(shown[:SHOWN]):
    found.append(verdict(pair, "person/ana", by_gold(pair)))
    wrong = {"first": "second", "second": "first"}.get(by_gold(pair), "tie")
    found.append(
      verdict(pair, "person/ben", wrong if i % 3 == 0 else by_gold(pair))
    )
  return found


@pytest.fixture(scope="module")
def said(records, verdicts):
  return verdict_judges.said_by(records, verdicts)


def test_people_are_averaged_and_what_they_skip_is_left_out():
  found = comparisons.both(["a", "b", "c", "d", "e"], ["v", "w", "x", "y", "z"])
  told = {
    0: ("first", "first"),
    1: ("first", "second"),
    2: ("second", "tie"),
    3: ("invalid", "first"),
    4: ("invalid", "invalid"),
  }
  pairs = pairing.pair(found, "best_of_n", "sample").pairs
  verdicts = [
    verdict(pairs[i], f"person/{name}", outcome)
    for i, both in told.items()
    for name, outcome in zip(("ana", "ben"), both)
  ]
  said = verdict_judges.said_by(found, verdicts)
  assert list(said) == ["people", "person/ana", "person/ben"]
  people = said["people"]
  expected = {0: 1.0, 1: 0.5, 2: 0.25, 3: 1.0}
  assert people.outcomes == {pairs[i].id: x for i, x in expected.items()}
  assert list(people.kinds.values()) == [
    *("win", "inconsistent", "loss", "win", "invalid")
  ]
  (line,) = verdict_judges.lines(found, said, ())
  assert (line.win.n, line.win.rate) == (4, pytest.approx(2.75 / 4))
  assert line.deciding is None
  # One person alone is all people.
  alone = verdict_judges.said_by(found, verdicts[::2])
  assert list(alone) == ["people"]


def test_a_baseline_that_is_named_first_is_turned():
  found = comparisons.both(["a", "b"], ["x", "y"])
  pairs = pairing.pair(found, "best_of_n", "sample").pairs
  verdicts = [
    records_lib.Verdict(*x.id[::-1], "j", "first", outcome)
    for x, outcome in zip(pairs, ("second", "tie"))
  ]
  said = verdict_judges.said_by(found, verdicts)["j"]
  assert said.outcomes == {pairs[0].id: 1.0, pairs[1].id: 0.5}


def test_a_prompted_judge_has_the_matrix_of_its_own_job(
  records, verdicts, said
):
  own = [x for x in verdicts if x.judge == GPT]
  expected = verdict_matrices.transfer_matrix(records, own)
  found = verdict_judges.matrix(records, GPT, said[GPT])
  assert found.cells.keys() == expected.cells.keys()
  for pair, cell in found.cells.items():
    assert cell.win == expected.cells[pair].win
    assert cell.unpaired == expected.cells[pair].unpaired
  assert verdict_judges.matrix(records, GPT, said[GPT], "ppo").cells == {}


def ends(win):
  return win.n, win.rate, win.low, win.high


def counted(records, source, target, prompts=None):
  """Outcomes by the gold judge, one example at a time."""
  found = []
  for x in records:
    if (x.method, x.source, x.target) != ("best_of_n", source, target):
      continue
    if prompts is not None and x.example_id not in prompts:
      continue
    (other,) = (
      y
      for y in records
      if (y.method, y.example_id) == ("sample", x.example_id)
      and y.target == target
    )
    a, b = x.scores["gold"], other.scores["gold"]
    found.append(1.0 if a > b else 0.5 if a == b else 0.0)
  return np.array(found)


def test_every_judge_stands_beside_the_others(records, verdicts, said):
  judges = ("gold", "reward/{target}")
  lines = list(verdict_judges.lines(records, said, judges))
  told = {(x.comparison.source, x.comparison.target, x.judge): x for x in lines}
  pairs = [(s, t) for t in ("es", "ru") for s in ("en", "de", t)]
  expected = [
    (*pair, judge)
    for pair in pairs
    for judge in (*judges, GPT, "people")
    # Nobody judges its own choice, and people saw one pair of languages.
    if not (judge == judges[1] and pair[0] == pair[1])
    and not (judge == "people" and pair != ("en", "es"))
  ]
  assert list(told) == expected
  for source, target in pairs:
    line = told[source, target, "gold"]
    outcomes = counted(records, source, target)
    assert line.win == line.deciding
    assert ends(line.win) == pytest.approx(ends(win_rates.win_rate(outcomes)))
    assert line.kinds == {
      kind: n
      for kind, x in (("win", 1), ("tie", 0.5), ("loss", 0))
      if (n := int((outcomes == x).sum()))
    }
  people = told["en", "es", "people"]
  prompts = {
    x.first.split("|")[-2] for x in verdicts if x.judge == "person/ana"
  }
  same = counted(records, "en", "es", prompts)
  assert len(same) == people.win.n == SHOWN
  assert ends(people.deciding) == pytest.approx(ends(win_rates.win_rate(same)))
  # Three times one of two people says the opposite, unless there is a tie.
  first = {x.first: x.outcome for x in verdicts if x.judge == "person/ana"}
  wrong = [x for x in list(first.values())[::3] if x != "tie"]
  rest = SHOWN * people.deciding.rate - sum(x == "first" for x in wrong)
  assert people.win.rate == pytest.approx((rest + len(wrong) / 2) / SHOWN)
  assert people.kinds.get("inconsistent", 0) == len(wrong)


def row_of(page, *head):
  """Numbers of the row of the page that begins with these texts."""
  for row in re.findall(r"<tr[^>]*>(.*?)</tr>", page):
    cells_ = re.findall(r"<t[hd][^>]*>([^<]*)", row)
    if tuple(cells_[: len(head)]) == head:
      return cells_[len(head) :]
  raise AssertionError(head)


def test_the_section_says_what_was_counted(study, records, verdicts, said):
  inputs = study.make_small_inputs(records=records, verdicts=verdicts)
  page = verdicts_section.section(inputs, said, ("gold",))
  lines = {
    x.judge: x
    for x in verdict_judges.lines(records, said, ("gold",))
    if x.comparison.source == "en" and x.comparison.target == "es"
  }
  for judge, name in (("gold", "gold judge"), (GPT, GPT), ("people",) * 2):
    x = lines[judge]
    kinds = (x.kinds.get(k, 0) for k in ("win", "loss", "tie", "inconsistent"))
    assert row_of(page, "English \u2192 Spanish", "best-of-n", name) == [
      str(x.win.n),
      f"{100 * x.win.rate:.1f}%",
      "\u2013" if judge == "gold" else f"{100 * x.deciding.rate:.1f}%",
      " / ".join(map(str, kinds)),
    ]
  same = [
    x.identical
    for x in pairing.pair(records, "best_of_n", "sample").pairs
    if x.cell == ("en", "es")
  ]
  differ = len(same) - sum(same)
  rate = np.mean([0.5] * sum(same) + [lines["people"].win.rate] * differ)
  assert f"{sum(same)} of 80 pairs of outputs are equal" in page
  assert f"as ties it wins {100 * rate:.1f}%" in page
  # Habits: of those with a winner, how often the output shown first.
  outputs = {x.id: x.output for x in records}
  own = [
    x
    for x in verdicts
    if x.judge == GPT and outputs[x.first] != outputs[x.second]
  ]
  decided = [x for x in own if x.outcome in ("first", "second")]
  share = np.mean([x.order == x.outcome for x in decided])
  invalid = sum(x.outcome == "invalid" for x in own)
  told = {}
  for x in own:
    told.setdefault((x.first, x.second), []).append(x.outcome)
  both = [x for x in told.values() if "invalid" not in x]
  same = np.mean([len(set(x)) == 1 for x in both])
  ties = sum(x.outcome == "tie" for x in own)
  assert row_of(page, GPT) == [
    str(len(own)),
    f"{100 * share:.1f}%",
    str(len(both)),
    f"{100 * same:.1f}%",
    str(ties),
    str(invalid),
  ]
  assert row_of(page, "ana")[0] == str(SHOWN)
  assert verdicts_section.section(inputs, {}, ("gold",)) == ""


@pytest.fixture(scope="module")
def half_equal():
  """50 prompts with equal outputs, which a prompted judge writes as ties, and
  50 of which it prefers what stands first, whatever it is."""
  texts = [f"text {i}" for i in range(100)]
  others = [f"other {x}" if i >= 50 else x for i, x in enumerate(texts)]
  records = comparisons.both(texts, others)
  verdicts = [
    verdict(x, GPT, "tie" if x.identical else order, order)
    for x in pairing.pair(records, "best_of_n", "sample").pairs
    for order in ("first", "second")
  ]
  return records, verdicts


def test_pairs_that_nobody_was_asked_about_are_no_habit(study, half_equal):
  records, verdicts = half_equal
  inputs = study.make_small_inputs(records=records, verdicts=verdicts)
  said = verdict_judges.said_by(records, verdicts)
  page = verdicts_section.section(inputs, said, ())
  assert row_of(page, GPT) == ["100", "100.0%", "50", "0.0%", "0", "0"]
  # A judge that was asked about nothing has no habits.
  equal = verdicts[:100]
  inputs = dataclasses.replace(inputs, verdicts=equal)
  said = verdict_judges.said_by(records, equal)
  assert "Habits" not in verdicts_section.section(inputs, said, ())


def test_the_answer_counts_the_prompts_that_were_asked_about(study, half_equal):
  records, verdicts = half_equal
  records = [dataclasses.replace(x, scores={"gold": 1.0}) for x in records]
  inputs = study.make_small_inputs(records=records, verdicts=verdicts)
  found = findings.results(inputs)
  sentences = findings.verdict(inputs, found).sentences
  (own,) = (x for x in sentences if GPT in x)
  assert own.startswith(
    f"By {GPT}, asked about 50 prompts (50 of 100 pairs of outputs are equal "
    "and count as ties), the win rate over one sample is 50.0% ["
  )


def test_judges_whose_short_names_are_alike_have_a_row_each(study):
  judges = [
    f"{owner}/Llama-3.1-70B-Instruct:pairwise"
    for owner in ("meta-llama", "unsloth")
  ]
  records = comparisons.both(["a", "b"], ["x", "y"])
  verdicts = [
    verdict(pair, judge, outcome, order)
    for judge, outcome in zip([*judges, GPT], ("first", "second", "tie"))
    for pair in pairing.pair(records, "best_of_n", "sample").pairs
    for order in ("first", "second")
  ]
  inputs = study.make_small_inputs(records=records, verdicts=verdicts)
  said = verdict_judges.said_by(records, verdicts)
  with canvas.drawn() as drawings:
    verdicts_section.section(inputs, said, ())
  ((drawing, _),) = drawings.values()
  painted = figure.Figure().subplots()
  drawing.paint(painted)
  labels = [x.get_text() for x in painted.get_yticklabels()]
  values = [
    line.get_xdata()[0]
    for line in painted.lines
    if line.get_marker() not in ("None", "")
  ]
  rows = [x.replace(":", "\n") for x in (GPT, *judges)]
  assert dict(zip(labels, values)) == dict(zip(rows, (0.5, 1.0, 0.0)))


def test_the_answer_names_what_people_and_models_say(study, records, verdicts):
  inputs = study.make_small_inputs(records=records, verdicts=verdicts)
  found = findings.results(inputs)
  sentences = " ".join(findings.verdict(inputs, found).sentences)
  people = transfer_matrices.cross_lingual_average(
    verdict_judges.matrix(records, "people", found.said["people"])
  )
  expected = f"asked about {SHOWN} prompts, the win rate over one sample is "
  assert f"By people, {expected}{findings.rate(people)}." in sentences
  assert f"By {GPT}, asked about" in sentences and "ana" not in sentences


def test_agreement_counts_the_pairs_that_both_were_asked_about(records, said):
  pairs = [
    x
    for x in pairing.pair(records, "best_of_n", "sample").pairs
    if x.ours.target == "es"
  ]
  agreed, ties, missing, identical, seen = [], 0, 0, 0, set()
  for pair in pairs:  # as a reader would count them
    key = (pair.ours.example_id, pair.ours.output)
    if key in seen:
      continue
    seen.add(key)
    # Records with equal outputs share a verdict: the last one's.
    same = [
      x
      for x in pairs
      if (x.ours.example_id, x.ours.output, x.theirs.output)
      == (*key, pair.theirs.output)
    ]
    kind = said[GPT].kinds[same[-1].id]
    gold = by_gold(pair)
    if pair.identical:
      identical += 1
    elif kind == "invalid":
      missing += 1
    elif kind in ("inconsistent", "tie") or gold == "tie":
      ties += 1
    else:
      agreed.append((gold == "first") == (kind == "win"))
  without = [x for x in records if x.method != "ppo"]
  found = judge_comparisons.instances(without, "gold", GPT, "es", said)
  assert found.found.n == len(agreed) > 5
  assert found.found.rate == pytest.approx(np.mean(agreed)) == 1.0
  assert (found.ties, found.missing, found.identical) == (
    ties,
    missing,
    identical,
  )
  # What people were not shown is not missing.
  people = judge_comparisons.instances(
    records, "gold", "person/ana", "es", said
  )
  assert (people.missing, people.identical) == (0, 0)
  assert people.found.n + people.ties == SHOWN and people.found.rate == 1.0


def test_judges_that_gave_verdicts_are_compared_with_each_other(
  study, records, verdicts, said
):
  found = judge_comparisons.among(records, ("es", "ru"), said)
  assert [(x.first, x.judge, x.target) for x in found] == [
    (GPT, "people", "es"),
    (GPT, "person/ana", "es"),
    (GPT, "person/ben", "es"),
    ("person/ana", "person/ben", "es"),
  ]
  ana = {x.first: x.outcome for x in verdicts if x.judge == "person/ana"}
  ben = {x.first: x.outcome for x in verdicts if x.judge == "person/ben"}
  decided = [x for x in ana if "tie" not in (ana[x], ben[x])]
  rate = np.mean([ana[x] == ben[x] for x in decided])
  assert (found[-1].found.n, found[-1].found.rate) == (len(decided), rate)
  inputs = study.make_small_inputs(records=records, verdicts=verdicts)
  page = judges_section.section(inputs, ("gold",), said)
  assert row_of(page, "Spanish", "ana and ben")[:2] == [
    str(len(decided)),
    f"{100 * rate:.1f}%",
  ]
  assert row_of(page, GPT)[0] == "2"  # ranks sources on two targets


def test_two_seeds_are_two_verdicts_on_one_prompt(study):
  once = study.make_records(10)
  both = [*once, *(dataclasses.replace(x, seed=1) for x in once)]
  verdicts = [
    verdict(x, "j", "first" if x.ours.seed else "second")
    for x in pairing.pair(both, "ppo", "sample").pairs
  ]
  said = verdict_judges.said_by(both, verdicts)
  (line,) = verdict_judges.lines(both, said, ())
  assert (line.win.n, line.win.rate, line.win.ties) == (10, 0.5, 10)
  assert line.kinds == {"win": 10, "loss": 10}
