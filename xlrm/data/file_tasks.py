"""Tasks from files of rows: summaries, rated responses, ranked responses.

One JSON object per line (`.jsonl`, `.jsonl.gz`) or a Parquet file, local or
gs://; a path may be a glob and may name environment variables. Columns are
recognised, see `row_formats`, or named by `fields`. What is left out is counted
in a table printed when the task is loaded.
"""

from collections.abc import Callable, Mapping, Sequence
import csv
import functools
import io
from typing import Any

from xlrm.data import registry
from xlrm.data import row_counts
from xlrm.data import row_formats
from xlrm.storage import files
from xlrm.storage import row_files

SUMMARY_FIELDS = {"id": "id", "document": "document", "summary": "summary"}
RATING_FIELDS = {**SUMMARY_FIELDS, "rating": "rating"}
PREFERENCE_FIELDS = {
  "id": "id",
  "prompt": "prompt",
  "responses": "responses",
  "ranks": "ranks",
}
SUBSETS = ("dataset", "subset", "domain")  # columns that name a part of a file
Parse = Callable[..., dict[str, Any]]


def _read(
  split: str,
  *,
  task: str,
  paths: Mapping[str, str],
  language: str,
  fields: Mapping[str, str] | None,
  parse: Parse,
) -> list[dict[str, Any]]:
  """The rows of a split, each by `parse`; prints what was left out."""
  counts = row_counts.RowCounts(f"{task} {split}")
  dataset = task.partition(".")[0].rpartition("_")[0] or task
  rows = []
  for number, (place, row) in enumerate(row_files.rows(paths[split])):
    try:
      made = parse(place, row, fields)
    except row_counts.Dropped as reason:
      counts.drop(str(reason), place)
      continue
    named = f"{task}/{split}/{number}"
    if fields is None:
      named = str(row.get("id", named))
    elif "id" in fields:
      named = str(row_files.column(place, row, fields["id"]))
    part = next((row[x] for x in SUBSETS if isinstance(row.get(x), str)), None)
    texts = {"id": named, "language": language, "dataset": part or dataset}
    rows.append({**texts, **made})
  return counts.close(rows)


def _summary(
  place: str,
  row: Mapping[str, Any],
  fields: Mapping[str, str],
  *,
  instruction: str,
  bare: bool,
  excluded: str | None,
) -> dict[str, Any]:
  if excluded is not None and row.get("gem_id") in _ids(excluded):
    raise row_counts.Dropped("article of a reward model's training data")
  document = row_files.text(place, row, fields["document"])
  summary = row_files.text(place, row, fields["summary"])
  if not document.strip() or not summary.strip():
    raise row_counts.Dropped("without text")
  return {
    "inputs": instruction + document,
    "reward_inputs": "" if bare else document,
    "targets": summary,
  }


@functools.lru_cache(maxsize=4)
def _ids(pattern: str) -> frozenset[str]:
  """The `gem_id` column of TSV files."""
  found = set()
  for path in files.expand(pattern):
    lines = io.StringIO(files.read_text(path), newline="")
    reader = csv.DictReader(lines, delimiter="\t")
    if "gem_id" not in (reader.fieldnames or ()):
      raise row_files.missing(f"{path}:1", "gem_id", reader.fieldnames or ())
    found |= {row["gem_id"] for row in reader}
  return frozenset(found)


def _rating(
  place: str,
  row: Mapping[str, Any],
  fields: Mapping[str, str] | None,
  *,
  scale: tuple[float, float],
) -> dict[str, Any]:
  names = None
  if fields is not None:
    names = (fields.get("document"), fields["summary"], fields["rating"])
  found = row_formats.rated(place, row, names)
  low, high = scale
  if not low <= found.rating <= high:
    raise ValueError(
      f"{place}: the rating {found.rating:g} is not in [{low:g}, {high:g}]; "
      "`scale` says from where to where ratings go"
    )
  return {
    "inputs": found.prompt,
    "reward_inputs": found.prompt,
    "targets": found.response,
    "rating": (found.rating - low) / (high - low),
    "fault": "",
  }


def _preference(
  place: str,
  row: Mapping[str, Any],
  fields: Mapping[str, str] | None,
) -> dict[str, Any]:
  if fields is not None:
    row = {
      name: row_files.column(place, row, column)
      for name, column in fields.items()
      if name != "id"
    }
  found = row_formats.ranked(place, row)
  best = found.ranks.index(min(found.ranks))
  return {
    "inputs": found.prompt,
    "reward_inputs": found.prompt,
    "targets": found.responses[best],
    "responses": list(found.responses),
    "ranks": list(found.ranks),
    "margin": float(found.margin),
  }


