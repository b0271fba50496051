"""Documents and summaries of an event, in any of the six languages.

The same generator state gives the same plan in every language, so a sentence
in one language and in another are translations of each other.
"""

import random

from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import randomness
from xlrm.miniworld import world

# How a document tells its news: in one sentence with its source, or with the
# source (and then the day) in a sentence of its own.
NEWS = {"reported": 0.3, "confirmed": 0.4, "dated": 0.3}
DATED_REPORTS = (3, 4)
BACKGROUND_RATE = 0.4
MAX_WORDS = 40  # no background sentence beyond; keeps within 64 tokens


def report(
  facts: world.Facts,
  code: str,
  rng: random.Random,
  reports: tuple[int, ...] = tuple(range(grammar.NUM_REPORTS)),
) -> str:
  """One sentence with everything: what a good summary of `facts` says."""
  language = languages.get(code)
  template = language.reports[randomness.pick(rng, reports)]
  core = randomness.below(rng, grammar.NUM_CORES)
  return grammar.sentence(language, template, facts, core)


def summary(event: world.Event, code: str, rng: random.Random) -> str:
  """A good summary: right, grammatical, one sentence of varied length."""
  return report(event.main, code, rng)


def memory(event: world.Event, code: str, rng: random.Random) -> str:
  """The sentence about the old event."""
  language = languages.get(code)
  template = randomness.pick(rng, language.memories)
  core = randomness.below(rng, grammar.NUM_CORES)
  return grammar.sentence(language, template, event.old, core)


def witness(event: world.Event, code: str, rng: random.Random) -> str:
  """The sentence about the person who is only mentioned."""
  language = languages.get(code)
  facts = world.Facts(
    event.main.kind,
    event.witness,
    event.main.city,
    event.main.number,
    event.main.day,
  )
  template = randomness.pick(rng, language.witnesses)
  return grammar.sentence(language, template, facts)


def background(code: str, rng: random.Random) -> str:
  """A sentence without facts."""
  language = languages.get(code)
  text = randomness.pick(rng, language.backgrounds)
  return grammar.capitalise(text, code)


def news(event: world.Event, code: str, rng: random.Random) -> list[str]:
  """One or two sentences that hold all facts of the news."""
  language = languages.get(code)
  way = randomness.weighted(rng, NEWS)
  core = randomness.below(rng, grammar.NUM_CORES)
  choice = randomness.below(rng, 2)
  if way == "reported":
    templates = [language.reports[DATED_REPORTS[choice]]]
  elif way == "confirmed":
    templates = ["{core}.", language.dated_confirmations[choice]]
  else:
    templates = [language.dated, language.confirmations[choice]]
  return [
    grammar.sentence(language, template, event.main, core)
    for template in templates
  ]


def sentences(event: world.Event, code: str, rng: random.Random) -> list[str]:
  """The document, sentence by sentence; a source never precedes its news."""
  main = news(event, code, rng)
  others = [memory(event, code, rng), witness(event, code, rng)]
  if rng.random() < BACKGROUND_RATE:
    extra = background(code, rng)
    if len(" ".join([*main, *others, extra]).split()) <= MAX_WORDS:
      others.append(extra)
  slots = [0] * len(main) + list(range(1, len(others) + 1))
  order = randomness.shuffled(rng, slots)
  told = iter(main)
  return [others[slot - 1] if slot else next(told) for slot in order]


def document(event: world.Event, code: str, rng: random.Random) -> str:
  """A short news text: the news, an old event, a witness, perhaps weather."""
  return " ".join(sentences(event, code, rng))
