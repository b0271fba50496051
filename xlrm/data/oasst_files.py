"""OpenAssistant's files: trees, nested messages, flat messages, one format out.

A tree holds its root in `prompt`, every message its `replies`; in flat files a
message names its `parent_id`. JSON lines or Parquet.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import math
import os
from typing import Any

from xlrm.storage import files
from xlrm.storage import row_files

PROMPTER, ASSISTANT = ROLES = ("prompter", "assistant")
FINISHED = "ready_for_export"


@dataclasses.dataclass(frozen=True)
class Message:
  """One turn of a tree.

  Attributes:
    parent: message that it answers; None at a root.
    tree: its conversation tree; in a file that does not say, its root.
    language: of its own text.
    rank: among its siblings, 0 the best; None: it was not ranked.
    rejected: by reviewers.
    tree_state: of its tree, if the file says.
  """

  id: str
  parent: str | None
  tree: str
  text: str
  role: str
  language: str
  rank: int | None
  deleted: bool
  rejected: bool
  synthetic: bool
  tree_state: str


def _rank(place: str, value: Any) -> int | None:
  if value is None or (isinstance(value, float) and math.isnan(value)):
    return None
  if isinstance(value, bool) or value != int(value) or value < 0:
    raise ValueError(f"{place}: rank {value!r} is no whole number from 0")
  return int(value)


def _message(place, row, parent, tree, state) -> Message:
  role = row_files.text(place, row, "role")
  if role not in ROLES:
    raise ValueError(
      f"{place}: the role {role!r} is none of {', '.join(ROLES)}"
    )
  return Message(
    id=row_files.text(place, row, "message_id"),
    parent=parent,
    tree=tree,
    text=row_files.text(place, row, "text"),
    role=role,
    language=row_files.text(place, row, "lang"),
    rank=_rank(place, row.get("rank")),
    deleted=bool(row.get("deleted")),
    rejected=row.get("review_result") is False,
    synthetic=bool(row.get("synthetic")),
    tree_state=state or FINISHED,
  )


def _nested(place, root, tree, state) -> Iterator[Message]:
  """A message and its `replies`, those of replies too."""
  waiting = [(root, root.get("parent_id"))]
  while waiting:
    row, parent = waiting.pop()
    if not isinstance(row, Mapping):
      raise ValueError(f"{place}: a message was expected, not {row!r}")
    message = _message(place, row, parent, tree, state)
    yield message
    waiting += [(reply, message.id) for reply in row.get("replies") or ()]


def read(pattern: str) -> list[Message]:
  """The messages of all files, in the order of trees and ids.

  Raises:
    ValueError: a missing column, an unknown role, a broken file; names the
      file and line.
  """
  found: list[Message] = []
  for place, row in row_files.rows(pattern):
    root = row.get("prompt", row)
    if not isinstance(root, Mapping):
      raise ValueError(f"{place}: 'prompt' must hold a message, not {root!r}")
    tree = row.get("message_tree_id") or ""
    found += _nested(place, root, tree, row.get("tree_state"))
  by_id = {message.id: message for message in reversed(found)}
  placed = []
  for message in found:  # all below one root are one tree
    root = ancestors(message, by_id)[-1]
    placed.append(dataclasses.replace(message, tree=root.tree or root.id))
  return sorted(placed, key=lambda x: (x.tree, x.id))


def ancestors(message: Message, by_id: Mapping[str, Message]) -> list[Message]:
  """The message and what it answers, up to a root; in a circle, once round."""
  path, seen = [message], {message.id}
  while path[-1].parent in by_id and path[-1].parent not in seen:
    path.append(by_id[path[-1].parent])
    seen.add(path[-1].id)
  return path


def is_circular(message: Message, by_id: Mapping[str, Message]) -> bool:
  """Whether a message answers, by way of others, itself."""
  return ancestors(message, by_id)[-1].parent in by_id


@functools.lru_cache(maxsize=2)
def _read_once(pattern: str, stamp: tuple) -> tuple[Message, ...]:
  return tuple(read(pattern))


def messages(pattern: str) -> tuple[Message, ...]:
  """Read once for all languages and splits, again if a file has changed."""
  paths = files.expand(pattern)
  local = [os.stat(x) for x in paths if not files.is_remote(x)]
  stamp = (*paths, *((x.st_mtime_ns, x.st_size) for x in local))
  return _read_once(pattern, stamp)
