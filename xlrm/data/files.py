"""Files to text: local or any path that TensorFlow reads, packed or not.

A file that is not what it should be is ONE error that names the file, the
line, and what was expected; nothing of it is used.
"""

from collections.abc import Sequence
import difflib
import gzip
import os
import re
import zlib

import tensorflow as tf


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
  files = sorted(tf.io.gfile.glob(path))
  if not files:
    raise FileNotFoundError(f"no file {path}")
  return files


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
  with tf.io.gfile.GFile(path, "rb") as file:
    data = file.read()
  if path.endswith(".gz"):
    data = _unpack(path, data)
  try:
    return data.decode("utf-8-sig")
  except UnicodeDecodeError as error:
    line = data[: error.start].count(b"\n") + 1
    raise ValueError(
      f"{path}:{line}: UTF-8 was expected ({error.reason})"
    ) from error


def missing(place: str, name: str, present: Sequence[str]) -> ValueError:
  """The error for a column that is not there; names the nearest."""
  near = difflib.get_close_matches(name, present, 1, 0.5)
  hint = f"; nearest: {near[0]!r}" if near else ""
  return ValueError(
    f"{place}: no column {name!r}; it has {', '.join(present) or 'none'}{hint}"
  )
