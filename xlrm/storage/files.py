"""Files to text and to rows: local or gs://, packed or not.

A file that is not what it should be is ONE error that names the file, the
line, and what was expected; nothing of it is used.
"""

from collections.abc import Iterator, Mapping, Sequence
import difflib
import glob
import gzip
import io
import json
import os
import pathlib
import re
from typing import Any
import zlib

from etils import epath

PARQUET = ".parquet"


def expand(pattern: str) -> list[str]:
  """The files that a path or glob means, sorted; $NAME is replaced.

  Raises:
    FileNotFoundError: there is none.
    ValueError: an environment variable of it is not set.
  """
  path = os.path.expanduser(os.path.expandvars(pattern))
  unset = re.search(r"\$\{?(\w+)", path)
  if unset:
    raise ValueError(
      f"{pattern}: the environment variable {unset[1]} is not set; it names "
      "the folder of the data"
    )
  found = _remote(path) if "://" in path else glob.glob(path)
  if not found:
    raise FileNotFoundError(f"no file {path}")
  return sorted(found)


def _remote(path: str) -> list[str]:
  """A glob where only `epath` can list: from its first part with a sign."""
  parts = path.split("/")
  signs = [i for i, part in enumerate(parts) if re.search(r"[*?\[]", part)]
  if not signs:
    return [path] if epath.Path(path).exists() else []
  folder, rest = "/".join(parts[: signs[0]]), "/".join(parts[signs[0] :])
  return [str(x) for x in epath.Path(folder).glob(rest)]


def _unpack(path: str, data: bytes) -> bytes:
  try:
    return gzip.decompress(data)
  except (EOFError, OSError, zlib.error) as error:
    try:
      readable = zlib.decompressobj(31).decompress(data)
    except zlib.error:
      readable = b""
    line = readable.count(b"\n") + 1
    raise ValueError(
      f"{path}:{line}: a truncated or damaged gzip file ({error})"
    ) from error


def read_text(path: str) -> str:
  """A whole UTF-8 file; `.gz` is unpacked, a byte-order mark left out.

  Raises:
    ValueError: a truncated or damaged gzip, or not UTF-8.
  """
  data = epath.Path(path).read_bytes()
  if path.endswith(".gz"):
    data = _unpack(path, data)
  try:
    return data.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = data[: error.start].count(b"\n") + 1
    raise ValueError(
      f"{path}:{line}: UTF-8 was expected ({error.reason})"
    ) from error


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes a small file, or leaves what was there before."""
  target = pathlib.Path(path)
  temporary = target.with_name(f"{target.name}.new")
  temporary.write_text(text, encoding="utf-8")
  os.replace(temporary, target)


def rows(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
  """('file:line', row) of every line of .jsonl or .jsonl.gz, or row of
  .parquet; blank lines are skipped.

  Raises:
    ValueError: a line is no JSON object, a file has none or is damaged.
  """
  for path in expand(pattern):
    read = _parquet_rows if path.endswith(PARQUET) else _json_rows
    empty = True
    for place, row in read(path):
      empty = False
      yield place, row
    if empty:
      raise ValueError(f"{path}:1: the file is empty; rows were expected")


def _json_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
  for number, line in enumerate(read_text(path).split("\n"), 1):
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


def _parquet_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
  try:
    from pyarrow import parquet
  except ImportError as error:
    raise ValueError(
      f"{path}: Parquet needs pyarrow: pip install 'xlrm[data]'"
    ) from error
  number = 0
  try:
    file = parquet.ParquetFile(io.BytesIO(epath.Path(path).read_bytes()))
    for batch in file.iter_batches():
      for row in batch.to_pylist():
        number += 1
        yield f"{path}:{number}", row
  except (ValueError, OSError) as error:  # pyarrow's errors are these
    raise ValueError(
      f"{path}:{number + 1}: a truncated or damaged Parquet file ({error})"
    ) from error


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
