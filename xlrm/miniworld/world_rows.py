"""The rows that tasks are made of: summaries and rated summaries.

event_of("es/validation/000017")         the facts behind a summary row
event_of("es/rating_train/000003")       and behind a rated one
"""

from collections.abc import Callable
import dataclasses
import random

from xlrm.miniworld import documents
from xlrm.miniworld import faults
from xlrm.miniworld import languages
from xlrm.miniworld import parsing
from xlrm.miniworld import randomness
from xlrm.miniworld import world

LANGUAGES = world.LANGUAGES
SPLITS = ("train", "validation", "test")
# Evaluation only: half good summaries, half good ones in another language.
WRONG_LANGUAGE = "wrong_language"
SUMMARY_SIZES = {"train": 4000, "validation": 200, "test": 600}
RATING_SIZES = {
  "train": 4000,
  "validation": 400,
  "test": 800,
  WRONG_LANGUAGE: 200,
}

# References found on the web are imperfect; so are those of SFT training, by
# about REFERENCE_FAULT_RATE altogether. Many just retell how a text begins:
# where it opens with the old event (a quarter of the documents) most summarise
# that one, so even the most likely summary is wrong there. The rest carries
# one of REFERENCE_FAULTS. Validation and test references are right.
REFERENCE_FAULT_RATE = 0.35
OPENING_RATE = 0.6
OPENS_WITH_OLD = 0.25  # share of documents
REFERENCE_FAULTS = {
  "wrong_number": 0.25,
  "wrong_name": 0.3,
  "missed_point": 0.1,
  "ungrammatical": 0.1,
  "repetitive": 0.1,
  "not_concise": 0.15,
}

BAD_RATE = 0.5
LABEL_NOISE = 0.12  # training ratings only; held-out ratings are clean
RATING_FAULTS = {
  "wrong_number": 0.2,
  "wrong_name": 0.22,
  "missed_point": 0.2,
  "ungrammatical": 0.14,
  "repetitive": 0.12,
  "not_concise": 0.12,
}
NO_FAULT = "none"

LANGUAGE_TAGS = {code: f"<{code}>" for code in LANGUAGES}


@dataclasses.dataclass(frozen=True)
class SummaryRow:
  """A document and its reference summary."""

  id: str
  language: str
  document: str
  summary: str


@dataclasses.dataclass(frozen=True)
class RatingRow:
  """A document, a summary and its rating: 1 good, 0 bad.

  Attributes:
    fault: what is really wrong, or NO_FAULT; noise does not change it.
  """

  id: str
  language: str
  document: str
  summary: str
  rating: float
  fault: str


def tagged(code: str, text: str) -> str:
  """The text with a tag that asks the policy to answer in a language."""
  return f"{LANGUAGE_TAGS[code]} {text}"


def policy_input(row: SummaryRow | RatingRow) -> str:
  """What the policy reads; a reward model reads the bare document."""
  return tagged(row.language, row.document)


def _stream(code: str, section: str, index: int) -> random.Random:
  return randomness.stream(code, section, index)


def _partition(section: str) -> str:
  split = section.removeprefix("rating_")
  return "test" if split == WRONG_LANGUAGE else split


def event_of(example_id: str) -> world.Event:
  """The event behind a row.

  Raises:
    ValueError: the id is none of miniworld's.
  """
  fields = example_id.split("/")
  sections = (*SUMMARY_SIZES, *(f"rating_{name}" for name in RATING_SIZES))
  if (
    len(fields) != 3
    or fields[0] not in LANGUAGES
    or fields[1] not in sections
    or not (fields[2].isascii() and fields[2].isdecimal())
  ):
    raise ValueError(
      f"{example_id!r} is no miniworld id; one looks like "
      "'es/validation/000017' or 'es/rating_test/000017'"
    )
  code, section, index = fields[0], fields[1], int(fields[2])
  return world.draw_event(_stream(code, section, index), _partition(section))


def _indices(
  code: str, split: str, start: int, count: int | None, sizes: dict[str, int]
) -> range:
  languages.get(code)
  if split not in sizes:
    raise ValueError(f"unknown split {split!r}; one of {list(sizes)}")
  end = sizes[split] if count is None else start + count
  if not 0 <= start <= end:
    raise ValueError(f"start {start} is outside [0, {end}]")
  return range(start, end)


def _found_reference(
  event: world.Event, document: str, code: str, rng: random.Random
) -> str:
  """A summary as found on the web; right about two times in three."""
  retold = OPENS_WITH_OLD * OPENING_RATE
  opening = parsing.read(document, code)[0]
  if opening.role == "memory" and rng.random() < OPENING_RATE:
    return documents.report(event.old, code, rng)
  if rng.random() < (REFERENCE_FAULT_RATE - retold) / (1 - retold):
    return faults.of_mixture(REFERENCE_FAULTS, event, code, rng)[1]
  return documents.summary(event, code, rng)


def _summary_row(code: str, split: str, index: int) -> SummaryRow:
  rng = _stream(code, split, index)
  event = world.draw_event(rng, _partition(split))
  document = documents.document(event, code, rng)
  if split == "train":
    summary = _found_reference(event, document, code, rng)
  else:
    summary = documents.summary(event, code, rng)
  return SummaryRow(f"{code}/{split}/{index:06d}", code, document, summary)


def _rating_row(code: str, split: str, index: int) -> RatingRow:
  section = f"rating_{split}"
  rng = _stream(code, section, index)
  event = world.draw_event(rng, _partition(section))
  document = documents.document(event, code, rng)
  fault, rating = NO_FAULT, 1.0
  if rng.random() < BAD_RATE:
    weights = RATING_FAULTS if split in SPLITS else {WRONG_LANGUAGE: 1.0}
    fault, summary = faults.of_mixture(weights, event, code, rng)
    rating = 0.0
  else:
    summary = documents.summary(event, code, rng)
  if split == "train" and rng.random() < LABEL_NOISE:
    rating = 1.0 - rating
  name = f"{code}/{section}/{index:06d}"
  return RatingRow(name, code, document, summary, rating, fault)


def _rows(make: Callable, language: str, split: str, indices: range) -> list:
  return [make(language, split, index) for index in indices]


def summary_rows(
  language: str, split: str, start: int = 0, count: int | None = None
) -> list[SummaryRow]:
  """The rows [start, start + count) of a split, by default all."""
  indices = _indices(language, split, start, count, SUMMARY_SIZES)
  return _rows(_summary_row, language, split, indices)


def rating_rows(
  language: str, split: str, start: int = 0, count: int | None = None
) -> list[RatingRow]:
  """The rated rows of 'train', 'validation', 'test' or WRONG_LANGUAGE."""
  indices = _indices(language, split, start, count, RATING_SIZES)
  return _rows(_rating_row, language, split, indices)
