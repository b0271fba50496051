"""What answers cost: exact where the server counts tokens, else estimated."""

from collections.abc import Iterable, Sequence
import dataclasses

from xlrm.evaluation.prompted import asking
from xlrm.evaluation.prompted import completions
from xlrm.types import checks


@dataclasses.dataclass(frozen=True)
class Prices:
  """Dollars per million tokens; None where unknown.

  Attributes:
    input: of prompts.
    output: of answers.
  """

  input: float | None = None
  output: float | None = None

  def __post_init__(self):
    for name in ("input", "output"):
      value = getattr(self, name)
      if value is not None:
        checks.at_least(f"{name} price", value, 0)

  def dollars(self, input_tokens: int, output_tokens: int) -> float | None:
    """The dollars of so many tokens; None without prices."""
    if self.input is None or self.output is None:
      return None
    return (self.input * input_tokens + self.output * output_tokens) / 1e6

  def cost(self, answer: completions.Completion) -> dict[str, float]:
    """The cost of one answer, as far as it is known, for `Verdict.cost`."""
    tokens = (answer.input_tokens, answer.output_tokens)
    if None in tokens:
      return {}
    found = dict(zip(("input_tokens", "output_tokens"), map(float, tokens)))
    dollars = self.dollars(*tokens)
    return found if dollars is None else {**found, "dollars": dollars}


@dataclasses.dataclass(frozen=True)
class Bill:
  """What some answers cost.

  Attributes:
    answers: how many.
    uncounted: of these, those whose tokens the server did not tell.
    input_tokens: of the others.
    output_tokens: of the others.
    dollars: of the others; None without prices.
  """

  answers: int
  uncounted: int
  input_tokens: int
  output_tokens: int
  dollars: float | None

  def text(self) -> str:
    """The bill in words: '80 answers, 41,200 + 80 tokens, $0.0123'."""
    parts = [
      f"{self.answers:,} answers",
      f"{self.input_tokens:,} + {self.output_tokens:,} tokens",
    ]
    if self.dollars is not None:
      parts.append(f"${self.dollars:,.4f}")
    if self.uncounted:
      parts.append(f"{self.uncounted:,} of them without token counts")
    return ", ".join(parts)


def bill(answers: Iterable[completions.Completion], prices: Prices) -> Bill:
  """The sum over answers."""
  answers = list(answers)
  costs = [found for answer in answers if (found := prices.cost(answer))]
  tokens = [
    sum(int(cost[name]) for cost in costs)
    for name in ("input_tokens", "output_tokens")
  ]
  return Bill(
    len(answers), len(answers) - len(costs), *tokens, prices.dollars(*tokens)
  )


def bytes_per_token(
  prompts: Sequence[str], answers: Sequence[completions.Completion]
) -> float:
  """The bytes per token of prompts, as the server counted; else a guess."""
  counted = [
    (len(prompt.encode()), answer.input_tokens)
    for prompt, answer in zip(prompts, answers, strict=True)
    if answer.input_tokens
  ]
  if not counted:
    return asking.BYTES_PER_TOKEN
  return sum(size for size, _ in counted) / sum(x for _, x in counted)


def estimate(
  prompts: Sequence[str], output_tokens: int, prices: Prices, ratio: float
) -> Bill:
  """The bill of prompts that were not asked yet, at the most.

  Args:
    output_tokens: of an answer, the most.
    ratio: bytes per token of a prompt.
  """
  tokens = (
    sum(asking.tokens(prompt, ratio) for prompt in prompts),
    output_tokens * len(prompts),
  )
  return Bill(len(prompts), 0, *tokens, prices.dollars(*tokens))
