"""SEAHORSE's TSV files, and the articles that they name.

The files need care. Columns are quoted as in CSV; a summary is, inside that,
the text of a JSON string (`\\u0438`, `\\"`), so that a reader who skips the
second step trains on literal backslashes. The articles are not in the files:
they come from GEM by `gem_id`.
"""

from collections.abc import Iterator, Mapping, Sequence
import csv
import functools
import io
import json

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
COLUMNS = (
  "gem_id",
  "worker_lang",
  "summary",
  "model",
  *(f"question{number}" for number in range(1, 7)),
)
ARTICLE_FIELDS = ("text", "document", "source")  # mlsum, xlsum; xsum; wiki
TFDS = "tfds:"

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
