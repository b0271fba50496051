"""Any server that speaks OpenAI's chat completions, through its client.

Hosted models, vLLM, llama.cpp, Ollama and others: `base_url` says where.
"""

from collections.abc import Mapping
import dataclasses
import functools
import json
import os
from typing import Any

from xlrm.evaluation.prompted import completions

DEFAULTS = {
  "temperature": 0,
  "max_tokens": 16,
  "logprobs": True,
  "top_logprobs": 20,
}
_BUSY = (408, 409, 425, 429)  # and from 500 on
_SPENT = "insufficient_quota"  # a 429 that does not pass


@dataclasses.dataclass(frozen=True)
class OpenAIBackend:
  """A model on such a server.

  Attributes:
    model: as the server calls it.
    base_url: e.g. http://localhost:8000/v1; None is OpenAI's own.
    parameters: of the request, over DEFAULTS; None takes one out, such as
      {'logprobs': None, 'top_logprobs': None} for a server without them.
    timeout_seconds: of one request.
    key_variable: environment variable that holds the key; a server at
      `base_url` may need none.
  """

  model: str
  base_url: str | None = None
  parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  timeout_seconds: float = 60.0
  key_variable: str = "OPENAI_API_KEY"

  @property
  def request(self) -> dict[str, Any]:
    """The parameters that are sent."""
    merged = {**DEFAULTS, **self.parameters}
    return {name: value for name, value in merged.items() if value is not None}

  @property
  def identity(self) -> Mapping[str, Any]:
    """What changes answers, see `completions.Backend`."""
    return {
      "backend": "openai",
      "base_url": self.base_url,
      "model": self.model,
      "parameters": self.request,
    }

  @property
  def max_output_tokens(self) -> int:
    """The most tokens of an answer."""
    names = ("max_completion_tokens", "max_tokens")
    return next((self.request[x] for x in names if x in self.request), 16)

  @functools.cached_property
  def _client(self):
    try:
      import openai
    except ImportError as error:
      raise completions.BackendError(
        "an OpenAI-compatible judge needs its client: "
        "pip install 'xlrm[judges]'"
      ) from error
    key = os.environ.get(self.key_variable)
    if not key and self.base_url is None:
      raise completions.BackendError(
        f"no key for {self.model}: set the environment variable "
        f"{self.key_variable}, or name a server of your own with base_url"
      )
    return openai.OpenAI(
      api_key=key or "none",
      base_url=self.base_url or "https://api.openai.com/v1",
      timeout=self.timeout_seconds,
      max_retries=0,  # `asking` waits and counts
    )

  def complete(self, prompt: str) -> completions.Completion:
    """The answer to a prompt, see `completions.Backend`."""
    client = self._client
    import openai

    try:
      found = client.chat.completions.create(
        model=self.model,
        messages=[{"role": "user", "content": prompt}],
        **self.request,
      )
    except openai.APIStatusError as error:
      raise _failure(error) from error
    except openai.APIConnectionError as error:  # timeouts are such, too
      cause = f" ({error.__cause__})" if error.__cause__ else ""
      raise completions.TemporaryError(
        f"{client.base_url}: {error}{cause}"
      ) from error
    except (openai.APIError, json.JSONDecodeError) as error:
      raise _no_completion(error) from error
    except TypeError as error:  # the client checks names
      raise completions.BackendError(
        f"parameters {self.request}: {error}"
      ) from error
    return _answer(found)


def _failure(error) -> completions.TemporaryError | completions.BackendError:
  said = f"HTTP {error.status_code}: {error.message}"
  busy = error.status_code in _BUSY or error.status_code >= 500
  if busy and error.code != _SPENT:
    wait = completions.retry_after(dict(error.response.headers))
    return completions.TemporaryError(said, wait)
  if "logprobs" in str(error.message):
    said += " (a server without log-probabilities: parameters = "
    said += "{'logprobs': None, 'top_logprobs': None})"
  return completions.BackendError(said)


def _no_completion(found) -> completions.TemporaryError:
  return completions.TemporaryError(
    f"the server's reply is no chat completion: {found!r:.200}"
  )


def _answer(found) -> completions.Completion:
  """A completion as ours; servers leave out what they like."""
  choices = getattr(found, "choices", None)
  if not choices:
    raise _no_completion(found)
  choice, usage = choices[0], getattr(found, "usage", None)
  message = choice.message
  content = choice.logprobs.content if choice.logprobs else None
  return completions.Completion(
    text=message.content or getattr(message, "refusal", None) or "",
    logprobs=_first_token(content[0]) if content else None,
    input_tokens=usage.prompt_tokens if usage else None,
    output_tokens=usage.completion_tokens if usage else None,
  )


def _first_token(token) -> dict[str, float] | None:
  found = {x.token: x.logprob for x in token.top_logprobs or ()}
  found.setdefault(token.token, token.logprob)
  return found
