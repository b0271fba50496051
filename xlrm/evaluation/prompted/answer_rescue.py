"""Room for the answers that are under way when their database fails.

Whoever asks first writes a file of blanks beside the database, so that even on
a full disk the answers that still arrive have a place. The next start reads
them; a file that a living process holds (flock) is left alone.
"""

from collections.abc import Iterator, Sequence
import fcntl
import glob
import json
import os
import pathlib

Row = Sequence[str]


def _files(database: pathlib.Path) -> list[pathlib.Path]:
  pattern = f".{glob.escape(database.name)}.*.rescued"
  return sorted(database.parent.glob(pattern))


def _lock(descriptor: int) -> bool:
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:
    return False
  return True


def found(database: pathlib.Path) -> Iterator[list[Row]]:
  """The rows of each file that ended processes left."""
  for path in _files(database):
    with open(path, "rb") as file:
      if _lock(file.fileno()):
        lines = file.read().rstrip(b"\0").split(b"\n")[:-1]
        yield [json.loads(line) for line in lines]


def remove(database: pathlib.Path) -> None:
  """Removes the files that `found` has read."""
  for path in _files(database):
    with open(path, "rb") as file:
      if _lock(file.fileno()):
        path.unlink()


class Rescue:
  """The file of this process; it exists from `reserve` on."""

  def __init__(self, database: pathlib.Path):
    own = os.urandom(4).hex()
    self.path = database.with_name(f".{database.name}.{own}.rescued")
    self.rows = 0
    self._file = None
    self._used = 0

  def reserve(self, size: int) -> None:
    """Takes so many bytes of the disk."""
    if self._file is None:
      self._file = open(self.path, "w+b", buffering=0)
      _lock(self._file.fileno())
    self._file.seek(0)
    self._file.write(bytes(size))
    os.fsync(self._file.fileno())

  def keep(self, row: Row) -> None:
    """Stores a row; it is on disk when this returns."""
    if self._file is None:
      self.reserve(0)
    line = f"{json.dumps(row, ensure_ascii=False)}\n".encode()
    self._file.seek(self._used)
    self._file.write(line)
    os.fsync(self._file.fileno())
    self._used += len(line)
    self.rows += 1

  def close(self) -> None:
    """Closes the file; one without answers is removed."""
    if self._file is not None:
      self._file.close()
      if not self._used:
        self.path.unlink(missing_ok=True)
