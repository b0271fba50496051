"""The gold judge: the true quality of any summary, for evaluation only.

Because the facts are known and the world is closed, the text itself decides.
Quality is a product, 1 for every good reference, and every fault multiplies:

  quality = language * grammar * repetition * concision
            * kind * number * person * city * day

  language    1; WRONG_LANGUAGE (0.1) when the words are another language's
  grammar     1 if every sentence is one the language can say, else
              0.3 + 0.4 * (share of neighbouring word pairs that it knows),
              times the share of known words
  repetition  0.6 ** (number of phrases said twice)
  concision   0.6 ** (sentences beyond the first, and every MAX_WORDS words
              beyond the first MAX_WORDS)
  each fact   right 1 (a kind told as long past is a wrong one); right and
              another one RIGHT_AND_WRONG; absent ABSENT; only wrong ones
              WRONG (see FACTOR); the day may be absent

A text without a known word gets 0.
"""

from collections.abc import Sequence
import dataclasses
from typing import Protocol

from xlrm.miniworld import parsing
from xlrm.miniworld import world
from xlrm.miniworld import world_rows

WRONG_LANGUAGE = 0.1
REPETITION = 0.6
CONCISION = 0.6
MAX_WORDS = 22
# fact -> (right and another, absent, wrong)
FACTOR = {
  "kind": (0.5, 0.4, 0.2),
  "number": (0.5, 0.6, 0.35),
  "person": (0.5, 0.6, 0.4),
  "city": (0.5, 0.6, 0.4),
  "day": (0.8, 1.0, 0.7),
}
RIGHT, MIXED, ABSENT, WRONG = "right", "mixed", "absent", "wrong"


@dataclasses.dataclass(frozen=True)
class Judgment:
  """What the judge found in a text.

  Attributes:
    quality: in [0, 1].
    language: whether the text is in the language asked for.
    grammatical: whether every sentence is one that the language can say.
    repetitions: phrases said twice.
    excess: sentences, or MAX_WORDS words, beyond the first.
    facts: kind, number, person, city, day -> right, mixed, absent or wrong.
  """

  quality: float
  language: bool
  grammatical: bool
  repetitions: int
  excess: int
  facts: dict[str, str]

  @property
  def faults(self) -> tuple[str, ...]:
    """The names of everything that is wrong, e.g. ('number', 'repetition')."""
    found = [
      name
      for name, state in self.facts.items()
      if state != RIGHT and not (name == "day" and state == ABSENT)
    ]
    found += ["language"] * (not self.language)
    found += ["grammar"] * (not self.grammatical)
    found += ["repetition"] * bool(self.repetitions)
    found += ["concision"] * bool(self.excess)
    return tuple(found)


def _is_language(text: str, code: str) -> bool:
  """Whether no other language explains the words better."""
  if parsing.is_grammatical(text, code):
    return True
  ours = parsing.known_share(text, code)
  others = max(
    parsing.known_share(text, other)
    for other in world.LANGUAGES
    if other != code
  )
  return ours > 0 and ours >= others


def _grammar(sentences: list[parsing.Sentence], text: str, code: str) -> float:
  if all(sentence.role for sentence in sentences):
    return 1.0
  pairs = known = 0
  for sentence in sentences:
    words = ("<s>", *sentence.words, "</s>")
    for pair in zip(words, words[1:], strict=False):
      pairs += 1
      known += pair in parsing.reader(code).pairs
  return (0.3 + 0.4 * known / pairs) * parsing.known_share(text, code)


