"""What a vocabulary is trained from: files, or the embedded world."""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses

from xlrm.miniworld import pretraining
from xlrm.miniworld import world_rows
from xlrm.storage import files
from xlrm.storage import row_files

MINIWORLD_SIZE = 1568  # with 32 sentinels 1,600 rows


@dataclasses.dataclass(frozen=True)
class VocabularyTexts:
  """Texts, and what a vocabulary of them needs.

  Attributes:
    texts: read once.
    size: pieces.
    symbols: kept whole.
  """

  texts: Iterable[str]
  size: int
  symbols: Sequence[str] = ()


def miniworld() -> VocabularyTexts:
  """Those of the shipped nano model's vocabulary."""
  tags = list(world_rows.LANGUAGE_TAGS.values())
  return VocabularyTexts(pretraining.corpus(), MINIWORLD_SIZE, tags)


def sentences(patterns: Sequence[str], fields: Sequence[str]) -> Iterator[str]:
  """Texts of the files, in the order of their names.

  Raises:
    FileNotFoundError: a pattern matches nothing.
    ValueError: broken JSON or a missing field, with file and line.
  """
  for path in (x for pattern in patterns for x in files.expand(pattern)):
    if not fields:
      yield from (line.strip() for _, line in row_files.lines(path))
      continue
    for place, row in row_files.read(path):
      yield from (row_files.text(place, row, field) for field in fields)
