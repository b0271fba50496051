"""Tasks from JSONL files: summaries, rated summaries, ranked responses.

One JSON object per line, in `.jsonl` or `.jsonl.gz`, local or any path that
TensorFlow reads; a path may be a glob and may name environment variables.
`fields` says which column holds what.
"""

from collections.abc import Callable, Iterator, Mapping
import functools
import json
from typing import Any

from xlrm.data import files
from xlrm.data import registry

SUMMARY_FIELDS = {"id": "id", "document": "document", "summary": "summary"}
RATING_FIELDS = {**SUMMARY_FIELDS, "rating": "rating"}
PREFERENCE_FIELDS = {
  "id": "id",
  "prompt": "prompt",
  "responses": "responses",
  "ranks": "ranks",
}


def read(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
  """('file:line', object) of every line; blank lines are skipped.

  Raises:
    ValueError: a line is no JSON object, or a file has none.
  """
  for path in files.expand(pattern):
    place = ""
    for number, line in enumerate(files.read_text(path).split("\n"), 1):
      if not line.strip():
        continue
      place = f"{path}:{number}"
      try:
        row = json.loads(line)
      except ValueError as error:
        raise ValueError(
          f"{place}: one JSON object was expected ({error})"
        ) from error
      if not isinstance(row, dict):
        raise ValueError(
          f"{place}: a JSON object was expected, not {type(row).__name__}"
        )
      yield place, row
    if not place:
      raise ValueError(f"{path}:1: the file is empty; JSON lines were expected")


def column(place: str, row: Mapping[str, Any], name: str) -> Any:
  """A column of a row, or an error that lists those it has."""
  if name not in row:
    raise files.missing(place, name, list(row))
  return row[name]


def text(place: str, row: Mapping[str, Any], name: str) -> str:
  """A column that must be text."""
  value = column(place, row, name)
  if not isinstance(value, str):
    raise ValueError(f"{place}: text was expected in {name!r}, not {value!r}")
  return value


def _rating(place: str, row: Mapping[str, Any], name: str) -> float:
  value = column(place, row, name)
  if not isinstance(value, int | float) or not 0 <= value <= 1:
    raise ValueError(
      f"{place}: a number in [0, 1] was expected in {name!r}, not {value!r}"
    )
  return float(value)


def _identity(
  place: str, row: Mapping[str, Any], fields: Mapping[str, str], default: str
) -> str:
  if "id" not in fields:
    return default
  return str(column(place, row, fields["id"]))


def _texts(task, language, document, instruction):
  return {
    "language": language,
    "dataset": task.partition(".")[0].rpartition("_")[0] or task,
    "inputs": instruction + document,
    "reward_inputs": document,
  }


def _summaries(
  split: str,
  *,
  task: str,
  paths: Mapping[str, str],
  language: str,
  fields: Mapping[str, str],
  instruction: str,
  bare: bool,
) -> list[dict[str, Any]]:
  rows, blank = [], 0
  for number, (place, row) in enumerate(read(paths[split])):
    document = text(place, row, fields["document"])
    summary = text(place, row, fields["summary"])
    if not document.strip() or not summary.strip():
      blank += 1
      continue
    made = _texts(task, language, document, instruction)
    made["id"] = _identity(place, row, fields, f"{task}/{split}/{number}")
    if bare:
      made["reward_inputs"] = ""
    rows.append({**made, "targets": summary})
  if blank:
    print(f"{task} {split}: {blank} rows without text left out", flush=True)
  return rows


def _ratings(
  split: str,
  *,
  task: str,
  paths: Mapping[str, str],
  language: str,
  fields: Mapping[str, str],
) -> list[dict[str, Any]]:
  rows = []
  for number, (place, row) in enumerate(read(paths[split])):
    document = ""
    if "document" in fields:
      document = text(place, row, fields["document"])
    made = _texts(task, language, document, "")
    made["id"] = _identity(place, row, fields, f"{task}/{split}/{number}")
    made["targets"] = text(place, row, fields["summary"])
    made["rating"] = _rating(place, row, fields["rating"])
    rows.append({**made, "fault": ""})
  return rows


def _preferences(
  split: str,
  *,
  task: str,
  paths: Mapping[str, str],
  language: str,
  fields: Mapping[str, str],
) -> list[dict[str, Any]]:
  rows = []
  for number, (place, row) in enumerate(read(paths[split])):
    made = _texts(task, language, text(place, row, fields["prompt"]), "")
    made["id"] = _identity(place, row, fields, f"{task}/{split}/{number}")
    responses = column(place, row, fields["responses"])
    ranks = column(place, row, fields["ranks"])
    if not _ranked(responses, ranks):
      raise ValueError(
        f"{place}: a list of texts in {fields['responses']!r} and as many "
        f"whole ranks (0 is best) in {fields['ranks']!r} were expected"
      )
    made["responses"], made["ranks"] = responses, ranks
    rows.append({**made, "targets": responses[ranks.index(min(ranks))]})
  return rows


def _ranked(responses: Any, ranks: Any) -> bool:
  if not isinstance(responses, list) or not isinstance(ranks, list):
    return False
  whole = all(type(rank) is int and rank >= 0 for rank in ranks)
  texts = all(isinstance(response, str) for response in responses)
  return whole and texts and len(responses) == len(ranks) > 0


def _register(
  kind: str,
  rows: Callable[..., list[dict[str, Any]]],
  name: str,
  paths: Mapping[str, str],
  fields: Mapping[str, str],
  vocabulary: str | None,
  extra_ids: int,
  **settings: Any,
) -> str:
  fields = dict(fields)
  read_split = functools.partial(
    rows, task=name, paths=dict(paths), fields=fields, **settings
  )
  return registry.register(
    name,
    read_split,
    kind=kind,
    splits=tuple(paths),
    vocabulary=vocabulary,
    extra_ids=extra_ids,
  )


def register_summaries(
  name: str,
  paths: Mapping[str, str],
  language: str,
  *,
  fields: Mapping[str, str] = SUMMARY_FIELDS,
  language_name: str | None = None,
  bare: bool = False,
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
    vocabulary: see `registry.register`.
    extra_ids: see `registry.register`.
  """
  _check_fields(fields, SUMMARY_FIELDS)
  return _register(
    "summary",
    _summaries,
    name,
    paths,
    fields,
    vocabulary,
    extra_ids,
    language=language,
    instruction=registry.instruction(language, language_name),
    bare=bare,
  )


def register_ratings(
  name: str,
  paths: Mapping[str, str],
  language: str,
  *,
  fields: Mapping[str, str] = RATING_FIELDS,
  vocabulary: str | None = None,
  extra_ids: int = 0,
) -> str:
  """Registers rated summaries; `rating` is a number in [0, 1].

  See `register_summaries`; without `document` among `fields` the reward model
  reads the bare summary.
  """
  _check_fields(fields, RATING_FIELDS, optional=("id", "document"))
  settings = (name, paths, fields, vocabulary, extra_ids)
  return _register("rating", _ratings, *settings, language=language)


def register_preferences(
  name: str,
  paths: Mapping[str, str],
  language: str,
  *,
  fields: Mapping[str, str] = PREFERENCE_FIELDS,
  vocabulary: str | None = None,
  extra_ids: int = 0,
) -> str:
  """Registers ranked responses: a list of texts, and a rank for each.

  See `register_summaries`; rank 0 is best, equal ranks are ties.
  """
  _check_fields(fields, PREFERENCE_FIELDS)
  settings = (name, paths, fields, vocabulary, extra_ids)
  return _register("preference", _preferences, *settings, language=language)


def _check_fields(fields, known, optional=("id",)) -> None:
  lacking = [x for x in known if x not in fields and x not in optional]
  unknown = [x for x in fields if x not in known]
  if lacking or unknown:
    raise ValueError(
      f"fields {dict(fields)}: lacks {lacking or 'nothing'}, unknown "
      f"{unknown or 'nothing'}; expected {', '.join(known)}"
    )
