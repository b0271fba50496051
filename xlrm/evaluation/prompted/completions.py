"""What a judging model is asked and what it answers, whoever serves it."""

from collections.abc import Mapping
import dataclasses
import datetime
import email.utils
from typing import Any, Protocol, runtime_checkable


@dataclasses.dataclass(frozen=True)
class Completion:
  """What a model answered to a prompt.

  Attributes:
    text: empty where the model said nothing.
    logprobs: first token of the answer -> its log-probability, for as many
      tokens as the server tells; None where it tells none.
    input_tokens: as the server counts; None where it does not say.
    output_tokens: the same.
  """

  text: str
  logprobs: Mapping[str, float] | None = None
  input_tokens: int | None = None
  output_tokens: int | None = None


@runtime_checkable
class Backend(Protocol):
  """A model that completes prompts; several threads call `complete`.

  It raises TemporaryError where asking again may help, and BackendError where
  it will not.
  """

  @property
  def model(self) -> str:
    """The name of the model, for messages."""
    ...

  @property
  def identity(self) -> Mapping[str, Any]:
    """What changes answers; no key, no time limit."""
    ...

  @property
  def max_output_tokens(self) -> int:
    """The most tokens of an answer, for the price of a job."""
    ...

  def complete(self, prompt: str) -> Completion:
    """The model's answer to a prompt."""
    ...


class TemporaryError(Exception):
  """An error that passes: the server is busy, down or too slow.

  Attributes:
    retry_after: seconds that it asks to wait; None where it asks nothing.
  """

  def __init__(self, message: str, retry_after: float | None = None):
    super().__init__(message)
    self.retry_after = retry_after


class BackendError(OSError):
  """An error that stays: a wrong key, model or parameter."""


def retry_after(
  headers: Mapping[str, str], now: datetime.datetime | None = None
) -> float | None:
  """The seconds of Retry-After, a number or a date; None without it.

  {"Retry-After": "2.5"} -> 2.5
  """
  found = {name.lower(): value for name, value in headers.items()}
  for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
    try:
      return max(0.0, float(found[name]) * unit)
    except (KeyError, ValueError):
      continue
  try:
    date = email.utils.parsedate_to_datetime(found.get("retry-after", ""))
  except ValueError:
    return None
  if date.tzinfo is None:
    date = date.replace(tzinfo=datetime.UTC)
  now = now or datetime.datetime.now(datetime.UTC)
  return max(0.0, (date - now).total_seconds())
