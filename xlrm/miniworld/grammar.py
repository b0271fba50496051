"""From facts to sentences: templates, agreement, and how a language holds them.

A template is text with slots: `{city}`, `{city.in}` (a stored inflected form),
`{person?said_m|said_f}` (agreement with the person's gender) and
`{number?one|few|many}` (agreement with the number). `{core}` is what happened,
`{inv}` the same with the verb first (German), `{Core}` with a capital.
An underscore inside a slot stands for a blank.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import re

from xlrm.miniworld import world

SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?(?:\?([^}]*))?\}")
NUM_CORES = 2
NUM_REPORTS = 5
SHORT_REPORTS = (0, 1)


@dataclasses.dataclass(frozen=True)
class Language:
  """Everything that one language says. Index i means the same in all six.

  Attributes:
    people, cities: form -> one entry per PEOPLE or CITIES; "" is the form of
      a bare slot.
    days: adverbials, one per DAYS.
    cores: kind -> NUM_CORES clauses; "a / b / c" marks the finite verb b.
    reports: the news with its source: what a summary looks like.
    dated: a core with its day.
    confirmations, dated_confirmations: the source, beside the news.
    memories: an old event.
    witnesses: what the witness did.
    backgrounds: sentences without facts.
    bound: words that cannot change places with a neighbour.
    needed: words without which a sentence is ungrammatical.
    plural: which of `{number?..|..|..}` a number takes.
  """

  code: str
  people: Mapping[str, Sequence[str]]
  cities: Mapping[str, Sequence[str]]
  days: Sequence[str]
  cores: Mapping[str, Sequence[str]]
  reports: Sequence[str]
  dated: str
  confirmations: Sequence[str]
  dated_confirmations: Sequence[str]
  memories: Sequence[str]
  witnesses: Sequence[str]
  backgrounds: Sequence[str]
  bound: frozenset[str]
  needed: frozenset[str]
  plural: Callable[[int], int]

  def __post_init__(self):
    tables = [
      *((f, t, world.PEOPLE) for f, t in self.people.items()),
      *((f, t, world.CITIES) for f, t in self.cities.items()),
      ("days", self.days, world.DAYS),
      *((k, self.cores[k], range(NUM_CORES)) for k in world.KINDS),
      ("reports", self.reports, range(NUM_REPORTS)),
    ]
    for name, table, expected in tables:
      if len(table) != len(expected):
        raise ValueError(
          f"{self.code}: {name!r} has {len(table)} entries, not {len(expected)}"
        )


def invariant(number: int) -> int:
  """The plural class where words do not heed the number (>= 2): 0."""
  del number
  return 0


def slavic(number: int) -> int:
  """The plural class: 0 for 21, 31, ..; 1 for 2-4, 22-24, ..; 2 for 5-20, .."""
  tens, ones = divmod(number % 100, 10)
  if tens == 1 or ones == 0 or ones >= 5:
    return 2
  return 0 if ones == 1 else 1


def capitalise(text: str, code: str) -> str:
  """The text with a capital first letter; Turkish i becomes İ."""
  first = "İ" if code == "tr" and text[:1] == "i" else text[:1].upper()
  return first + text[1:]


def compose(language: Language, template: str, kind: str, core: int) -> str:
  """A template with what happened put into it; slots of facts stay."""
  clause = language.cores[kind][core]
  plain, inverted = clause.replace(" / ", " "), clause.replace(" / ", " ")
  if clause.count(" / ") == 2:
    front, verb, rest = clause.split(" / ")
    inverted = f"{verb} {front} {rest}"
  return (
    template.replace("{core}", plain)
    .replace("{inv}", inverted)
    .replace("{Core}", capitalise(plain, language.code))
  )


def _value(language: Language, facts: world.Facts, match: re.Match) -> str:
  slot, form, variants = match.groups()
  if variants is not None:
    chosen = variants.split("|")
    if slot == "person":
      return chosen[facts.person in world.WOMEN].replace("_", " ")
    return chosen[language.plural(facts.number)].replace("_", " ")
  if slot == "number":
    return str(facts.number)
  if slot == "day":
    return language.days[world.DAYS.index(facts.day)]
  if slot == "person":
    return language.people[form or ""][world.PEOPLE.index(facts.person)]
  return language.cities[form or ""][world.CITIES.index(facts.city)]


def pieces(
  language: Language, template: str, facts: world.Facts, core: int = 0
) -> list[str]:
  """The pieces of a sentence, one per word of the composed template.

  A slot may fill several words ("El Cairo") but stays one piece, so the same
  template filled with other facts aligns piece by piece.
  """
  composed = compose(language, template, facts.kind, core)
  filled = [
    SLOT.sub(lambda match: _value(language, facts, match), word)
    for word in composed.split()
  ]
  filled[0] = capitalise(filled[0], language.code)
  return filled


def sentence(
  language: Language, template: str, facts: world.Facts, core: int = 0
) -> str:
  """A sentence as text; `core` picks the wording of what happened."""
  return " ".join(pieces(language, template, facts, core))


def templates(language: Language) -> Iterator[tuple[str, str | None, str]]:
  """Every (role, kind or None, composed template) of the language."""
  with_core = {
    "report": language.reports,
    "news": ("{core}.", language.dated),
    "memory": language.memories,
  }
  for role, forms in with_core.items():
    for kind in world.KINDS:
      for core in range(NUM_CORES):
        for form in forms:
          yield role, kind, compose(language, form, kind, core)
  without_core = {
    "confirmation": (*language.confirmations, *language.dated_confirmations),
    "witness": language.witnesses,
    "background": language.backgrounds,
  }
  for role, forms in without_core.items():
    for form in forms:
      yield role, None, form


def bare(word: str) -> str:
  """A word without its punctuation and capital: 'Cairo,' -> 'cairo'."""
  return word.strip(".,:").lower()
