"""Files of rows: JSON lines or Parquet, here or in a bucket, packed or not.

A file that is not what it should be is ONE error that names the file, the
line, and what was expected.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import difflib
import json
import os
from typing import Any

from xlrm.storage import files

PARQUET = ".parquet"
Row = dict[str, Any]


def rows(pattern: str) -> Iterator[tuple[str, Row]]:
  """`read` of every file that a path or glob means, see `files.expand`."""
  for name in files.expand(pattern):
    yield from read(name)


def read(name: files.Name) -> Iterator[tuple[str, Row]]:
  """('file:line', row) of every line of .jsonl or .jsonl.gz, or row of
  .parquet; blank lines are skipped.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: a line is no JSON object, the file has none or is damaged.
  """
  if os.fspath(name).endswith(PARQUET):
    found = _parquet_rows(name)
  else:
    found = ((place, parse(place, line)) for place, line in lines(name))
  empty = True
  for place, row in found:
    empty = False
    yield place, row
  if empty:
    raise ValueError(f"{name}:1: the file is empty; rows were expected")


def lines(name: files.Name) -> Iterator[tuple[str, str]]:
  """('file:line', line) of every line of a text that is not blank."""
  for place, line in files.text_lines(name):
    if line.strip():
      yield place, line.rstrip("\r\n")


def parse(place: str, line: str | bytes) -> Row:
  """The object of a line.

  Raises:
    ValueError: it holds none; names the place.
  """
  try:
    row = json.loads(line)
  except json.JSONDecodeError as error:
    raise ValueError(
      f"{place}: one JSON object was expected; this one breaks at column "
      f"{error.colno} ({error.msg})"
    ) from error
  except (ValueError, RecursionError) as error:  # of numbers, of depth
    raise ValueError(
      f"{place}: one JSON object was expected ({error})"
    ) from error
  if not isinstance(row, dict):
    raise ValueError(
      f"{place}: a JSON object was expected, not {type(row).__name__}"
    )
  return row


def _parquet_rows(name: files.Name) -> Iterator[tuple[str, Row]]:
  try:
    from pyarrow import parquet
  except ImportError as error:
    raise ValueError(
      f"{name}: Parquet needs pyarrow: pip install 'xlrm[data]'"
    ) from error
  number = 0
  try:
    with files.opened(name) as opened:
      for batch in parquet.ParquetFile(opened).iter_batches():
        for row in batch.to_pylist():
          number += 1
          yield f"{name}:{number}", row
  except (ValueError, OSError) as error:  # pyarrow's errors are these
    if isinstance(error, FileNotFoundError):
      raise
    raise ValueError(
      f"{name}:{number + 1}: a truncated or damaged Parquet file ({error})"
    ) from error


def write(name: files.Name, found: Iterable[str]) -> None:
  """Writes lines, or, if anything fails, leaves what was there before."""
  with files.writing_text(name) as file:
    for line in found:
      file.write(f"{line}\n")


def missing(place: str, name: str, present: Sequence[str]) -> ValueError:
  """The error for a column that is not there; names the nearest."""
  near = difflib.get_close_matches(name, present, 1, 0.5)
  hint = f"; nearest: {near[0]!r}" if near else ""
  return ValueError(
    f"{place}: no column {name!r}; it has {', '.join(present) or 'none'}{hint}"
  )


def column(place: str, row: Mapping[str, Any], name: str) -> Any:
  """A column of a row, or an error that lists those it has."""
  if name not in row:
    raise missing(place, name, list(row))
  return row[name]


def text(place: str, row: Mapping[str, Any], name: str) -> str:
  """A column that must be text."""
  value = column(place, row, name)
  if not isinstance(value, str):
    raise ValueError(f"{place}: text was expected in {name!r}, not {value!r}")
  return value
