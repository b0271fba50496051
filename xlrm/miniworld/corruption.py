"""Corrupted summaries that know which of their words were replaced.

A draft is a list of pieces (see `grammar.pieces`) with a 0/1 label each.
"""

import dataclasses
import itertools
import random

from xlrm.miniworld import documents
from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import parsing
from xlrm.miniworld import randomness
from xlrm.miniworld import world

WAYS = {
  "swap": 0.62,  # another person, city, number, day or event
  "old": 0.12,  # the old event, told as the news
  "tail": 0.05,  # ends as the old event does
  "append": 0.06,  # goes on with a sentence of the document
  "words": 0.15,  # see WORD_WAYS
}
SWAPS = {
  "person": 0.25,
  "city": 0.25,
  "number": 0.28,
  "kind": 0.15,
  "day": 0.07,
}
WORD_WAYS = {
  "replace": 0.15,
  "insert": 0.1,
  "drop": 0.15,
  "transpose": 0.3,
  "repeat": 0.3,
}
FROM_DOCUMENT_RATE = 0.6  # swaps for a value that stands in the document
MAX_REPEATED = 4


@dataclasses.dataclass(frozen=True)
class Draft:
  """Pieces of a summary with a label each, and how it was made."""

  pieces: tuple[str, ...]
  replaced: tuple[int, ...]
  report: int
  core: int


def draft(event: world.Event, code: str, rng: random.Random) -> Draft:
  """A good summary, as a draft."""
  report = randomness.below(rng, grammar.NUM_REPORTS)
  core = randomness.below(rng, grammar.NUM_CORES)
  words = _told(event.main, code, report, core)
  return Draft(tuple(words), (0,) * len(words), report, core)


def labelled(made: Draft) -> tuple[str, list[int]]:
  """The text of a draft, and a label per word and one for its end."""
  labels = [
    label
    for piece, label in zip(made.pieces, made.replaced, strict=True)
    for _ in piece.split()
  ]
  return " ".join(made.pieces), [*labels, int(any(labels))]


def _told(facts: world.Facts, code: str, report: int, core: int) -> list[str]:
  language = languages.get(code)
  return grammar.pieces(language, language.reports[report], facts, core)


def _differing(made: Draft, words: list[str]) -> Draft:
  """`words` instead, labelled where they are not those of the draft.

  Common beginnings and ends are kept; in between, words the draft has too.
  """
  old = list(made.pieces)
  limit = min(len(old), len(words))
  start = 0
  while start < limit and old[start] == words[start]:
    start += 1
  end = 0
  while end < limit - start and old[-1 - end] == words[-1 - end]:
    end += 1
  if len(old) == len(words):
    labels = [int(a != b) for a, b in zip(old, words, strict=True)]
  else:
    middle = set(old[start : len(old) - end])
    labels = [
      int(start <= i < len(words) - end and word not in middle)
      for i, word in enumerate(words)
    ]
  return dataclasses.replace(made, pieces=tuple(words), replaced=tuple(labels))


def _swapped(event: world.Event, field: str, rng: random.Random) -> world.Facts:
  values = {
    "person": world.PEOPLE,
    "city": world.CITIES,
    "number": world.NUMBERS,
    "kind": world.KINDS,
    "day": world.DAYS,
  }[field]
  right = getattr(event.main, field)
  in_document = (
    event.witness if field == "person" else getattr(event.old, field)
  )
  value = in_document
  if value == right or rng.random() >= FROM_DOCUMENT_RATE:
    value = randomness.pick_other(rng, values, right)
  facts = dataclasses.replace(event.main, **{field: value})
  while not world.may_be_told(facts, event):
    value = randomness.pick_other(rng, values, right)
    facts = dataclasses.replace(event.main, **{field: value})
  return facts