def _register(
  kind: str,
  parse: Parse,
  name: str,
  paths: Mapping[str, str],
  language: str,
  fields: Mapping[str, str] | None,
  options: Mapping[str, Any],
) -> str:
  read_split = functools.partial(
    _read,
    task=name,
    paths=dict(paths),
    language=language,
    fields=fields and dict(fields),
    parse=parse,
  )
  return registry.register(
    name, read_split, kind=kind, splits=tuple(paths), **options
  )


def register_summaries(
  name: str,
  paths: Mapping[str, str],
  language: str,
  *,
  fields: Mapping[str, str] = SUMMARY_FIELDS,
  language_name: str | None = None,
  bare: bool = False,
  excluded: str | None = None,
  vocabulary: str | None = None,
  extra_ids: int = 0,
) -> str:
  """Registers documents with their summaries; returns the name of the task.

  Args:
    name: 'dataset_summary.language'.
    paths: split to path or glob.
    language: code; part of every record.
    fields: `document`, `summary` and, if there is one, `id`: their columns.
    language_name: English name for the instruction; None: looked up.
    bare: reward models read the summary alone, as where they were trained on
      ratings without documents.
    excluded: TSV files with a column `gem_id`; rows with one of these ids are
      left out, so that no policy is trained or tested on an article that a
      reward model was trained on.
    vocabulary: see `registry.register`.
    extra_ids: see `registry.register`.
  """
  _check_fields(fields, SUMMARY_FIELDS)
  parse = functools.partial(
    _summary,
    instruction=registry.instruction(language, language_name),
    bare=bare,
    excluded=excluded,
  )
  options = {"vocabulary": vocabulary, "extra_ids": extra_ids}
  return _register("summary", parse, name, paths, language, fields, options)


def register_ratings(
  name: str,
  paths: Mapping[str, str],
  language: str,
  *,
  fields: Mapping[str, str] | None = None,
  scale: Sequence[float] = (0.0, 1.0),
  truncate_inputs_from_left: bool = False,
  vocabulary: str | None = None,
  extra_ids: int = 0,
) -> str:
  """Registers rated responses; returns the name of the task.

  Args:
    name: 'dataset_rating.language'.
    paths, language, vocabulary, extra_ids: see `register_summaries`.
    fields: `summary`, `rating` and, if there are such, `document` and `id`;
      None recognises the columns, see `row_formats`. Without `document` the
      reward model reads the bare response.
    scale: the worst and the best rating, such as (1, 5); the tasks' ratings
      are from 0 to 1.
    truncate_inputs_from_left: see `registry.register`.
  """
  if fields is not None:
    _check_fields(fields, RATING_FIELDS, optional=("id", "document"))
  low, high = map(float, scale)
  if not low < high:
    raise ValueError(f"scale {tuple(scale)}: the worst rating comes first")
  parse = functools.partial(_rating, scale=(low, high))
  options = {
    "vocabulary": vocabulary,
    "extra_ids": extra_ids,
    "truncate_inputs_from_left": truncate_inputs_from_left,
  }
  return _register("rating", parse, name, paths, language, fields, options)


def register_preferences(
  name: str,
  paths: Mapping[str, str],
  language: str,
  *,
  fields: Mapping[str, str] | None = None,
  truncate_inputs_from_left: bool = True,
  vocabulary: str | None = None,
  extra_ids: int = 0,
) -> str:
  """Registers pairs or rankings of responses; returns the name of the task.

  Args:
    name: 'dataset_preference.language'.
    paths, language, vocabulary, extra_ids: see `register_summaries`.
    fields: `prompt`, `responses`, `ranks` and, if there is one, `id`; None
      recognises the columns, see `row_formats`.
    truncate_inputs_from_left: see `registry.register`.
  """
  if fields is not None:
    _check_fields(fields, PREFERENCE_FIELDS)
  options = {
    "vocabulary": vocabulary,
    "extra_ids": extra_ids,
    "truncate_inputs_from_left": truncate_inputs_from_left,
  }
  return _register(
    "preference", _preference, name, paths, language, fields, options
  )


def _check_fields(fields, known, optional=("id",)) -> None:
  lacking = [x for x in known if x not in fields and x not in optional]
  unknown = [x for x in fields if x not in known]
  if lacking or unknown:
    raise ValueError(
      f"fields {dict(fields)}: lacks {lacking or 'nothing'}, unknown "
      f"{unknown or 'nothing'}; expected {', '.join(known)}"
    )
