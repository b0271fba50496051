"""Files to rows of text: JSONL and SEAHORSE's TSV, local or remote.

A file that is not what it should be is ONE error that names the file, the
line, and what was expected; nothing of it is used.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import csv
import difflib
import gzip
import hashlib
import io
import json
import zlib

import tensorflow as tf

LANGUAGES_OF_SEAHORSE = {
  "de": "de",
  "es-ES": "es",
  "en-US": "en",
  "ru": "ru",
  "tr": "tr",
  "vi": "vi",
}
ANSWERS = {"Yes": 1.0, "No": 0.0}
COLUMNS = (
  "gem_id",
  "worker_lang",
  "summary",
  "model",
  *(f"question{i}" for i in range(1, 7)),
)


def expand(pattern: str) -> list[str]:
  """The files that a path or glob means, sorted.

  Raises:
    FileNotFoundError: none.
  """
  files = sorted(tf.io.gfile.glob(pattern))
  if not files:
    raise FileNotFoundError(f"no file matches {pattern}")
  return files


def read_text(path: str) -> str:
  """A whole UTF-8 file; `.gz` is unpacked.

  Raises:
    ValueError: a truncated or damaged gzip, or not UTF-8.
  """
  with tf.io.gfile.GFile(path, "rb") as file:
    data = file.read()
  if path.endswith(".gz"):
    try:
      data = gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
      raise ValueError(
        f"{path}: a truncated or damaged gzip file ({error})"
      ) from error
  try:
    return data.decode("utf-8")
  except UnicodeDecodeError as error:
    line = data[: error.start].count(b"\n") + 1
    raise ValueError(f"{path}:{line}: not UTF-8 ({error.reason})") from error


def _missing(place: str, name: str, present: Sequence[str]) -> ValueError:
  near = difflib.get_close_matches(name, present, 1, 0.5)
  hint = f"; nearest: {near[0]!r}" if near else ""
  return ValueError(
    f"{place}: no field {name!r}; it has {', '.join(present)}{hint}"
  )


def read_jsonl(
  pattern: str, fields: Mapping[str, str]
) -> Iterator[dict[str, str]]:
  """Rows of .jsonl or .jsonl.gz files.

  Args:
    pattern: a path or glob.
    fields: our name of a field to its name in the file; all must be there,
      as text or numbers.
  """
  for path in expand(pattern):
    found = False
    for number, line in enumerate(read_text(path).split("\n"), 1):
      if not line.strip():
        continue
      place = f"{path}:{number}"
      try:
        row = json.loads(line)
      except ValueError as error:
        raise ValueError(f"{place}: broken JSON ({error})") from error
      if not isinstance(row, dict):
        raise ValueError(f"{place}: a JSON object was expected, not {row!r}")
      found = True
      yield {name: _field(place, row, key) for name, key in fields.items()}
    if not found:
      raise ValueError(f"{path}: the file is empty; one JSON object per line")


def _field(place: str, row: Mapping, key: str) -> str:
  if key not in row:
    raise _missing(place, key, list(row))
  value = row[key]
  if isinstance(value, bool) or not isinstance(value, str | int | float):
    raise ValueError(f"{place}: {key!r} is {value!r}, not text")
  return str(value)


def _unescape(place: str, text: str) -> str:
  """SEAHORSE's summaries are JSON strings without their quotes."""
  try:
    return json.loads(f'"{text}"', strict=False)
  except ValueError as error:
    raise ValueError(
      f"{place}: the summary is no JSON string ({error})"
    ) from error


def read_seahorse(path: str) -> Iterator[dict[str, str]]:
  """Every row of a SEAHORSE TSV, its summary decoded, its language ours.

  Raises:
    ValueError: a missing column, a short row, an unknown language.
  """
  text = read_text(path)
  reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
  header = next(reader, [])
  for name in COLUMNS:
    if name not in header:
      raise _missing(f"{path}:1", name, header or ["nothing"])
  count = 0
  for values in reader:
    place = f"{path}:{reader.line_num}"
    if len(values) != len(header):
      raise ValueError(
        f"{place}: {len(values)} columns, the header has {len(header)}"
      )
    row = dict(zip(header, values))
    language = LANGUAGES_OF_SEAHORSE.get(row["worker_lang"])
    if language is None:
      raise ValueError(
        f"{place}: unknown worker_lang {row['worker_lang']!r}; one of "
        f"{', '.join(LANGUAGES_OF_SEAHORSE)}"
      )
    count += 1
    yield {
      **row,
      "language": language,
      "summary": _unescape(place, row["summary"]),
    }
  if not count:
    raise ValueError(f"{path}: no rows below the header")


def in_validation(gem_id: str, share: float) -> bool:
  """Splits by article, stable: every summary of it on the same side."""
  digest = hashlib.sha256(gem_id.encode("utf-8")).digest()
  return int.from_bytes(digest[:8], "big") < share * 2**64


def seahorse_ratings(
  path: str,
  language: str,
  question: int,
  articles: Mapping[str, str] | None,
) -> tuple[list[dict], dict[str, int]]:
  """Rated summaries of one language, and a count of what was left out.

  Args:
    path: the TSV.
    language: one of ours.
    question: 1-6; answers other than Yes and No are left out.
    articles: text by gem_id; None rates the bare summary.
  """
  if language not in LANGUAGES_OF_SEAHORSE.values():
    raise ValueError(
      f"SEAHORSE has no language {language!r}; it has "
      f"{', '.join(sorted(LANGUAGES_OF_SEAHORSE.values()))}"
    )
  if question not in range(1, 7):
    raise ValueError(f"question {question} is not in 1..6")
  rows, counts = [], collections.Counter()
  for number, row in enumerate(read_seahorse(path)):
    if row["language"] != language:
      continue
    answer = row[f"question{question}"].strip()
    if answer not in ANSWERS:
      counts[f"answer {answer or 'blank'}"] += 1
    elif articles is not None and row["gem_id"] not in articles:
      counts["no article"] += 1
    else:
      counts["kept"] += 1
      rows.append(
        {
          "id": f"seahorse/{number:06d}",
          "gem_id": row["gem_id"],
          "language": language,
          "reward_inputs": (articles or {}).get(row["gem_id"], ""),
          "targets": row["summary"],
          "rating": ANSWERS[answer],
          "fault": "",
        }
      )
  return rows, dict(counts)
