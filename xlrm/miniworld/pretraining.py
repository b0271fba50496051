"""Self-supervised rows in six languages: what the base model reads.

Row i is a pure function of i. Four kinds of row: text to be masked
(`denoise`), translation, good summaries, and replaced-token detection
(https://arxiv.org/abs/2003.10555): a summary in which words may have been
replaced, and which. No rating and no rated row takes part.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import random

from xlrm.miniworld import corruption
from xlrm.miniworld import documents
from xlrm.miniworld import randomness
from xlrm.miniworld import world
from xlrm.miniworld import world_rows

KINDS = {"denoise": 0.06, "translate": 0.14, "summarise": 0.2, "detect": 0.6}
CORRUPTED_RATE = 0.5
SECOND_CORRUPTION_RATE = 0.25
FOREIGN_DOCUMENT_RATE = 0.2  # detection across languages
PARALLEL_RATE = 0.5  # text to be masked that says everything in two languages
TRANSLATION_MARK = "="


@dataclasses.dataclass(frozen=True)
class PretrainingRow:
  """A row that the base model reads.

  Attributes:
    kind: a key of KINDS.
    inputs: what the encoder reads; for 'denoise' the text to be masked.
    targets: what the decoder says; "" for 'denoise'.
    replaced: for 'detect' 0 or 1 per blank-separated word of `targets` and one
      for its end, "was anything replaced"; otherwise None.
  """

  kind: str
  inputs: str
  targets: str
  replaced: list[int] | None = None


def _twice(
  event: world.Event, one: str, other: str, rng: random.Random
) -> tuple[str, str]:
  """A sentence or two in two languages."""
  make = randomness.pick(
    rng, (_news, documents.summary, documents.memory, documents.witness)
  )
  state = rng.getstate()
  first = make(event, one, rng)
  rng.setstate(state)
  return first, make(event, other, rng)


def _news(event: world.Event, code: str, rng: random.Random) -> str:
  return " ".join(documents.news(event, code, rng))


def _denoise(
  event: world.Event, code: str, other: str, rng: random.Random
) -> PretrainingRow:
  if rng.random() < PARALLEL_RATE:
    both = " ".join(_twice(event, code, other, rng))
    return PretrainingRow("denoise", both, "")
  return PretrainingRow("denoise", documents.document(event, code, rng), "")


def _translate(
  event: world.Event, code: str, other: str, rng: random.Random
) -> PretrainingRow:
  source, target = _twice(event, code, other, rng)
  inputs = f"{TRANSLATION_MARK} {world_rows.tagged(other, source)}"
  return PretrainingRow("translate", inputs, target)


def _summarise(
  event: world.Event, code: str, other: str, rng: random.Random
) -> PretrainingRow:
  del other
  inputs = world_rows.tagged(code, documents.document(event, code, rng))
  targets = documents.summary(event, code, rng)
  return PretrainingRow("summarise", inputs, targets)


def _detect(
  event: world.Event, code: str, other: str, rng: random.Random
) -> PretrainingRow:
  source = other if rng.random() < FOREIGN_DOCUMENT_RATE else code
  inputs = documents.document(event, source, rng)
  draft = corruption.draft(event, code, rng)
  if rng.random() < CORRUPTED_RATE:
    draft = corruption.corrupt(draft, event, code, rng)
    if rng.random() < SECOND_CORRUPTION_RATE:
      draft = corruption.corrupt_words(draft, code, rng)
  text, replaced = corruption.labelled(draft)
  return PretrainingRow("detect", inputs, text, replaced)


_MAKERS = {
  "denoise": _denoise,
  "translate": _translate,
  "summarise": _summarise,
  "detect": _detect,
}


def pretraining_row(index: int, split: str = "train") -> PretrainingRow:
  """Row `index` of an endless list; split 'validation' has facts of its own."""
  rng = randomness.stream("pretraining", split, index)
  kind = randomness.weighted(rng, KINDS)
  event = world.draw_event(rng, split)
  code = randomness.pick(rng, world.LANGUAGES)
  other = randomness.pick_other(rng, world.LANGUAGES, code)
  return _MAKERS[kind](event, code, other, rng)


def corpus(
  codes: Sequence[str] = world.LANGUAGES, count: int = 2000
) -> Iterator[str]:
  """Sentences to train a vocabulary on, `count` documents a language."""
  for code in codes:
    for index in range(count):
      rng = randomness.stream("corpus", code, index)
      event = world.draw_event(rng, "train")
      yield from documents.sentences(event, code, rng)
      yield documents.summary(event, code, rng)
