"""Gemini models, through Google's client."""

from collections.abc import Mapping
import dataclasses
import functools
import importlib
import importlib.util
import json
import os
import re
from typing import Any

from xlrm.evaluation.prompted import completions

DEFAULTS = {
  "temperature": 0,
  "max_output_tokens": 16,
  "response_logprobs": True,
  "logprobs": 20,
}
_BUSY = (408, 429)  # and from 500 on


@dataclasses.dataclass(frozen=True)
class GoogleBackend:
  """A model of the Gemini API.

  Attributes:
    model: e.g. 'gemini-2.5-flash'.
    base_url: None is Google's own.
    parameters: of GenerateContentConfig, over DEFAULTS; None takes one out. A
      model that thinks first needs room for that in max_output_tokens, or
      {'thinking_config': {'thinking_budget': 0}}.
    timeout_seconds: of one request.
    key_variable: environment variable that holds the key.
  """

  model: str
  base_url: str | None = None
  parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  timeout_seconds: float = 60.0
  key_variable: str = "GOOGLE_API_KEY"

  @property
  def request(self) -> dict[str, Any]:
    """The parameters that are sent."""
    merged = {**DEFAULTS, **self.parameters}
    return {name: value for name, value in merged.items() if value is not None}

  @property
  def identity(self) -> Mapping[str, Any]:
    """What changes answers, see `completions.Backend`."""
    return {
      "backend": "google",
      "base_url": self.base_url,
      "model": self.model,
      "parameters": self.request,
    }

  @property
  def max_output_tokens(self) -> int:
    """The most tokens of an answer."""
    return self.request.get("max_output_tokens", 16)

  @functools.cached_property
  def _client(self):
    try:
      from google import genai
    except ImportError as error:
      raise completions.BackendError(
        "a Google judge needs its client: pip install 'xlrm[judges]'"
      ) from error
    key = os.environ.get(self.key_variable)
    if not key:
      raise completions.BackendError(
        f"no key for {self.model}: set the environment variable "
        f"{self.key_variable}"
      )
    options = {"timeout": int(1000 * self.timeout_seconds)}  # milliseconds
    if self.base_url is not None:
      options["base_url"] = self.base_url
    # Not a Vertex AI client, whatever the environment says: the key is none.
    return genai.Client(api_key=key, vertexai=False, http_options=options)

  def complete(self, prompt: str) -> completions.Completion:
    """The answer to a prompt, see `completions.Backend`."""
    client = self._client
    from google.genai import errors

    try:
      found = client.models.generate_content(
        model=self.model, contents=prompt, config=self.request
      )
    except errors.APIError as error:
      raise _failure(error) from error
    except (
      *_transport_errors(),
      errors.UnknownApiResponseError,
      json.JSONDecodeError,
    ) as error:
      raise completions.TemporaryError(
        f"{type(error).__name__}: {error}"
      ) from error
    except ValueError as error:  # the client checks names
      raise completions.BackendError(
        f"parameters {self.request}: {error}"
      ) from error
    return _answer(found)


def _transport_errors() -> tuple[type[Exception], ...]:
  """Of the HTTP client that this version of Google's client uses."""
  names = [x for x in ("httpx2", "httpx") if importlib.util.find_spec(x)]
  return tuple(importlib.import_module(x).TransportError for x in names)


def _failure(error) -> completions.TemporaryError | completions.BackendError:
  said = f"HTTP {error.code}: {error.message}"
  if error.code not in _BUSY and error.code < 500:
    return completions.BackendError(said)
  headers = getattr(error.response, "headers", None) or {}
  wait = completions.retry_after(dict(headers))
  if wait is None:  # Google says it in the body: "retryDelay": "12s"
    told = re.search(r"retryDelay'?\"?: ?['\"]([\d.]+)s", str(error.details))
    wait = float(told[1]) if told else None
  return completions.TemporaryError(said, wait)


def _answer(found) -> completions.Completion:
  candidate = found.candidates[0] if found.candidates else None
  parts = candidate.content.parts if candidate and candidate.content else ()
  usage = found.usage_metadata
  return completions.Completion(
    text="".join(x.text or "" for x in parts or () if not x.thought),
    logprobs=_first_token(candidate),
    input_tokens=usage.prompt_token_count if usage else None,
    # What the model thought is paid, too.
    output_tokens=(usage.candidates_token_count or 0)
    + (usage.thoughts_token_count or 0)
    if usage
    else None,
  )


def _first_token(candidate) -> dict[str, float] | None:
  result = candidate.logprobs_result if candidate else None
  steps = result.top_candidates if result else None
  if not steps or not steps[0].candidates:
    return None
  return {x.token: x.log_probability for x in steps[0].candidates if x.token}
