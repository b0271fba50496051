"""Faulty summaries: one natural fault each, made from a good summary.

The faults are those that SEAHORSE (https://arxiv.org/abs/2305.13194) asks
about. Every function is pure: (event, language code, generator) -> text.
"""

from collections.abc import Callable
import dataclasses
import random

from xlrm.miniworld import documents
from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import parsing
from xlrm.miniworld import randomness
from xlrm.miniworld import world

FROM_DOCUMENT_RATE = 0.7  # wrong facts that stand elsewhere in the document
# How often a faulty summary starts from a short wording, so that adding or
# losing words does not give the fault away by length.
SHORT_RATE = 0.8


def wrong_facts(
  event: world.Event, field: str, rng: random.Random
) -> world.Facts:
  """The news with one field wrong, often one that the document has."""
  values = {
    "number": world.NUMBERS,
    "city": world.CITIES,
    "person": world.PEOPLE,
    "kind": world.KINDS,
    "day": world.DAYS,
  }[field]
  right = getattr(event.main, field)
  distractor = event.witness if field == "person" else getattr(event.old, field)
  if distractor != right and rng.random() < FROM_DOCUMENT_RATE:
    facts = dataclasses.replace(event.main, **{field: distractor})
    if world.may_be_told(facts, event):
      return facts
  while True:
    value = randomness.pick_other(rng, values, right)
    facts = dataclasses.replace(event.main, **{field: value})
    if world.may_be_told(facts, event):
      return facts


def wrong_number(event: world.Event, code: str, rng: random.Random) -> str:
  """A good summary but for the number."""
  return documents.report(wrong_facts(event, "number", rng), code, rng)


def wrong_name(event: world.Event, code: str, rng: random.Random) -> str:
  """A good summary but for the person or the city."""
  field = randomness.pick(rng, ("person", "city"))
  return documents.report(wrong_facts(event, field, rng), code, rng)


def missed_point(event: world.Event, code: str, rng: random.Random) -> str:
  """The old event, another kind of event, or a side remark, as the news."""
  way = rng.random()
  if way < 0.6:
    return documents.report(event.old, code, rng)
  if way < 0.75:
    return documents.report(wrong_facts(event, "kind", rng), code, rng)
  if way < 0.9:
    return documents.memory(event, code, rng)
  return (
    documents.witness(event, code, rng) + " " + documents.background(code, rng)
  )


def _base(event: world.Event, code: str, rng: random.Random) -> str:
  if rng.random() < SHORT_RATE:
    return documents.report(event.main, code, rng, grammar.SHORT_REPORTS)
  return documents.summary(event, code, rng)


def not_concise(event: world.Event, code: str, rng: random.Random) -> str:
  """A good summary and a sentence that does not belong into one."""
  good = _base(event, code, rng)
  if rng.random() < 0.5:
    extra = documents.background(code, rng)
  else:
    extra = documents.witness(event, code, rng)
  return f"{good} {extra}" if rng.random() < 0.75 else f"{extra} {good}"


def repetitive(event: world.Event, code: str, rng: random.Random) -> str:
  """A good summary that says one to four words twice in a row."""
  words = _base(event, code, rng).split()
  length = 1 + randomness.below(rng, 4)
  start = randomness.below(rng, len(words) - length + 1)
  span = words[start : start + length]
  again = [span[0].lower() if start == 0 else span[0], *span[1:]]
  first = [*span[:-1], span[-1].rstrip(".")]
  return " ".join([*words[:start], *first, *again, *words[start + length :]])


def _transpose(
  words: list[str], language: grammar.Language, rng: random.Random
) -> list[str]:
  bound = [
    grammar.bare(word) in language.bound or word.isdecimal() for word in words
  ]
  places = [i for i in range(len(words) - 1) if bound[i] or bound[i + 1]]
  i = randomness.pick(rng, places)
  return [*words[:i], words[i + 1], words[i], *words[i + 2 :]]


def _drop(
  words: list[str], language: grammar.Language, rng: random.Random
) -> list[str]:
  places = [
    i for i, word in enumerate(words) if grammar.bare(word) in language.needed
  ]
  if not places:
    return _transpose(words, language, rng)
  i = randomness.pick(rng, places)
  return words[:i] + words[i + 1 :]


def _intrude(
  words: list[str], language: grammar.Language, rng: random.Random
) -> list[str]:
  i = 1 + randomness.below(rng, len(words) - 1)
  neighbours = {grammar.bare(word) for word in words[i - 1 : i + 1]}
  word = randomness.pick_other(rng, sorted(language.needed), *neighbours)
  return [*words[:i], word, *words[i:]]


def ungrammatical(event: world.Event, code: str, rng: random.Random) -> str:
  """A good summary with a word out of place, lost, or too many."""
  language = languages.get(code)
  while True:
    good = documents.summary(event, code, rng)
    change = randomness.pick(rng, (_transpose, _drop, _transpose, _intrude))
    words = change(good.removesuffix(".").split(), language, rng)
    text = grammar.capitalise(" ".join(words), code) + "."
    # A lost name would be another fault; some changes are grammatical.
    if keeps_mentions(good, text, code) and not parsing.is_grammatical(
      text, code
    ):
      return text


def keeps_mentions(good: str, text: str, code: str) -> bool:
  """Whether both texts mention the same names, numbers and days."""
  found = [
    sorted(
      (mention.slot, str(mention.value))
      for sentence in parsing.read(version, code)
      for mention in sentence.mentions
    )
    for version in (good, text)
  ]
  return found[0] == found[1]


def wrong_language(event: world.Event, code: str, rng: random.Random) -> str:
  """A good summary in another language: for evaluation only.

  A reward model that is trained on it learns that foreign means bad.
  """
  return documents.summary(
    event, randomness.pick_other(rng, world.LANGUAGES, code), rng
  )


Fault = Callable[[world.Event, str, random.Random], str]
TRAINABLE: dict[str, Fault] = {
  "wrong_number": wrong_number,
  "wrong_name": wrong_name,
  "missed_point": missed_point,
  "ungrammatical": ungrammatical,
  "repetitive": repetitive,
  "not_concise": not_concise,
}
ALL: dict[str, Fault] = {**TRAINABLE, "wrong_language": wrong_language}


def of_mixture(
  weights: dict[str, float],
  event: world.Event,
  code: str,
  rng: random.Random,
) -> tuple[str, str]:
  """The fault, drawn from `weights`, and a summary that has it."""
  fault = randomness.weighted(rng, weights)
  return fault, ALL[fault](event, code, rng)
