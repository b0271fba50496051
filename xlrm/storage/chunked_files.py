"""JSON lines that are written chunk by chunk and survive a kill.

Lines go to `NAME.partial`, which takes its name when it is complete; beside it
`NAME.partial.json` says how far it got and for what. A job that was killed
goes on after its last complete chunk and ends with the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
import hashlib
import json
import os
import pathlib
import shutil
import sys
from typing import Any

import tqdm

from xlrm.storage import files
from xlrm.storage import row_files
from xlrm.storage import temporary_files


class ChunkedFile:
  """One such file, as a context: leaving it well completes the file.

  Args:
    path: of the complete file; its folder is made.
    identity: changes when the lines would.
    total: lines of the complete file.
    keep: also keep `NAME.json`, so that the complete file is found again by
      the same job instead of being written anew.

  Raises:
    ValueError: the files there belong to another job.
  """

  def __init__(
    self, path: str | os.PathLike, identity: str, total: int, keep: bool = False
  ):
    self.path, self.total = files.local(path), total
    self._identity, self._kept = identity, keep
    partial = f"{self.path.name}{temporary_files.SUFFIX}"
    self._partial = self.path.with_name(partial)
    self._state = self.path.with_name(f"{partial}.json")
    self._final_state = self.path.with_name(f"{self.path.name}.json")
    self.complete = self._is_complete()
    self.done = total if self.complete else self._continue()

  def _is_complete(self) -> bool:
    if not (self._kept and self._final_state.exists() and self.path.exists()):
      return False
    self._check(self._final_state, self.path)
    return True

  def _continue(self) -> int:
    """Complete lines of an interrupted job; what comes after is cut off."""
    if not self._partial.exists() or not self._state.exists():
      return 0
    kept = self._check(self._state, self._partial)
    with open(self._partial, "r+b") as file:
      file.truncate(kept["bytes"])
    return kept["rows"]

  def _check(self, state: pathlib.Path, of: pathlib.Path) -> dict[str, Any]:
    kept = json.loads(files.read_text(state))
    if kept["identity"] != self._identity:
      raise ValueError(
        f"{of} was begun with another model, other options or other rows; "
        f"finish that job, choose another place, or remove it and {state.name}"
      )
    return kept

  def __enter__(self) -> "ChunkedFile":
    if not self.complete:
      self.path.parent.mkdir(parents=True, exist_ok=True)
      self._file = open(self._partial, "ab" if self.done else "wb")
    return self

  def progress(self, description: str, unit: str) -> tqdm.tqdm:
    """A bar that begins where the job continues, and says so."""
    if self.done and not self.complete:
      print(
        f"{description}: continues at {unit} {self.done} of {self.total}",
        flush=True,
      )
    return tqdm.tqdm(
      total=self.total,
      initial=self.done,
      desc=description,
      unit=unit,
      disable=not sys.stderr.isatty(),
    )

  def chunks(self, size: int) -> Iterator[slice]:
    """What is still to be written."""
    for first in range(self.done, self.total, size):
      yield slice(first, min(first + size, self.total))

  def append(self, rows: Sequence[dict[str, Any]]) -> None:
    """Adds a chunk; on disk when this returns."""
    for row in rows:
      line = json.dumps(row, ensure_ascii=False)
      self._file.write(f"{line}\n".encode())
    self._file.flush()
    os.fsync(self._file.fileno())
    self.done += len(rows)
    files.write_text(self._state, self._state_text(self._file.tell()))

  def _state_text(self, size: int) -> str:
    state = {"identity": self._identity, "rows": self.done, "bytes": size}
    return json.dumps(state)

  def __exit__(self, kind, error, trace) -> None:
    if self.complete:
      return
    self._file.close()
    if kind is not None:
      return
    if self.done != self.total:
      raise ValueError(f"{self.path}: {self.done} of {self.total} lines")
    size = self._partial.stat().st_size
    files.replace(self._partial, self.path)
    if self._kept:
      files.write_text(self._final_state, self._state_text(size))
    files.remove(self._state)
    self.complete = True

  def part(self, number: int, count: int, total: int) -> "ChunkedFile":
    """`NAME.0-of-2`: lines of this file that a process writes, one after
    another; only that process may open it before it is complete."""
    return ChunkedFile(
      self.path.with_name(f"{self.path.name}.{number}-of-{count}"),
      self._identity,
      total,
      keep=True,
    )

  def join(self, parts: Sequence["ChunkedFile"]) -> None:
    """Completes the file with the lines of complete parts, which are removed.

    Raises:
      ValueError: their lines are not all there are.
    """
    files.remove(self._state)
    self.done = 0
    with self:
      for part in parts:
        with open(part.path, "rb") as lines:
          shutil.copyfileobj(lines, self._file)
        self.done += part.total
      self._file.flush()
      os.fsync(self._file.fileno())
    for part in parts:
      files.remove(part.path)
      files.remove(part._final_state)

  def rows(self) -> list[dict[str, Any]]:
    """Of the complete file."""
    return [row for _, row in row_files.read(self.path)]


def identity(*parts: Any, rows: Sequence[Mapping[str, Any]] = ()) -> str:
  """Changes when any of the parts or of the rows does."""
  digest = hashlib.sha256(repr(parts).encode())
  for row in rows:
    digest.update(json.dumps(row, sort_keys=True, default=str).encode())
  return digest.hexdigest()