def _swap(
  made: Draft, event: world.Event, code: str, rng: random.Random
) -> Draft:
  changed = made
  while changed.pieces == made.pieces:  # a day that the draft does not tell
    facts = _swapped(event, randomness.weighted(rng, SWAPS), rng)
    changed = _differing(made, _told(facts, code, made.report, made.core))
  return changed


def _old(
  made: Draft, event: world.Event, code: str, rng: random.Random
) -> Draft:
  core = randomness.below(rng, grammar.NUM_CORES)
  return _differing(made, _told(event.old, code, made.report, core))


def _tail(
  made: Draft, event: world.Event, code: str, rng: random.Random
) -> Draft:
  other = _told(event.old, code, made.report, made.core)
  start = 1 + randomness.below(rng, len(made.pieces) - 1)
  keep = list(made.pieces[:start])
  tail = other[min(start, len(other) - 1) :]
  words = keep + tail
  labels = [0] * start + [int(word not in made.pieces[start:]) for word in tail]
  if not any(labels) or not _may_stand(" ".join(words), event, code):
    return _old(made, event, code, rng)
  return dataclasses.replace(made, pieces=tuple(words), replaced=tuple(labels))


def _may_stand(text: str, event: world.Event, code: str) -> bool:
  """Whether a mixture of the news and the old event states no held-out fact."""
  mentions = [m for s in parsing.read(text, code) for m in s.mentions]
  cities = {m.value for m in mentions if m.slot == "city"}
  numbers = {m.value for m in mentions if m.slot == "number"}
  stated = itertools.product({event.main.kind, event.old.kind}, cities, numbers)
  return all(
    world.may_be_told(
      dataclasses.replace(event.main, kind=kind, city=city, number=number),
      event,
    )
    for kind, city, number in stated
  )


def _append(
  made: Draft, event: world.Event, code: str, rng: random.Random
) -> Draft:
  make = randomness.pick(
    rng,
    (
      lambda: documents.background(code, rng),
      lambda: documents.witness(event, code, rng),
      lambda: documents.memory(event, code, rng),
    ),
  )
  extra = make().split()
  return dataclasses.replace(
    made,
    pieces=(*made.pieces, *extra),
    replaced=(*made.replaced, *(1 for _ in extra)),
  )


def corrupt(
  made: Draft, event: world.Event, code: str, rng: random.Random
) -> Draft:
  """A draft with at least one word replaced, in one of WAYS."""
  way = randomness.weighted(rng, WAYS)
  if way == "words":
    return corrupt_words(made, code, rng)
  ways = {"swap": _swap, "old": _old, "tail": _tail, "append": _append}
  return ways[way](made, event, code, rng)


def corrupt_words(made: Draft, code: str, rng: random.Random) -> Draft:
  """A draft with words replaced, inserted, dropped, transposed or repeated."""
  words = list(zip(made.pieces, made.replaced, strict=True))
  way = randomness.weighted(rng, WORD_WAYS)
  i = randomness.below(rng, len(words) - 1)
  if way == "transpose" and words[i][0] != words[i + 1][0]:
    words[i : i + 2] = [(words[i + 1][0], 1), (words[i][0], 1)]
  elif way == "drop":
    needed = languages.get(code).needed
    lost = [
      j for j in range(len(words) - 1) if grammar.bare(words[j][0]) in needed
    ]
    i = randomness.pick(rng, lost or [i])
    words[i : i + 2] = [(words[i + 1][0], 1)]
  elif way == "repeat":
    span = words[i : i + 1 + randomness.below(rng, MAX_REPEATED)]
    end = i + len(span)
    words[end:end] = [(word, 1) for word, _ in span]
  else:
    lexicon = sorted(parsing.reader(code).literals)
    word = randomness.pick_other(rng, lexicon, words[i][0].lower())
    words[i : i + (way != "insert")] = [(word, 1)]
  pieces, labels = zip(*words, strict=True)
  return dataclasses.replace(made, pieces=pieces, replaced=labels)
