"""Reads sentences back: which facts they mention, whether they are grammatical.

The world is closed, so a sentence is grammatical exactly when, after its names
and numbers are replaced by slots, it is one of the language's templates and
its agreement fits the names and numbers.
"""

from collections.abc import Iterator
import dataclasses
import functools
import itertools
import re
import unicodedata

from xlrm.miniworld import grammar
from xlrm.miniworld import languages
from xlrm.miniworld import world

_APOSTROPHES = str.maketrans("\u2019\u02bc\u2018`", "''''")
_END = re.compile(r"[\s.!?\u2026]+$")
_BREAK = re.compile(r"(?<=[.!?\u2026])\s+")
_SLOT_WORD = re.compile(r"<(\w+)[^>]*>")
_WORD = re.compile(r"<\w+>|[\w'-]+")
_GENDERS, _PLURALS = 2, 3


@dataclasses.dataclass(frozen=True)
class Mention:
  """A name, number or day that a text has."""

  slot: str
  value: str | int
  forms: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Sentence:
  """A sentence as read; `role` is None when it is ungrammatical.

  Attributes:
    role: 'report', 'news', 'memory', 'confirmation', 'witness', 'background'.
    kind: what happened; None if the sentence does not say or cannot be read.
    mentions: names, numbers and days, in order.
    words: the sentence's words with mentions as `<slot>`.
  """

  role: str | None
  kind: str | None
  mentions: tuple[Mention, ...]
  words: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Entry:
  role: str
  kind: str | None
  gender: int | None
  plural: int | None


def normalise(text: str, code: str) -> str:
  """The text in NFC and lower case, with plain apostrophes and \u0435."""
  text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
  if code == "tr":
    text = text.replace("I", "ı").replace("İ", "i")
  text = unicodedata.normalize("NFC", text.lower().replace("i\u0307", "i"))
  return " ".join(text.replace("\u0451", "\u0435").split())


def _strip(sentence: str) -> str:
  return _END.sub("", sentence)


def _expand(template: str) -> Iterator[tuple[str, int | None, int | None]]:
  """Every (skeleton, gender, plural) that a composed template can give."""
  genders = range(_GENDERS) if "{person?" in template else (None,)
  plurals = range(_PLURALS) if "{number?" in template else (None,)
  for gender, plural in itertools.product(genders, plurals):

    def fill(match: re.Match, gender=gender, plural=plural) -> str:
      slot, form, variants = match.groups()
      if variants is None:
        return f"<{slot}.{form}>" if form else f"<{slot}>"
      index = gender if slot == "person" else plural
      return variants.split("|")[index].replace("_", " ")

    yield grammar.SLOT.sub(fill, template), gender, plural


