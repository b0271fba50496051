"""Conversations as text: what a model reads, with the speaker of each turn.

[prompter: Hi., assistant: Hello!, prompter: Who are you?]
-> 'User: Hi.\\nAssistant: Hello!\\nUser: Who are you?'
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

SPEAKERS = {
  "system": "System",
  "user": "User",
  "prompter": "User",
  "human": "User",
  "assistant": "Assistant",
  "gpt": "Assistant",
}
INSTRUCTION = "Write the assistant's next turn in {language}: "


@dataclasses.dataclass(frozen=True)
class Turn:
  """What one speaker says.

  Attributes:
    role: a key of SPEAKERS.
    text: without the name of the role.
  """

  role: str
  text: str


def text_of(turns: Sequence[Turn]) -> str:
  """A conversation as the text of a prompt."""
  return "\n".join(f"{SPEAKERS[turn.role]}: {turn.text}" for turn in turns)


def turns_of(place: str, messages: Any) -> tuple[Turn, ...]:
  """Turns of a list of {"role": .., "content": ..} (also from / value).

  Raises:
    ValueError: it is not such a list, or has an unknown role.
  """
  if not isinstance(messages, list):
    raise ValueError(f"{place}: a list of messages was expected: {messages!r}")
  return tuple(_turn(place, message) for message in messages)


def _turn(place: str, message: Any) -> Turn:
  if isinstance(message, Mapping):
    role = message.get("role", message.get("from"))
    content = message.get("content", message.get("value"))
    if role in SPEAKERS and isinstance(content, str):
      return Turn(role, content)
  raise ValueError(
    f"{place}: a message was expected, an object with 'role' (one of "
    f"{', '.join(SPEAKERS)}) and the text 'content', not {message!r}"
  )
