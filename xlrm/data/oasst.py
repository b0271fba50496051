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

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from xlrm.data import dialogue
from xlrm.data import oasst_files
from xlrm.data import registry
from xlrm.data import row_counts
from xlrm.data import splits

BELOW = "below a message left out"


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


def _own_fault(
  message: oasst_files.Message,
  by_id: Mapping[str, oasst_files.Message],
  language: str,
) -> str | None:
  """Why a message is left out, whatever stands above it."""
  parent = by_id.get(message.parent)
  faults = (
    ("tree not finished", message.tree_state != oasst_files.FINISHED),
    ("in a circle", oasst_files.is_circular(message, by_id)),
    ("parent missing", message.parent is not None and parent is None),
    ("deleted", message.deleted),
    ("rejected in review", message.rejected),
    ("empty text", not message.text.strip()),
    ("another language", message.language != language),
    ("answers its own role", parent and parent.role == message.role),
    (
      "begins with the assistant",
      not message.parent and message.role == oasst_files.ASSISTANT,
    ),
  )
  return next((reason for reason, is_so in faults if is_so), None)


def _kept(
  messages: Sequence[oasst_files.Message], language: str, split: str, counts
) -> dict[str, oasst_files.Message]:
  """Those that can be read, with everything above them, by id."""
  by_id: dict[str, oasst_files.Message] = {}
  repeated = []
  for message in messages:
    if message.id in by_id:
      repeated.append(message)
    by_id.setdefault(message.id, message)
  inside = {x.id: x for x in by_id.values() if splits.split_of(x.tree) == split}
  for message in repeated:
    if message.id in inside:
      counts.drop("repeated message_id", message.id)
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
      counts.drop(fault, message.id)
  return kept


def _count_before_filters(messages, counts) -> None:
  """Of the language, whatever else is wrong with them."""
  groups: dict[str, int] = {}
  for message in messages:
    if message.rank is not None and message.role == oasst_files.ASSISTANT:
      groups[message.parent] = groups.get(message.parent, 0) + 1
  sizes = [size for size in groups.values() if size > 1]
  counts.count("prompts with two ranked replies or more", len(sizes))
  pairs = sum(size * (size - 1) // 2 for size in sizes)
  counts.count("pairs of them, before filters", pairs)


def _turns(
  message: oasst_files.Message, kept: Mapping[str, oasst_files.Message]
):
  path = [message]
  while path[-1].parent is not None:
    path.append(kept[path[-1].parent])
  return tuple(dialogue.Turn(x.role, x.text) for x in reversed(path))


def _replies(
  found: Sequence[oasst_files.Message], counts
) -> list[tuple[str, int]]:
  """Ranked replies, best first; of identical texts the best-ranked."""
  replies: dict[str, int] = {}
  for reply in sorted(found, key=lambda x: (x.rank is None, x.rank, x.id)):
    if reply.rank is None:
      counts.drop("reply without a rank", reply.id)
    elif reply.text.strip() in map(str.strip, replies):
      counts.drop("reply identical to a better one", reply.id)
    else:
      replies[reply.text] = reply.rank
  return list(replies.items())


def conversations(
  split: str, *, file: str, language: str
) -> tuple[list[Conversation], row_counts.RowCounts]:
  """Every readable conversation of one language that ends with a user's turn.

  Args:
    split: 'train', 'validation' or 'test'; all of a tree is in one.
    file: path or glob.
    language: every message must be in it.
  """
  counts = row_counts.RowCounts(f"OpenAssistant {language} {split}")
  messages = oasst_files.messages(file)
  inside = [
    x
    for x in messages
    if x.language == language and splits.split_of(x.tree) == split
  ]
  counts.count("messages", len(inside))
  _count_before_filters(inside, counts)
  kept = _kept(messages, language, split, counts)
  replies: dict[str, list[oasst_files.Message]] = {}
  for message in kept.values():
    if message.role == oasst_files.ASSISTANT:
      replies.setdefault(message.parent, []).append(message)
  found = [
    Conversation(
      message.id,
      _turns(message, kept),
      tuple(_replies(replies.get(message.id, ()), counts)),
    )
    for message in kept.values()
    if message.role == oasst_files.PROMPTER
  ]
  counts.count("conversations that can be read", len(found))
  return found, counts


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
  found, counts = conversations(split, file=file, language=language)
  rows = []
  for conversation in found:
    if conversation.replies:
      best = conversation.replies[0][0]
      rows.append(_row(conversation, language, best))
    else:
      counts.drop("conversation without a ranked reply", conversation.id)
  return counts.close(rows)


def prompt_rows(
  split: str, *, file: str, language: str
) -> list[dict[str, Any]]:
  """Every conversation; `targets` is the best reply, or empty."""
  found, counts = conversations(split, file=file, language=language)
  return counts.close(
    [_row(x, language, x.replies[0][0] if x.replies else "") for x in found]
  )


def ranking_rows(
  split: str, *, file: str, language: str
) -> list[dict[str, Any]]:
  """One row per conversation: all its ranked replies; equal ranks are ties."""
  found, counts = conversations(split, file=file, language=language)
  rows = []
  for conversation in found:
    replies = conversation.replies
    if len({rank for _, rank in replies}) < 2:
      counts.drop("conversation with nothing to compare", conversation.id)
      continue
    row = _row(conversation, language, replies[0][0])
    row["responses"] = [text for text, _ in replies]
    row["ranks"] = [rank for _, rank in replies]
    rows.append(row)
  return counts.close(rows)


def pair_rows(split: str, *, file: str, language: str) -> list[dict[str, Any]]:
  """One row per two replies of different rank, the better one first."""
  found, counts = conversations(split, file=file, language=language)
  counts.unit = "pairs"
  rows = []
  for conversation in found:
    replies = conversation.replies
    for i, (better, high) in enumerate(replies):
      for j, (worse, low) in enumerate(replies[i + 1 :], i + 1):
        name = f"{conversation.id}/{i}-{j}"
        if high == low:
          counts.drop("pair of equal rank", name)
          continue
        row = _row(conversation, language, better)
        pair = {"id": name, "responses": [better, worse], "ranks": [0, 1]}
        rows.append({**row, **pair})
  return counts.close(rows)