def _repetitions(sentences: list[parsing.Sentence], words: list[str]) -> int:
  """Phrases said twice: `a b a b`, any three words again, any name again."""
  doubled = i = 0
  while i < len(words):
    lengths = range(1, (len(words) - i) // 2 + 1)
    spans = [n for n in lengths if words[i : i + n] == words[i + n : i + 2 * n]]
    doubled += bool(spans)
    i += max(spans, default=1)
  triples = list(zip(words, words[1:], words[2:], strict=False))
  again = len(triples) != len(set(triples))
  named = [(m.slot, m.value) for s in sentences for m in s.mentions]
  return max(doubled, int(again), len(named) - len(set(named)))


def _kinds(sentences: list[parsing.Sentence], code: str) -> set[str]:
  """Kinds of event that are told; a damaged sentence tells by its words."""
  found = set()
  for sentence in sentences:
    if sentence.role == "memory":  # what was long ago is not the news
      found.add(f"old {sentence.kind}")
      continue
    if sentence.role:
      found |= {sentence.kind} - {None}
      continue
    counts = {
      kind: len(cues.intersection(sentence.words))
      for kind, cues in parsing.reader(code).cues.items()
    }
    found |= {kind for kind, count in counts.items() if count}
  return found


def _state(found: set, right: str | int) -> str:
  if not found:
    return ABSENT
  if right not in found:
    return WRONG
  return RIGHT if len(found) == 1 else MIXED


def _factor(name: str, state: str) -> float:
  return {RIGHT: 1.0, **dict(zip((MIXED, ABSENT, WRONG), FACTOR[name]))}[state]


def _told(
  sentences: list[parsing.Sentence], facts: world.Facts, code: str
) -> dict[str, str]:
  states = {"kind": _state(_kinds(sentences, code), facts.kind)}
  for name in ("number", "person", "city", "day"):
    values = {m.value for s in sentences for m in s.mentions if m.slot == name}
    states[name] = _state(values, getattr(facts, name))
  return states


def judge(
  event: world.Event | world.Facts, summary: str, language: str
) -> Judgment:
  """The judgment of any text, garbage included, as a summary of an event.

  Args:
    event: what happened; `world_rows.event_of(example_id)` gives it.
    summary: the text.
    language: the language that was asked for.
  """
  facts = event.main if isinstance(event, world.Event) else event
  sentences = parsing.read(summary, language)
  told = _told(sentences, facts, language)
  known = parsing.known_share(summary, language)
  right_language = bool(sentences) and _is_language(summary, language)
  num_words = sum(len(sentence.words) for sentence in sentences)
  excess = max(0, len(sentences) - 1) + max(0, num_words - 1) // MAX_WORDS
  repetitions = _repetitions(sentences, parsing.words(summary, language))
  grammatical = bool(sentences) and all(s.role for s in sentences)
  quality = 0.0
  if right_language and known:
    quality = _grammar(sentences, summary, language)
    quality *= REPETITION**repetitions * CONCISION**excess
    for name, state in told.items():
      quality *= _factor(name, state)
  elif sentences:
    quality = _foreign(facts, summary, language)
  return Judgment(
    quality, right_language, grammatical, repetitions, excess, told
  )


def _foreign(facts: world.Facts, summary: str, asked: str) -> float:
  """At most WRONG_LANGUAGE: what the text is worth to who reads it anyway."""
  others = [code for code in world.LANGUAGES if code != asked]
  best = max(others, key=lambda code: parsing.known_share(summary, code))
  if not parsing.known_share(summary, best):
    return 0.0
  return WRONG_LANGUAGE * judge(facts, summary, best).quality


def judge_example(example_id: str, summary: str) -> Judgment:
  """The judgment of a summary of the row with this id, in its language."""
  return judge(
    world_rows.event_of(example_id), summary, example_id.split("/")[0]
  )


class WorldRecord(Protocol):
  """What the judge reads of a record."""

  example_id: str
  output: str


@dataclasses.dataclass(frozen=True)
class GoldJudge:
  """The true quality of summaries, as a judge of records.

  Attributes:
    name: of its scores.
  """

  name: str = "gold"

  def scores(self, records: Sequence[WorldRecord]) -> list[float]:
    """In [0, 1].

    Raises:
      ValueError: a record is no response to a row of miniworld.
    """
    return [judge_example(x.example_id, x.output).quality for x in records]
