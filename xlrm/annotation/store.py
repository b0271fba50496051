"""Tasks and answers in one SQLite file, which knows nothing of the key.

An answer is on disk when `answer` returns. Events are only ever added: an undo
is one, too, so that nothing an annotator did is lost.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import datetime
import json
import pathlib
import sqlite3
import threading

from xlrm.annotation import answers as answers_lib
from xlrm.annotation import design
from xlrm.storage import files

BUSY_SECONDS = 2.0  # how long a locked database is waited for
SCHEMA = """
CREATE TABLE study (value TEXT NOT NULL);
CREATE TABLE annotators (name TEXT PRIMARY KEY, token TEXT NOT NULL);
CREATE TABLE tasks (
  item TEXT PRIMARY KEY, annotator TEXT NOT NULL, language TEXT NOT NULL,
  input TEXT NOT NULL, "left" TEXT NOT NULL, "right" TEXT NOT NULL
);
CREATE TABLE events (
  number INTEGER PRIMARY KEY, annotator TEXT NOT NULL, item TEXT NOT NULL,
  choice TEXT NOT NULL, seconds REAL, at TEXT NOT NULL, via TEXT NOT NULL
);
"""


def create(
  path: pathlib.Path,
  page: answers_lib.Page,
  tokens: Mapping[str, str],
  tasks: Sequence[design.Task],
) -> None:
  """Writes a new database, readable by its owner only, or nothing."""
  with contextlib.closing(sqlite3.connect(":memory:")) as connection:
    connection.executescript(SCHEMA)
    with connection:
      connection.execute(
        "INSERT INTO study VALUES (?)", [json.dumps(dataclasses.asdict(page))]
      )
      _insert(connection, tokens, tasks)
    files.write_bytes(path, connection.serialize(), mode=0o600)


def _insert(
  connection: sqlite3.Connection,
  tokens: Mapping[str, str],
  tasks: Sequence[design.Task],
) -> None:
  connection.executemany(
    "INSERT INTO annotators VALUES (?, ?)", list(tokens.items())
  )
  connection.executemany(
    "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?)",
    [dataclasses.astuple(x) for x in tasks],
  )


class Store:
  """An open database; safe to use from several threads and processes."""

  def __init__(self, path: pathlib.Path):
    if not path.is_file():
      raise FileNotFoundError(f"{path}: no such database of answers")
    self._path, self._mutex = path, threading.Lock()
    self._connection = sqlite3.connect(
      path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    with self._reading() as connection:
      # On disk, name in the folder included, before COMMIT returns.
      connection.execute("PRAGMA synchronous = EXTRA")
      row = connection.execute("SELECT value FROM study").fetchone()
    self.page = answers_lib.Page(**json.loads(row[0]))

  def close(self) -> None:
    """Closes the database."""
    with self._mutex:
      self._connection.close()

  @contextlib.contextmanager
  def _reading(self) -> Iterator[sqlite3.Connection]:
    with self._mutex:
      try:
        yield self._connection
      except sqlite3.Error as error:
        raise answers_lib.unavailable(self._path, error) from error

  @contextlib.contextmanager
  def _writing(self) -> Iterator[sqlite3.Connection]:
    """All of it is on disk at the end, or nothing."""
    with self._reading() as connection:
      connection.execute("BEGIN IMMEDIATE")
      try:
        yield connection
        connection.execute("COMMIT")
      except BaseException:
        if connection.in_transaction:  # SQLite may have rolled back itself
          connection.execute("ROLLBACK")
        raise

  @property
  def tokens(self) -> dict[str, str]:
    """The secret part of the link of each annotator."""
    with self._reading() as connection:
      return dict(
        connection.execute("SELECT name, token FROM annotators ORDER BY rowid")
      )

  def tasks(self, annotator: str | None = None) -> list[design.Task]:
    """The tasks of all, or of one annotator, in order."""
    with self._reading() as connection:
      return self._tasks(connection, annotator)

  def answers(
    self, annotator: str | None = None
  ) -> dict[str, answers_lib.Answer]:
    """The answer to each item that stands, the oldest first."""
    with self._reading() as connection:
      return self._standing(connection, annotator)

  def state(self, annotator: str) -> answers_lib.AnnotatorState:
    """The place in the study where an annotator stands."""
    with self._reading() as connection:
      return self._state(connection, annotator)

  def answer(
    self, annotator: str, item: str, choice: str, seconds: float | None
  ) -> answers_lib.AnnotatorState:
    """Stores an answer; the same answer twice is one.

    Raises:
      Conflict: the item has another answer, or is not this annotator's.
      Unavailable: the database is locked or full.
    """
    if choice not in answers_lib.CHOICES or (
      choice == "tie" and not self.page.ties
    ):
      raise ValueError(f"choice {choice!r} is none")
    with self._writing() as connection:
      if item not in [x.item for x in self._tasks(connection, annotator)]:
        raise answers_lib.Conflict(f"{annotator} has no item {item!r}")
      standing = self._standing(connection, annotator).get(item)
      if standing is None:
        answer = answers_lib.Answer(annotator, item, choice, seconds)
        _add(connection, answer, "page")
      elif standing.choice != choice:
        raise answers_lib.Conflict(f"{item} has the answer {standing.choice!r}")
      return self._state(connection, annotator)

  def undo(self, annotator: str, item: str) -> answers_lib.AnnotatorState:
    """Withdraws the last answer, which must be that of `item`.

    Raises:
      Conflict: another answer is the last.
    """
    with self._writing() as connection:
      standing = self._standing(connection, annotator)
      if item in standing:  # else it was withdrawn already
        if item != list(standing)[-1]:
          raise answers_lib.Conflict(
            f"{item} is not the last answer of {annotator}"
          )
        _add(
          connection,
          answers_lib.Answer(annotator, item, answers_lib.UNDO, None),
          "page",
        )
      return self._state(connection, annotator)

  def again(self, annotator: str) -> answers_lib.AnnotatorState:
    """Withdraws what was skipped: it comes once more."""
    with self._writing() as connection:
      standing = self._standing(connection, annotator)
      for answer in standing.values():
        if answer.choice == "skip":
          withdrawn = answers_lib.Answer(
            annotator, answer.item, answers_lib.AGAIN, None
          )
          _add(connection, withdrawn, "page")
      return self._state(connection, annotator)

  def add(self, answers: Sequence[answers_lib.Answer]) -> int:
    """Stores answers from elsewhere, all or none; how many were new.

    Raises:
      Conflict: one of the items has another answer.
    """
    with self._writing() as connection:
      standing = self._standing(connection, None)
      new = [x for x in answers if x.item not in standing]
      for answer in answers:
        known = standing.get(answer.item, answer)
        if known.choice != answer.choice:
          raise answers_lib.Conflict(
            f"{answer.item} has the answer {known.choice!r}"
          )
      for answer in new:
        _add(connection, answer, "import")
    return len(new)

  def join(
    self, tokens: Mapping[str, str], tasks: Sequence[design.Task]
  ) -> None:
    """Adds annotators with their tasks."""
    with self._writing() as connection:
      _insert(connection, tokens, tasks)

  def _tasks(
    self, connection: sqlite3.Connection, annotator: str | None
  ) -> list[design.Task]:
    rows = connection.execute(
      'SELECT item, annotator, language, input, "left", "right" FROM tasks '
      "WHERE ?1 IS NULL OR annotator = ?1 ORDER BY rowid",
      [annotator],
    )
    return [design.Task(*row) for row in rows]

  def _events(
    self, connection: sqlite3.Connection, annotator: str | None
  ) -> list[answers_lib.Answer]:
    rows = connection.execute(
      "SELECT annotator, item, choice, seconds FROM events "
      "WHERE ?1 IS NULL OR annotator = ?1 ORDER BY number",
      [annotator],
    )
    return [answers_lib.Answer(*row) for row in rows]

  def _standing(
    self, connection: sqlite3.Connection, annotator: str | None
  ) -> dict[str, answers_lib.Answer]:
    return answers_lib.standing(self._events(connection, annotator))

  def _state(
    self, connection: sqlite3.Connection, annotator: str
  ) -> answers_lib.AnnotatorState:
    tasks = self._tasks(connection, annotator)
    events = self._events(connection, annotator)
    standing = answers_lib.standing(events)
    left = [x for x in tasks if x.item not in standing]
    if events and events[-1].choice == answers_lib.UNDO:  # that one comes next
      left.sort(key=lambda x: x.item != events[-1].item)
    skipped = sum(x.choice == "skip" for x in standing.values())
    return answers_lib.AnnotatorState(
      task=left[0] if left else None,
      done=len(standing),
      skipped=skipped,
      total=len(tasks),
      last=list(standing)[-1] if standing else None,
    )


def _add(
  connection: sqlite3.Connection, answer: answers_lib.Answer, via: str
) -> None:
  now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
  connection.execute(
    "INSERT INTO events (annotator, item, choice, seconds, at, via) "
    "VALUES (?, ?, ?, ?, ?, ?)",
    [*dataclasses.astuple(answer), now, via],
  )
