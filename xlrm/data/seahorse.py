"""SEAHORSE (https://arxiv.org/abs/2305.13194): human ratings of summaries.

Its TSV files need care. Columns are quoted as in CSV; a summary is, inside
that, the text of a JSON string (`\\u0438`, `\\"`), so that a reader who skips
the second step trains on literal backslashes. Answers are Yes, No, Unsure or
blank. The articles are not in the files: they come from GEM by `gem_id`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import csv
import functools
import io
import json
import os
from typing import Any

from xlrm.data import row_counts
from xlrm.data import splits
from xlrm.storage import files
from xlrm.storage import row_files

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
TFDS = "tfds:"
Answers = Sequence[float | None]  # of the asked questions; None is no answer


# How wikiHow's image markup begins, a JSON object that came into some summaries
# of WikiLingua with escapes of its own.
IMAGE_MARKUP = r'{"smallUrl":"https:\/\/'


def _unescape(place: str, text: str) -> str:
  """`\\u0438` -> `\u0438`; inside image markup also `\\/` -> `/`."""
  try:
    decoded = json.loads(f'"{text}"', strict=False)
    if IMAGE_MARKUP in decoded:
      decoded = decoded.replace(r"\/", "/").replace(r"\"", '"')
    return decoded
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
      raise row_files.missing(f"{path}:1", name, header)
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


def mean(answers: Answers) -> float | None:
  """Share of Yes; None if a question has no answer."""
  return None if None in answers else sum(answers) / len(answers)


def all_yes(answers: Answers) -> float | None:
  """1 if every answer is Yes, 0 if one is No; None if it cannot be told.

  A summary that is not comprehensible (question 1) was asked nothing else.
  """
  if 0.0 in answers:
    return 0.0
  return None if None in answers else 1.0


def _articles_of(rows, articles: dict[str, str]) -> None:
  for place, row in rows:
    present = [name for name in ARTICLE_FIELDS if name in row]
    if not present:
      raise row_files.missing(place, " or ".join(ARTICLE_FIELDS), list(row))
    gem_id = row_files.text(place, row, "gem_id")
    articles[gem_id] = row_files.text(place, row, present[0])


def _tfds_rows(name: str) -> Iterator[tuple[str, dict[str, str]]]:
  """Every split of a TFDS dataset, such as 'gem/xsum'."""
  import tensorflow_datasets as tfds  # takes seconds

  try:
    by_split = tfds.load(name)
  except Exception as error:  # whatever TFDS meets on its way
    raise ValueError(
      f"{TFDS}{name} cannot be read: {error} (download and prepare it first: "
      f"tfds build {name})"
    ) from error
  for split, dataset in by_split.items():
    for number, row in enumerate(tfds.as_numpy(dataset)):
      texts = {k: x.decode() for k, x in row.items() if isinstance(x, bytes)}
      yield f"{TFDS}{name}/{split}/{number}", texts


@functools.lru_cache(maxsize=8)
def read_articles(*patterns: str) -> Mapping[str, str]:
  """gem_id -> article, of exports of GEM (docs/datasets.md makes them).

  Args:
    patterns: .jsonl, .jsonl.gz or .parquet, paths or globs, or the name of a
      TFDS dataset: 'tfds:gem/xsum'. The text is in the first of
      ARTICLE_FIELDS that a row has.
  """
  articles: dict[str, str] = {}
  for pattern in patterns:
    if pattern.startswith(TFDS):
      _articles_of(_tfds_rows(pattern.removeprefix(TFDS)), articles)
    else:
      _articles_of(row_files.rows(pattern), articles)
  return articles


def _rating(row: Mapping[str, str], questions, aggregate) -> float:
  """
  Raises:
    Dropped: the answers do not tell.
  """
  given = [row[f"question{number}"].strip() for number in questions]
  unknown = [x for x in given if x not in ("Yes", "No", "Unsure", "")]
  if unknown:
    raise row_counts.Dropped(f"answer {unknown[0]!r}")
  rating = aggregate([ANSWERS.get(answer) for answer in given])
  if rating is None:
    unsure = "Unsure" in given
    raise row_counts.Dropped("Unsure" if unsure else "blank")
  return float(rating)


def ratings(
  split: str,
  *,
  file: str | Mapping[str, str | Sequence[str]],
  language: str,
  question: int | Sequence[int] = 6,
  aggregate: Callable[[Answers], float | None] = mean,
  articles: str | Sequence[str] | None = None,
  unjoined: str | None = None,
) -> list[dict[str, Any]]:
  """Rated summaries of one language as rows of a rating task.

  Prints how many rows were kept and why the others were not.

  Args:
    split: 'train', 'validation' or 'test'.
    file: one TSV, split by article here; or a TSV, or several, for each split.
    language: one of ours.
    question: 1 to 6, or several of them.
    aggregate: their answers (Yes 1, No 0, else None) to a rating in [0, 1], or
      None, which leaves the row out.
    articles: see `read_articles`; rows without an article are left out. None:
      the reward model reads the bare summary.
    unjoined: file to which the gem_ids without an article are written.
  """
  by_split = not isinstance(file, str)
  named = file[split] if by_split else file
  named = [named] if isinstance(named, str) else named
  paths = [path for pattern in named for path in files.expand(pattern)]
  if split == "train" and any("duplicates" in path for path in paths):
    raise ValueError(f"{paths}: SEAHORSE's duplicates overlap its validation")
  texts = None
  if articles is not None:
    patterns = (articles,) if isinstance(articles, str) else articles
    texts = read_articles(*patterns)
  questions = (question,) if isinstance(question, int) else tuple(question)
  names = ", ".join(f"{x} ({QUESTIONS[x - 1]})" for x in questions)
  counts = row_counts.RowCounts(
    f"SEAHORSE {language} {split}, question {names}"
  )
  rows, without = [], {}
  for path, name in _names(split, paths).items():
    for number, row in enumerate(read(path)):
      if row["language"] != language:
        continue
      if not by_split and splits.split_of(row["gem_id"]) != split:
        continue
      try:
        rating = _rating(row, questions, aggregate)
        if not row["summary"].strip():
          raise row_counts.Dropped("blank summary")
        if texts is not None and row["gem_id"] not in texts:
          without[row["gem_id"]] = None
          raise row_counts.Dropped("no article")
      except row_counts.Dropped as reason:
        counts.drop(str(reason), row["gem_id"])
        continue
      article = "" if texts is None else texts[row["gem_id"]]
      rows.append(_rated(row, f"{name}/{number:06d}", article, rating))
  if texts is None:
    warn_bare(str(file))
  if unjoined is not None and without:
    row_files.write(f"{unjoined}.{language}.{split}.txt", without)
  return counts.close(rows)


def _names(split: str, paths: Sequence[str]) -> dict[str, str]:
  """Path -> what the ids of its rows begin with.

  Of several files each has its own, so that rows are counted in each and one
  more file changes no id.

  Raises:
    ValueError: two of them have one name.
  """
  found, seen = {}, {}
  for path in paths:
    own = os.path.basename(path).removesuffix(".gz").removesuffix(".tsv")
    if own in seen:
      raise ValueError(
        f"{path} and {seen[own]}: rows are named after their file, so two "
        f"files of the split {split!r} cannot both be {own!r}; rename one"
      )
    seen[own] = path
    found[path] = f"seahorse/{split}/{own}"
  return found if len(found) > 1 else dict.fromkeys(paths, f"seahorse/{split}")


def _rated(row, name: str, article: str, rating: float) -> dict:
  return {
    "id": name,
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


@functools.cache  # said once, and then loudly
def warn_bare(file: str) -> None:
  print(
    f"WARNING: no articles were given for {file}, so the reward model rates "
    "the BARE SUMMARY: it cannot see whether a summary is true to its article",
    flush=True,
  )


def check(language: str, question: int | Sequence[int]) -> None:
  """Raises ValueError for a language or question that SEAHORSE has not."""
  known = sorted(LANGUAGES.values())
  if language not in known:
    raise ValueError(
      f"SEAHORSE has no language {language!r}; it has {', '.join(known)}"
    )
  questions = (question,) if isinstance(question, int) else tuple(question)
  wrong = [x for x in questions if x not in range(1, 7)]
  if wrong or not questions:
    raise ValueError(f"question {(wrong or ['none'])[0]} is not in 1..6")
