"""What a vocabulary is trained from: files, or the embedded world."""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import glob
import gzip
import json
import zlib

from xlrm.miniworld import pretraining
from xlrm.miniworld import world_rows

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


def _lines(path: str) -> Iterator[str]:
  opener = gzip.open if path.endswith(".gz") else open
  try:
    with opener(path, "rt", encoding="utf-8") as file:
      yield from file
  except (EOFError, UnicodeDecodeError, zlib.error) as error:
    raise ValueError(f"{path}: {error}") from error


def sentences(patterns: Sequence[str], fields: Sequence[str]) -> Iterator[str]:
  """Texts of the files, in the order of their names.

  Raises:
    FileNotFoundError: a pattern matches nothing.
    ValueError: broken JSON or a missing field, with file and line.
  """
  for pattern in patterns:
    files = sorted(glob.glob(pattern))
    if not files:
      raise FileNotFoundError(f"no file matches {pattern}")
    for path in files:
      for number, line in enumerate(_lines(path), 1):
        if not line.strip():
          continue
        if not fields:
          yield line.strip()
          continue
        try:
          row = json.loads(line)
          yield from (row[field] for field in fields)
        except ValueError as error:
          raise ValueError(f"{path}:{number}: broken JSON ({error})") from error
        except (KeyError, TypeError) as error:
          raise ValueError(
            f"{path}:{number}: no field {error}; it has {', '.join(row)}"
          ) from error
