"""Which of the two outputs an answer chose, if it chose one.

Where the server tells the log-probabilities of the answer's first token, the
choice is p("1") against p("2"), as for PaLM-2-L in
https://arxiv.org/abs/2404.12318; otherwise it is read from the text. An answer
that says neither 1 nor 2, or both, is invalid and never a tie.
"""

from collections.abc import Mapping
import dataclasses
import math
import re

from xlrm.evaluation.prompted import completions

# Less than this on "1" and "2" together, and the model is saying something
# else ("I cannot ..."): its text decides.
MIN_MASS = 0.5
_DECORATION = " \t\r\n.,:;!*_`'\"()[]<>#\u2581"
_NAMED = (
  r"(?:(?:the\s+)?(?:summary|reply|response|output|text|option|answer|number)"
  r"[\s#-]*)?"
)
# Whole lines: a digit in the middle of a sentence may stand for anything.
_LINES = tuple(
  re.compile(pattern)
  for pattern in (
    # "1", "Summary 1", "the text 2 is better because it is true"
    _NAMED
    + r"([12]|tie)(?:\s+(?:is|reads)\s+(?:the\s+)?(?:better|best)"
    + r"(?:\s+(?:because|since|as)\b[^12]*)?)?",
    # "Answer: 1", "So my final choice is **reply 2**"
    r"(?:(?:so|thus|therefore|overall),?\s+)?(?:(?:my|the)\s+)?(?:final\s+)?"
    r"(?:answer|verdict|choice|preference)(?:\s+is)?[\s:=*_`'\"(\[]*"
    + _NAMED
    + r"([12]|tie)",
  )
)


@dataclasses.dataclass(frozen=True)
class Chosen:
  """What one answer chose.

  Attributes:
    outcome: `first` and `second` in the order shown, `tie` or `invalid`.
    probability: that the first is chosen; None where it was read from text.
  """

  outcome: str
  probability: float | None = None


def mass(logprobs: Mapping[str, float]) -> tuple[float, float]:
  """The probabilities of "1" and of "2", in all their spellings.

  {"1": log .6, " 1": log .1, "2": log .2, "I": log .1} -> (.7, .2)
  """
  found = {"1": 0.0, "2": 0.0}
  for token, logprob in logprobs.items():
    bare = token.strip(_DECORATION)
    if bare in found:
      found[bare] += math.exp(logprob)
  return found["1"], found["2"]


def from_logprobs(logprobs: Mapping[str, float]) -> Chosen | None:
  """The likelier choice; None where the first token is likely to be neither."""
  one, two = mass(logprobs)
  # `not >=` so that NaN decides nothing, either.
  if not one + two >= MIN_MASS:
    return None
  probability = one / (one + two)
  if one == two:
    return Chosen("tie", 0.5)
  return Chosen("first" if one > two else "second", probability)


def from_text(text: str) -> Chosen:
  """The choice that the first and the last line name, if they agree.

  "**1**", "Summary 1 is better." and "Both are good.\\n\\nAnswer: 1" choose
  the first; "1 or 2?", "one", "1.5" and an Arabic 1 choose nothing.
  """
  lines = [line.strip(_DECORATION) for line in text.lower().splitlines()]
  lines = [line for line in lines if line]
  said = {
    match[1]
    for line in lines[:1] + lines[-1:]
    for match in (pattern.fullmatch(line) for pattern in _LINES)
    if match
  }
  names = {"1": "first", "2": "second", "tie": "tie"}
  return Chosen(names[said.pop()] if len(said) == 1 else "invalid")


def choose(answer: completions.Completion) -> Chosen:
  """The choice of an answer, by its probabilities or else by its text."""
  found = from_logprobs(answer.logprobs) if answer.logprobs else None
  return found or from_text(answer.text)
