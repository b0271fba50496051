"""SEAHORSE (https://arxiv.org/abs/2305.13194): human ratings of summaries.

Its TSV files need care. Columns are quoted as in CSV; a summary is, inside
that, the text of a JSON string (`\\u0438`, `\\"`), so that a reader who skips
the second step trains on literal backslashes. Answers are Yes, No, Unsure or
blank. The articles are not in the files: they come from GEM by `gem_id`.
"""

from collections.abc import Iterator, Mapping, Sequence
import csv
import functools
import hashlib
import io
import json
from typing import Any

from xlrm.data import files
from xlrm.data import jsonl

LANGUAGES = {
  "de": "de",
  "en-US": "en",
  "es-ES": "es",
  "ru": "ru",
  "tr": "tr",
  "vi": "vi",
}  # worker_lang -> ours
QUESTIONS = (
  "comprehensible",
  "repetition",
  "grammar",
  "attribution",
  "main ideas",
  "conciseness",
)
ANSWERS = {"Yes": 1.0, "No": 0.0}
COLUMNS = (
  "gem_id",
  "worker_lang",
  "summary",
  "model",
  *(f"question{number}" for number in range(1, 7)),
)
ARTICLE_FIELDS = ("text", "document", "source")  # mlsum, xlsum; xsum; wiki
SPLITS = ("train", "validation", "test")
HELD_OUT = 0.1  # share of articles in each of validation and test


def _unescape(place: str, text: str) -> str:
  try:
    return json.loads(f'"{text}"', strict=False)
  except ValueError as error:
    raise ValueError(
      f"{place}: the summary was expected to be the inside of a JSON string "
      f"({error})"
    ) from error


def read(path: str) -> Iterator[dict[str, str]]:
  """Every row of a TSV, its summary decoded, with our `language`.

  Raises:
    ValueError: a missing column, a short row, an unknown language; names the
      file and line.
  """
  text = files.read_text(path)
  reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
  header = next(reader, [])
  for name in COLUMNS:
    if name not in header:
      raise files.missing(f"{path}:1", name, header)
  place = f"{path}:2"
  try:
    for values in reader:
      yield _row(place, header, values)
      place = f"{path}:{reader.line_num + 1}"
  except csv.Error as error:
    raise ValueError(f"{place}: broken TSV ({error})") from error
  if place == f"{path}:2":
    raise ValueError(f"{place}: rows were expected below the header")


def _row(
  place: str, header: Sequence[str], values: Sequence[str]
) -> dict[str, str]:
  if len(values) != len(header):
    raise ValueError(
      f"{place}: {len(header)} columns were expected, not {len(values)}"
    )
  row = dict(zip(header, values))
  if row["worker_lang"] not in LANGUAGES:
    raise ValueError(
      f"{place}: unknown worker_lang {row['worker_lang']!r}; expected one of "
      f"{', '.join(LANGUAGES)}"
    )
  return {
    **row,
    "language": LANGUAGES[row["worker_lang"]],
    "summary": _unescape(place, row["summary"]),
  }


def split_of(gem_id: str) -> str:
  """Splits by article, stable: all summaries of one are on the same side."""
  digest = hashlib.sha256(gem_id.encode("utf-8")).digest()
  place = int.from_bytes(digest[:8], "big") / 2**64
  if place < HELD_OUT:
    return "validation"
  return "test" if place < 2 * HELD_OUT else "train"


def read_articles(pattern: str) -> dict[str, str]:
  """gem_id -> article, of JSONL exports of GEM.

  The text is in the first of ARTICLE_FIELDS that a row has.
  """
  articles = {}
  for place, row in jsonl.read(pattern):
    present = [name for name in ARTICLE_FIELDS if name in row]
    if not present:
      raise files.missing(place, " or ".join(ARTICLE_FIELDS), list(row))
    gem_id = jsonl.text(place, row, "gem_id")
    articles[gem_id] = jsonl.text(place, row, present[0])
  return articles


def ratings(
  split: str,
  *,
  file: str | Mapping[str, str],
  language: str,
  question: int = 6,
  articles: str | None = None,
) -> list[dict[str, Any]]:
  """Rated summaries of one language as rows of a rating task.

  Prints how many rows were kept and why the others were not.

  Args:
    split: of SPLITS.
    file: one TSV, split by article here; or a TSV for each split.
    language: one of ours.
    question: 1 to 6; answers other than Yes and No are left out.
    articles: JSONL with the articles by gem_id, path or glob; rows without
      one are left out. None: the reward model reads the bare summary.
  """
  by_split = not isinstance(file, str)
  paths = files.expand(file[split] if by_split else file)
  if split == "train" and any("duplicates" in path for path in paths):
    raise ValueError(f"{paths}: SEAHORSE's duplicates overlap its validation")
  texts = None if articles is None else read_articles(articles)
  counts: dict[str, int] = {}
  rows = []
  for path in paths:
    for number, row in enumerate(read(path)):
      if row["language"] != language:
        continue
      if not by_split and split_of(row["gem_id"]) != split:
        continue
      answer = row[f"question{question}"].strip()
      reason = answer or "blank"
      if answer in ANSWERS and texts is not None:
        reason = answer if row["gem_id"] in texts else "no article"
      counts[reason] = counts.get(reason, 0) + 1
      if reason in ANSWERS:
        article = "" if texts is None else texts[row["gem_id"]]
        rows.append(_rated(row, number, split, article, ANSWERS[answer]))
  _report(language, split, question, counts)
  if texts is None:
    warn_bare(str(file))
  return rows


def _rated(row, number: int, split: str, article: str, rating: float) -> dict:
  return {
    "id": f"seahorse/{split}/{number:06d}",
    "language": row["language"],
    "dataset": row["gem_id"].partition("-")[0],
    "inputs": article,
    "reward_inputs": article,
    "targets": row["summary"],
    "rating": rating,
    "fault": "",
    "gem_id": row["gem_id"],
    "system": row["model"],
  }


def _report(language, split, question, counts) -> None:
  kept = sum(counts.get(answer, 0) for answer in ANSWERS)
  table = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
  print(
    f"SEAHORSE {language} {split}, question {question} "
    f"({QUESTIONS[question - 1]}): {kept} rows kept of {table or 'none'}",
    flush=True,
  )


@functools.cache  # said once, and then loudly
def warn_bare(file: str) -> None:
  print(
    f"WARNING: no articles were given for {file}, so the reward model rates "
    "the BARE SUMMARY: it cannot see whether a summary is true to its article",
    flush=True,
  )


def check(language: str, question: int) -> None:
  """Raises ValueError for a language or question that SEAHORSE has not."""
  known = sorted(LANGUAGES.values())
  if language not in known:
    raise ValueError(
      f"SEAHORSE has no language {language!r}; it has {', '.join(known)}"
    )
  if question not in range(1, 7):
    raise ValueError(f"question {question} is not in 1..6")
