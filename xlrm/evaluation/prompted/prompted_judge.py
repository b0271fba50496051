"""A prompted judge: a language model says which of two outputs is better.

It is asked both orders, for models prefer what stands first (or second); see
`choices` for one order and `pair_verdicts` for the pair.
"""

from collections.abc import Sequence
import dataclasses

from xlrm.evaluation import pairing
from xlrm.evaluation import records
from xlrm.evaluation import win_rates
from xlrm.evaluation.prompted import asking
from xlrm.evaluation.prompted import choices
from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import judge_templates
from xlrm.evaluation.prompted import prices as prices_lib
from xlrm.text import language_names
from xlrm.types import checks

ORDERS = ("first", "second")
_SWAPPED = {"first": "second", "second": "first"}
_ENOUGH = 20  # answers of a cell, before their share says anything


def questions(
  pairs: Sequence[pairing.Pair], template: judge_templates.Template
) -> list[asking.Question]:
  """The questions: both orders of every pair whose outputs differ."""
  return [
    _question(pair, order, template)
    for pair in pairs
    if not pair.identical
    for order in ORDERS
  ]


def _question(
  pair: pairing.Pair, order: str, template: judge_templates.Template
) -> asking.Question:
  shown = [pair.ours.output, pair.theirs.output]
  if order == "second":
    shown.reverse()
  prompt = template.prompt(
    language=language_names.english(pair.ours.language),
    input=pair.ours.input,
    first=shown[0],
    second=shown[1],
  )
  return asking.Question(prompt, order, pair.cell)


def verdict(
  pair: pairing.Pair,
  order: str,
  judge: str,
  answer: completions.Completion,
  cost: dict[str, float],
) -> records.Verdict:
  """The verdict of an answer on a pair; it counts outputs as shown."""
  choice = choices.choose(answer)
  outcome, probability = choice.outcome, choice.probability
  if order == "second":
    outcome = _SWAPPED.get(outcome, outcome)
    probability = None if probability is None else 1 - probability
  return records.Verdict(
    *pair.id,
    judge=judge,
    order=order,
    outcome=outcome,
    probabilities={}
    if probability is None
    else {"first": probability, "second": 1 - probability},
    cost=cost,
  )


def verdicts(
  pairs: Sequence[pairing.Pair],
  judge: str,
  asked: asking.Asked,
  prices: prices_lib.Prices,
) -> list[records.Verdict]:
  """The verdicts, two per pair: each with another output shown first.

  The cost of an answer that several pairs share stands at the first of them.
  Identical outputs are ties that cost nothing.

  Args:
    asked: the answers to `questions` of these pairs.
  """
  answers = iter(zip(asked.keys, asked.answers, strict=True))
  charged, found = set(), []
  for pair in pairs:
    for order in ORDERS:
      if pair.identical:
        even = {name: 0.5 for name in ORDERS}
        found.append(records.Verdict(*pair.id, judge, order, "tie", even))
        continue
      key, answer = next(answers)
      cost = {} if key in charged else prices.cost(answer)
      charged.add(key)
      found.append(verdict(pair, order, judge, answer, cost))
  return found


@dataclasses.dataclass
class InvalidWatch:
  """A watch that ends a job whose judge does not answer, before it is paid.

  Attributes:
    max_invalid: share of a cell's pairs, of those that were asked about.
    judge: who.
  """

  max_invalid: float
  judge: str

  def __post_init__(self):
    checks.fraction("max_invalid", self.max_invalid)
    self._seen: dict[tuple[str, ...], list[bool]] = {}
    self._examples: dict[str, None] = {}

  def __call__(
    self,
    question: asking.Question,
    answer: completions.Completion,
    paid: bool = True,
  ) -> None:
    """Counts an answer.

    A pair is invalid as soon as one of its answers is, so a cell's share of
    invalid pairs is at least that of its answers; enough of these (by the
    lower end of Wilson's interval) and nothing further is paid.
    """
    seen = self._seen.setdefault(question.group, [])
    seen.append(choices.choose(answer).outcome == "invalid")
    if not seen[-1]:
      return
    if len(self._examples) < 3:
      self._examples[f"{answer.text.strip():.80}" or "(nothing)"] = None
    share = sum(seen) / len(seen)
    if not paid or len(seen) < _ENOUGH:
      return
    low, _ = win_rates.score_interval(share, share * (1 - share), len(seen))
    if low > self.max_invalid:
      self.refuse(question.group, sum(seen), len(seen), "answers so far")

  def refuse(
    self, cell: tuple[str, ...], invalid: int, n: int, what: str
  ) -> None:
    """Raises the one error of a judge that does not answer."""
    said = ", ".join(repr(text) for text in self._examples)
    raise ValueError(
      f"{self.judge} is no judge of {' -> '.join(cell)}: {invalid} of {n} "
      f"{what} are neither 1 nor 2 ({invalid / n:.0%}; max_invalid is "
      f"{self.max_invalid:.0%}), such as {said}. Answers are kept: another "
      "template or model asks anew, a higher max_invalid asks nothing again"
    )