class _Reader:
  """The lookup tables of one language."""

  def __init__(self, language: grammar.Language):
    self.language = language
    self.surfaces: dict[str, Mention] = {}
    self._add("person", world.PEOPLE, language.people)
    self._add("city", world.CITIES, language.cities)
    self._add("day", world.DAYS, {"": language.days})
    longest_first = sorted(self.surfaces, key=lambda s: (-len(s), s))
    alternatives = "|".join(re.escape(s) for s in longest_first)
    self._scan = re.compile(rf"(?<!\w)(?:{alternatives}|\d+)(?!\w)")
    self._entries: dict[str, list[_Entry]] = {}
    for role, kind, template in grammar.templates(language):
      for skeleton, gender, plural in _expand(template):
        key = _strip(normalise(skeleton, language.code))
        entry = _Entry(role, kind, gender, plural)
        self._entries.setdefault(key, []).append(entry)
    self._learn_words()

  def _add(self, slot, values, forms):
    for form, table in forms.items():
      for value, surface in zip(values, table, strict=True):
        key = normalise(surface, self.language.code)
        known = self.surfaces.get(key)
        names = {form} | (known.forms if known else set())
        if known and (known.slot, known.value) != (slot, value):
          raise ValueError(f"{surface!r} means {known.value} and {value}")
        self.surfaces[key] = Mention(slot, value, frozenset(names))

  def _learn_words(self):
    by_kind: dict[str | None, set[str]] = {}
    self.pairs: set[tuple[str, str]] = set()
    for key, entries in self._entries.items():
      words = self.words(key)
      bounded = ("<s>", *words, "</s>")
      self.pairs.update(zip(bounded, bounded[1:], strict=False))
      for entry in entries:
        by_kind.setdefault(entry.kind, set()).update(words)
    self.vocabulary = set().union(*by_kind.values())
    self.literals = {w for w in self.vocabulary if not w.startswith("<")}
    cores = {
      kind: {
        word
        for core in self.language.cores[kind]
        for skeleton, _, _ in _expand(core.replace(" / ", " "))
        for word in self.words(normalise(skeleton, self.language.code))
      }
      for kind in world.KINDS
    }
    elsewhere = by_kind[None]
    self.cues = {
      kind: words
      - elsewhere
      - set().union(*(cores[k] for k in world.KINDS if k != kind))
      for kind, words in cores.items()
    }
    parts = set()
    for surface in self.surfaces:
      parts.update(_WORD.findall(surface))
    self.name_parts = parts

  @staticmethod
  def words(skeleton: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(_SLOT_WORD.sub(r"<\1>", skeleton)))

  def read(self, text: str) -> Sentence:
    """Reads one normalised sentence."""
    text = _strip(text)
    mentions, fragments, end = [], [], 0
    for match in self._scan.finditer(text):
      fragments.append(text[end : match.start()])
      end = match.end()
      mentions.append(self._mention(match.group()))
    fragments.append(text[end:])
    entry = self._find(fragments, mentions)
    skeleton = fragments[0] + "".join(
      f"<{m.slot}>{f}" for m, f in zip(mentions, fragments[1:], strict=True)
    )
    return Sentence(
      role=entry.role if entry else None,
      kind=entry.kind if entry else None,
      mentions=tuple(mentions),
      words=self.words(skeleton),
    )

  def _mention(self, surface: str) -> Mention:
    if surface.isdecimal():
      # "07" is no number of this world; its spelling keeps it apart from 7.
      plain = surface.isascii() and surface == str(int(surface))
      value = int(surface) if plain and len(surface) < 7 else surface
      return Mention("number", value, frozenset({""}))
    return self.surfaces[surface]

  def _find(self, fragments, mentions) -> _Entry | None:
    if len(mentions) > 6:
      return None
    for forms in itertools.product(*(sorted(m.forms) for m in mentions)):
      key = fragments[0]
      for mention, form, tail in zip(
        mentions, forms, fragments[1:], strict=True
      ):
        key += f"<{mention.slot}.{form}>" if form else f"<{mention.slot}>"
        key += tail
      for entry in self._entries.get(key, ()):
        if self._agrees(entry, mentions):
          return entry
    return None

  def _agrees(self, entry: _Entry, mentions) -> bool:
    for mention in mentions:
      if mention.slot == "person" and entry.gender is not None:
        if (mention.value in world.WOMEN) != bool(entry.gender):
          return False
      if mention.slot == "number" and entry.plural is not None:
        if not isinstance(mention.value, int):
          return False
        if self.language.plural(mention.value) != entry.plural:
          return False
    return True


@functools.cache
def reader(code: str) -> _Reader:
  """The reader of a language; built once."""
  return _Reader(languages.get(code))


def read(text: str, code: str) -> list[Sentence]:
  """The sentences of a text as a language reads them, whatever it is."""
  normal = normalise(text, code)
  return [reader(code).read(s) for s in _BREAK.split(normal) if _strip(s)]


def is_grammatical(text: str, code: str) -> bool:
  """Whether every sentence is one that the language can say."""
  found = read(text, code)
  return bool(found) and all(sentence.role for sentence in found)


def words(text: str, code: str) -> list[str]:
  """The normalised words of a text, without punctuation."""
  return _WORD.findall(normalise(text, code))


def known_share(text: str, code: str) -> float:
  """The share of a text's words that the language has, names included."""
  tables = reader(code)
  found = words(text, code)
  known = sum(
    word in tables.vocabulary or word in tables.name_parts or word.isdecimal()
    for word in found
  )
  return known / len(found) if found else 0.0
