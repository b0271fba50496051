"""An answer is read as a choice only where it is one."""

import math

import pytest

from xlrm.evaluation.prompted import choices
from xlrm.evaluation.prompted import completions


@pytest.mark.parametrize(
  ("text", "outcome"),
  [
    ("1", "first"),
    (" 2\n", "second"),
    ("**2**", "second"),
    ("[[1]].", "first"),
    ("Summary 2", "second"),
    ("Output-1", "first"),
    ("The reply 1 is better.", "first"),
    ("Summary 1 is better because it is short.", "first"),
    ("**Answer:** 1", "first"),
    ("My final answer is: summary 2!", "second"),
    ("Both are good, 1 is short.\n\nAnswer: 2", "second"),
    ("1\n\nSummary 1 says more than summary 2.", "first"),
    ("tie", "tie"),
    # Neither, or both, or something else.
    ("", "invalid"),
    ("1 or 2", "invalid"),
    ("Answer: 1 or 2", "invalid"),
    ("1\n2", "invalid"),
    ("1\nFinal answer: 2", "invalid"),
    ("1.5", "invalid"),
    ("12", "invalid"),
    ("3", "invalid"),
    ("one", "invalid"),
    ("Both are equally good.", "invalid"),
    ("It is not a tie", "invalid"),
    ("I cannot choose between texts 1 and 2.", "invalid"),
    ("I would not say that the answer is 1.", "invalid"),
    ("The answer is not 1", "invalid"),
    ("Summary 1 is better than summary 2 in style only", "invalid"),
    ("1. Summary 1 is short.\n2. Summary 2 is long.", "invalid"),
    # In another script.
    ("Ответ: первый", "invalid"),
    ("第一个", "invalid"),
    ("\u0661", "invalid"),
    ("\uff11", "invalid"),
  ],
)
def test_g26_text(text, outcome):
  found = choices.choose(completions.Completion(text))
  assert (found.outcome, found.probability) == (outcome, None)


def logs(**probabilities):
  names = {"one": "1", "two": "2", "spaced": " 1", "piece": "\u25812"}
  return {
    names.get(name, name): math.log(p) for name, p in probabilities.items()
  }


def test_g26_probabilities_decide_where_the_server_tells_them():
  # By hand: (.3 + .2) / (.3 + .2 + .25 + .05) = 5/8
  found = choices.choose(
    completions.Completion("2", logs(one=0.3, spaced=0.2, two=0.25, piece=0.05))
  )
  assert found.outcome == "first"
  assert found.probability == pytest.approx(0.625)
  even = choices.choose(completions.Completion("1", logs(one=0.4, two=0.4)))
  assert (even.outcome, even.probability) == ("tie", 0.5)
  alone = choices.choose(completions.Completion("2", logs(two=0.99)))
  assert (alone.outcome, alone.probability) == ("second", 0.0)


@pytest.mark.parametrize(
  "logprobs",
  [
    {},
    logs(I=0.7, one=0.2, two=0.1),
    {"1": math.nan, "2": -1.0},
    logs(**{"**": 0.99, "one": 0.01}),
  ],
)
def test_g26_probabilities_of_something_else_leave_it_to_the_text(logprobs):
  refused = choices.choose(completions.Completion("I cannot choose", logprobs))
  assert refused.outcome == "invalid" and refused.probability is None
  assert (
    choices.choose(completions.Completion("**2**", logprobs)).outcome
    == "second"
  )
