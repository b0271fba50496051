"""OpenAssistant conversations (https://arxiv.org/abs/2304.07327).

Read from files of trees (nested `replies`, below `prompt` or at the top) and
of flat messages (`parent_id`), in JSONL or Parquet: the same messages give the
same rows. A conversation is the path from a root to a user's turn; its
assistant replies with a rank (0 is best) are compared with each other.

A message is left out if it was deleted, rejected in review, is empty, is in
another language than asked, comes twice, answers its own role, hangs on a
parent that is not there or in a circle, or belongs to a tree that was never
finished; so is everything below it, because what it answers cannot be read.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import math
import os
from typing import Any

from xlrm import files
from xlrm.data import dialogue
from xlrm.data import registry
from xlrm.data import splits
from xlrm.data import tally as tally_lib

PROMPTER, ASSISTANT = ROLES = ("prompter", "assistant")
FINISHED = "ready_for_export"
BELOW = "below a message left out"


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


@dataclasses.dataclass(frozen=True)
class Conversation:
  """Turns up to a user's, and the ranked replies to it, best first.

  Attributes:
    id: of the last turn.
    replies: texts with their ranks; equal ranks are ties.
  """

  id: str
  turns: tuple[dialogue.Turn, ...]
  replies: tuple[tuple[str, int], ...]


def _rank(place: str, value: Any) -> int | None:
  if value is None or (isinstance(value, float) and math.isnan(value)):
    return None
  if isinstance(value, bool) or value != int(value) or value < 0:
    raise ValueError(f"{place}: rank {value!r} is no whole number from 0")
  return int(value)


def _message(place, row, parent, tree, state) -> Message:
  role = files.text(place, row, "role")
  if role not in ROLES:
    raise ValueError(
      f"{place}: the role {role!r} is none of {', '.join(ROLES)}"
    )
  return Message(
    id=files.text(place, row, "message_id"),
    parent=parent,
    tree=tree,
    text=files.text(place, row, "text"),
    role=role,
    language=files.text(place, row, "lang"),
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
  for place, row in files.rows(pattern):
    root = row.get("prompt", row)
    if not isinstance(root, Mapping):
      raise ValueError(f"{place}: 'prompt' must hold a message, not {root!r}")
    tree = row.get("message_tree_id") or ""
    found += _nested(place, root, tree, row.get("tree_state"))
  by_id = {message.id: message for message in reversed(found)}
  placed = []
  for message in found:  # all below one root are one tree
    root = _ancestors(message, by_id)[-1]
    placed.append(dataclasses.replace(message, tree=root.tree or root.id))
  return sorted(placed, key=lambda x: (x.tree, x.id))


def _ancestors(message: Message, by_id: Mapping[str, Message]) -> list[Message]:
  """The message and what it answers, up to a root; in a circle, once round."""
  path, seen = [message], {message.id}
  while path[-1].parent in by_id and path[-1].parent not in seen:
    path.append(by_id[path[-1].parent])
    seen.add(path[-1].id)
  return path


def _circular(message: Message, by_id: Mapping[str, Message]) -> bool:
  return _ancestors(message, by_id)[-1].parent in by_id


@functools.lru_cache(maxsize=2)
def _read_once(pattern: str, stamp: tuple) -> tuple[Message, ...]:
  return tuple(read(pattern))


def _messages(pattern: str) -> tuple[Message, ...]:
  """Read once for all languages and splits, again if a file has changed."""
  paths = files.expand(pattern)
  local = [os.stat(path) for path in paths if "://" not in path]
  stamp = (*paths, *((x.st_mtime_ns, x.st_size) for x in local))
  return _read_once(pattern, stamp)


def _own_fault(
  message: Message, by_id: Mapping[str, Message], language: str
) -> str | None:
  """Why a message is left out, whatever stands above it."""
  parent = by_id.get(message.parent)
  faults = (
    ("tree not finished", message.tree_state != FINISHED),
    ("in a circle", _circular(message, by_id)),
    ("parent missing", message.parent is not None and parent is None),
    ("deleted", message.deleted),
    ("rejected in review", message.rejected),
    ("empty text", not message.text.strip()),
    ("another language", message.language != language),
    ("answers its own role", parent and parent.role == message.role),
    (
      "begins with the assistant",
      not message.parent and message.role == ASSISTANT,
    ),
  )
  return next((reason for reason, is_so in faults if is_so), None)


def _kept(
  messages: Sequence[Message], language: str, split: str, tally
) -> dict[str, Message]:
  """Those that can be read, with everything above them, by id."""
  by_id: dict[str, Message] = {}
  repeated = []
  for message in messages:
    if message.id in by_id:
      repeated.append(message)
    by_id.setdefault(message.id, message)
  inside = {x.id: x for x in by_id.values() if splits.split_of(x.tree) == split}
  for message in repeated:
    if message.id in inside:
      tally.drop("repeated message_id", message.id)
  faults = {x.id: _own_fault(x, by_id, language) for x in inside.values()}
  kept = {}
  for message in inside.values():
    fault, above = faults[message.id], message
    while fault is None and above.parent is not None:
      above = by_id[above.parent]
      fault = BELOW if faults[above.id] else None
    if fault is None:
      kept[message.id] = message
    else:
      tally.drop(fault, message.id)
  return kept


def _count_before_filters(messages, tally) -> None:
  """Of the language, whatever else is wrong with them."""
  groups: dict[str, int] = {}
  for message in messages:
    if message.rank is not None and message.role == ASSISTANT:
      groups[message.parent] = groups.get(message.parent, 0) + 1
  sizes = [size for size in groups.values() if size > 1]
  tally.count("prompts with two ranked replies or more", len(sizes))
  pairs = sum(size * (size - 1) // 2 for size in sizes)
  tally.count("pairs of them, before filters", pairs)


def _turns(message: Message, kept: Mapping[str, Message]):
  path = [message]
  while path[-1].parent is not None:
    path.append(kept[path[-1].parent])
  return tuple(dialogue.Turn(x.role, x.text) for x in reversed(path))


def _replies(found: Sequence[Message], tally) -> list[tuple[str, int]]:
  """Ranked replies, best first; of identical texts the best-ranked."""
  replies: dict[str, int] = {}
  for reply in sorted(found, key=lambda x: (x.rank is None, x.rank, x.id)):
    if reply.rank is None:
      tally.drop("reply without a rank", reply.id)
    elif reply.text.strip() in map(str.strip, replies):
      tally.drop("reply identical to a better one", reply.id)
    else:
      replies[reply.text] = reply.rank
  return list(replies.items())


def conversations(
  split: str, *, file: str, language: str
) -> tuple[list[Conversation], tally_lib.Tally]:
  """Every readable conversation of one language that ends with a user's turn.

  Args:
    split: 'train', 'validation' or 'test'; all of a tree is in one.
    file: path or glob.
    language: every message must be in it.
  """
  tally = tally_lib.Tally(f"OpenAssistant {language} {split}")
  messages = _messages(file)
  inside = [
    x
    for x in messages
    if x.language == language and splits.split_of(x.tree) == split
  ]
  tally.count("messages", len(inside))
  _count_before_filters(inside, tally)
  kept = _kept(messages, language, split, tally)
  replies: dict[str, list[Message]] = {}
  for message in kept.values():
    if message.role == ASSISTANT:
      replies.setdefault(message.parent, []).append(message)
  found = [
    Conversation(
      message.id,
      _turns(message, kept),
      tuple(_replies(replies.get(message.id, ()), tally)),
    )
    for message in kept.values()
    if message.role == PROMPTER
  ]
  tally.count("conversations that can be read", len(found))
  return found, tally


def _row(conversation: Conversation, language: str, target: str) -> dict:
  text = dialogue.text_of(conversation.turns)
  instruction = registry.instruction(language, template=dialogue.INSTRUCTION)
  return {
    "id": conversation.id,
    "language": language,
    "dataset": "oasst",
    "inputs": instruction + text,
    "reward_inputs": text,
    "targets": target,
  }


def sft_rows(split: str, *, file: str, language: str) -> list[dict[str, Any]]:
  """Per conversation the reply that people ranked first."""
  found, tally = conversations(split, file=file, language=language)
  rows = []
  for conversation in found:
    if conversation.replies:
      best = conversation.replies[0][0]
      rows.append(_row(conversation, language, best))
    else:
      tally.drop("conversation without a ranked reply", conversation.id)
  return tally.close(rows)


def prompt_rows(
  split: str, *, file: str, language: str
) -> list[dict[str, Any]]:
  """Every conversation; `targets` is the best reply, or empty."""
  found, tally = conversations(split, file=file, language=language)
  return tally.close(
    [_row(x, language, x.replies[0][0] if x.replies else "") for x in found]
  )


def ranking_rows(
  split: str, *, file: str, language: str
) -> list[dict[str, Any]]:
  """One row per conversation: all its ranked replies; equal ranks are ties."""
  found, tally = conversations(split, file=file, language=language)
  rows = []
  for conversation in found:
    replies = conversation.replies
    if len({rank for _, rank in replies}) < 2:
      tally.drop("conversation with nothing to compare", conversation.id)
      continue
    row = _row(conversation, language, replies[0][0])
    row["responses"] = [text for text, _ in replies]
    row["ranks"] = [rank for _, rank in replies]
    rows.append(row)
  return tally.close(rows)


def pair_rows(split: str, *, file: str, language: str) -> list[dict[str, Any]]:
  """One row per two replies of different rank, the better one first."""
  found, tally = conversations(split, file=file, language=language)
  tally.unit = "pairs"
  rows = []
  for conversation in found:
    replies = conversation.replies
    for i, (better, high) in enumerate(replies):
      for j, (worse, low) in enumerate(replies[i + 1 :], i + 1):
        name = f"{conversation.id}/{i}-{j}"
        if high == low:
          tally.drop("pair of equal rank", name)
          continue
        row = _row(conversation, language, better)
        pair = {"id": name, "responses": [better, worse], "ranks": [0, 1]}
        rows.append({**row, **pair})
  return tally.close(rows)
