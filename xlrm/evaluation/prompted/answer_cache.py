"""Answers that were paid for, in SQLite: a rerun is free and offline.

An answer is found by what was asked: the prompt, the model with its
parameters, and the order in which the outputs were shown. Each is a
transaction of its own, on disk before anybody reads it; several processes may
share a file.
"""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import sqlite3
import threading
from typing import Any

from xlrm.evaluation.prompted import answer_rescue
from xlrm.evaluation.prompted import completions
from xlrm.storage import files

_APPLICATION = 0x786C726D  # "xlrm": tells the file from other databases
_VERSION = 1
_LOCK_SECONDS = 30.0  # that another process may hold the file
_ANSWER_BYTES = 1 << 13  # reserved for an answer with its log-probabilities
_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY,
  asked TEXT NOT NULL,
  answer TEXT NOT NULL
) WITHOUT ROWID
"""
_PUT = "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)"


class CacheError(OSError):
  """An error of the file: locked, full, damaged or something else."""


def key(
  identity: Mapping[str, Any], prompt: str, order: str
) -> tuple[str, str]:
  """The key of a question, and what was asked as JSON."""
  asked = {"model": dict(identity), "order": order, "prompt": prompt}
  text = json.dumps(asked, ensure_ascii=False, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest(), text


def _to_json(answer: completions.Completion) -> str:
  fields = dataclasses.asdict(answer)
  if answer.logprobs is not None:
    fields["logprobs"] = dict(answer.logprobs)
  return json.dumps(fields, ensure_ascii=False)


def _from_json(text: str) -> completions.Completion:
  return completions.Completion(**json.loads(text))


class AnswerCache:
  """An open file of answers, as a context.

  Args:
    path: made where it is missing, with its folder.
    lock_seconds: how long another process may hold the file.

  Raises:
    CacheError: the file is no such cache, or cannot be written.
  """

  def __init__(self, path: files.Name, lock_seconds: float = _LOCK_SECONDS):
    self.path = files.local(path)
    self._lock = threading.Lock()
    self._broken: str | None = None
    self.path.parent.mkdir(parents=True, exist_ok=True)
    with self._explained():
      self._connection = sqlite3.connect(
        self.path,
        timeout=lock_seconds,
        isolation_level=None,  # transactions are written out below
        check_same_thread=False,
      )
      try:
        self._prepare()
      except BaseException:
        self._connection.close()
        raise
    self._rescue = answer_rescue.Rescue(self.path)

  def _prepare(self) -> None:
    _check(self._connection, self.path)
    # On disk when COMMIT returns, and readers do not wait for writers.
    self._connection.execute("PRAGMA journal_mode = WAL")
    self._connection.execute("PRAGMA synchronous = FULL")
    with self._transaction():
      self._connection.execute(f"PRAGMA application_id = {_APPLICATION}")
      self._connection.execute(f"PRAGMA user_version = {_VERSION}")
      self._connection.execute(_TABLE)
      for rescued in answer_rescue.found(self.path):
        self._connection.executemany(_PUT, rescued)
    answer_rescue.remove(self.path)

  @contextlib.contextmanager
  def _transaction(self):
    self._connection.execute("BEGIN IMMEDIATE")
    try:
      yield
      self._connection.execute("COMMIT")
    except BaseException:
      with contextlib.suppress(sqlite3.Error):  # a full disk rolls back itself
        self._connection.execute("ROLLBACK")
      raise

  @contextlib.contextmanager
  def _explained(self):
    try:
      yield
    except sqlite3.Error as error:
      raise CacheError(
        f"{self.path}: {error}; free space on its disk or end what holds it "
        "(or name another file as the cache), and the same command goes on"
      ) from error

  def get(self, keys: Iterable[str]) -> dict[str, completions.Completion]:
    """The answers to those of the keys that were asked."""
    with self._explained(), self._lock:
      return _get(self._connection, keys)

  def reserve(self, answers: int, asked_bytes: int) -> None:
    """Makes sure that so many answers under way would find room.

    Args:
      answers: under way together.
      asked_bytes: of the longest question.

    Raises:
      CacheError: nothing can be written: better before anything is paid.
    """
    with self._explained(), self._lock, self._transaction():
      self._connection.execute(_PUT, ("", "", ""))
      self._connection.execute("DELETE FROM answers WHERE key = ''")
    self._rescue.reserve(answers * (asked_bytes + _ANSWER_BYTES))

  def put(self, key: str, asked: str, answer: completions.Completion) -> None:
    """Stores an answer; it is on disk when this returns.

    Raises:
      CacheError: it could not be stored here; then it is in a file beside,
        which the next start reads.
    """
    row = (key, asked, _to_json(answer))
    with self._lock:
      if self._broken is None:  # else: do not wait for its lock once more
        try:
          with self._explained(), self._transaction():
            self._connection.execute(_PUT, row)
          return
        except CacheError as error:
          self._broken = str(error)
      self._rescue.keep(row)
    raise CacheError(
      f"{self._broken} (what was under way is kept in {self._rescue.path})"
    )

  @property
  def rescued(self) -> int:
    """The number of answers that went beside the database, see `put`."""
    return self._rescue.rows

  def __enter__(self) -> "AnswerCache":
    return self

  def __exit__(self, *_: Any) -> None:
    self._connection.close()
    self._rescue.close()


def _check(connection: sqlite3.Connection, path: pathlib.Path) -> None:
  """The file is empty or a cache of ours."""
  try:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
  except sqlite3.DatabaseError as error:
    if isinstance(error, sqlite3.OperationalError):
      raise
    raise CacheError(
      f"{path} is no cache of answers ({error}): name another file"
    ) from error
  if pages and kind != _APPLICATION:
    raise CacheError(
      f"{path} is another program's database: name another file as the cache"
    )
  if pages and version != _VERSION:
    raise CacheError(
      f"{path} is a cache of version {version}, this xlrm reads {_VERSION}"
    )


def _get(
  connection: sqlite3.Connection, keys: Iterable[str]
) -> dict[str, completions.Completion]:
  found = {}
  for name in keys:
    row = connection.execute(
      "SELECT answer FROM answers WHERE key = ?", (name,)
    ).fetchone()
    if row:
      found[name] = _from_json(row[0])
  return found


def peek(
  path: files.Name, keys: Iterable[str]
) -> dict[str, completions.Completion]:
  """What a cache holds, without making or changing any file."""
  path = files.local(path)
  if not path.is_file() or not path.stat().st_size:
    return {}
  keys = list(keys)
  # A closed cache has no log beside it and is read as it stands.
  alone = not path.with_name(f"{path.name}-wal").exists()
  address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' * alone}"
  try:
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
      _check(connection, path)
      return _get(connection, keys)
  except sqlite3.Error as error:
    raise CacheError(f"{path}: {error}") from error
