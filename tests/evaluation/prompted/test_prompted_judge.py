"""From answers to verdicts of pairs, by hand."""

import math

import comparisons
import fake_judge
import pytest

from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import pairing
from xlrm.evaluation.prompted import asking
from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import judge_templates
from xlrm.evaluation.prompted import prices
from xlrm.evaluation.prompted import prompted_judge

TEMPLATE = judge_templates.Template.load("summarization/overall")
PRICES = prices.Prices(input=1.0, output=10.0)


def judged(found, answer):
  """Verdicts where `answer(first shown, second shown)` is the judge."""
  paired = pairing.pair(found, "best_of_n", "sample")
  questions = prompted_judge.questions(paired.pairs, TEMPLATE)
  answers = [answer(*fake_judge.shown(x.prompt)) for x in questions]
  keys = [f"{x.prompt}{x.order}" for x in questions]
  asked = asking.Asked(answers, keys, frozenset(keys))
  return prompted_judge.verdicts(paired.pairs, "j", asked, PRICES)


def kinds(verdicts):
  return [x.kind for x in pair_verdicts.of_pairs(verdicts).values()]


def says(text, **probabilities):
  logprobs = {x[1:]: math.log(p) for x, p in probabilities.items()} or None
  return completions.Completion(text, logprobs, 100, 1)


def test_g26_both_orders_of_every_pair_are_asked():
  pairs = pairing.pair(
    comparisons.both(["a", "b"], ["x", "y"]), "best_of_n", "sample"
  ).pairs
  asked = prompted_judge.questions(pairs, TEMPLATE)
  assert [fake_judge.shown(x.prompt) for x in asked] == [
    ["a", "x"],
    ["x", "a"],
    ["b", "y"],
    ["y", "b"],
  ]
  assert [x.order for x in asked] == ["first", "second"] * 2
  assert all("Spanish" in x.prompt for x in asked)


def test_g26_the_judges_word_is_turned_back_to_the_records():
  found = comparisons.both(["long text", "a"], ["b", "longer text"])

  def longer(first, second):
    return says("1" if len(first) > len(second) else "2")

  verdicts = judged(found, longer)
  assert kinds(verdicts) == ["win", "loss"]
  assert [x.outcome for x in verdicts] == ["first"] * 2 + ["second"] * 2
  assert verdicts[0].first == found[0].id and verdicts[0].second == found[2].id


def test_g26_a_judge_that_looks_at_the_place_only_is_inconsistent():
  found = comparisons.both(["a", "b", "c"], ["x", "y", "z"])
  verdicts = judged(found, lambda *_: says("1"))
  assert kinds(verdicts) == ["inconsistent"] * 3
  told = pair_verdicts.of_pairs(verdicts).values()
  assert {x.position for x in told} == {1.0} and {x.hard for x in told} == {0.5}


def test_g26_invalid_is_never_a_tie():
  found = comparisons.both(["a", "b", "c"], ["x", "y", "z"])

  def answer(first, second):
    if "a" in (first, second):
      return says(fake_judge.REFUSAL)
    if "b" in (first, second):  # one of the orders only
      return says("1") if first == "b" else says(fake_judge.RAMBLE)
    return says("tie")

  verdicts = judged(found, answer)
  assert kinds(verdicts) == ["invalid", "invalid", "tie"]
  told = list(pair_verdicts.of_pairs(verdicts).values())
  assert [x.hard for x in told] == [None, None, 0.5]
  assert (
    [x.soft for x in told] == [x.averaged for x in told] == [None, None, 0.5]
  )


def test_g26_probabilities_of_both_orders_are_averaged():
  """p(ours better): .9 shown first, .4 shown second: mean .65."""
  found = comparisons.both(["a"], ["x"])

  def answer(first, second):
    if first == "a":
      return says("1", _1=0.9, _2=0.1)
    return says("1", _1=0.6, _2=0.4)

  verdicts = judged(found, answer)
  assert [x.outcome for x in verdicts] == ["first", "second"]
  (told,) = pair_verdicts.of_pairs(verdicts).values()
  assert (told.kind, told.hard, told.averaged) == ("inconsistent", 0.5, 1.0)
  assert told.probability == told.soft == pytest.approx(0.65)
  assert verdicts[1].probabilities == pytest.approx(
    {"first": 0.4, "second": 0.6}
  )


def test_identical_outputs_are_ties_that_nobody_is_asked_about():
  found = comparisons.both(["same", "a"], ["same", "x"])
  verdicts = judged(found, lambda *_: says("1"))
  assert kinds(verdicts) == ["tie", "inconsistent"]
  assert [x.cost for x in verdicts[:2]] == [{}, {}]


def test_an_answer_that_two_pairs_share_is_charged_once():
  found = [
    *comparisons.both(["a"], ["x"]),
    comparisons.record("a", source="de"),
  ]
  verdicts = judged(found, lambda *_: says("1"))
  # 100 tokens at 1 and 1 at 10 dollars a million
  charged = {"input_tokens": 100.0, "output_tokens": 1.0, "dollars": 1.1e-4}
  assert [x.cost for x in verdicts] == [pytest.approx(charged)] * 2 + [{}] * 2


def feed(watch, texts, paid=True):
  for text in texts:
    question = asking.Question("p", "first", ("en", "es"))
    watch(question, completions.Completion(text), paid)


def test_g26_a_judge_that_does_not_answer_is_stopped_early():
  refusing = [fake_judge.REFUSAL, ""] * 10
  feed(prompted_judge.InvalidWatch(0.1, "j"), refusing[:19])
  with pytest.raises(
    ValueError,
    match=r"j is no judge of en -> es: 20 of 20 .*max_invalid is 10%.*"
    r"I cannot choose.*'\(nothing\)'",
  ):
    feed(prompted_judge.InvalidWatch(0.1, "j"), refusing)
  # A share that chance explains goes on: 4 of 20 at 10%.
  feed(prompted_judge.InvalidWatch(0.1, "j"), ["1"] * 16 + ["?"] * 4)
  feed(prompted_judge.InvalidWatch(0.1, "j"), refusing, paid=False)
  with pytest.raises(ValueError, match="max_invalid 2.0"):
    prompted_judge.InvalidWatch(2.0, "j")
