"""An OpenAI-compatible server on loopback that behaves as badly as real ones.

A mood is a function from the prompt and the number of times that it was asked
to a Reply. Every request is counted; `answered` holds the prompts that were
answered well, which is what a user pays.
"""

from collections.abc import Callable, Mapping
import contextlib
import dataclasses
import http.server
import json
import math
import re
import threading
import time

INPUT_TOKENS, OUTPUT_TOKENS = 100, 1
REFUSAL = "I cannot choose between these texts."
RAMBLE = "Both 1 and 2 have their merits, and 2 is long, but 1 is short"


@dataclasses.dataclass(frozen=True)
class Reply:
  """What the server does with a request.

  Attributes:
    text: of the answer.
    probabilities: first token -> probability; None tells no logprobs.
    status: of HTTP.
    headers: of a failure.
    seconds: before it answers.
    body: sent as it is, instead of a completion.
    usage: whether it counts tokens.
  """

  text: str = "1"
  probabilities: Mapping[str, float] | None = None
  status: int = 200
  headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
  seconds: float = 0.0
  body: str | None = None
  usage: bool = True


Mood = Callable[[str, int], Reply]


def shown(prompt: str) -> list[str]:
  """The two outputs that a prompt shows."""
  return [
    re.search(
      rf"<output-{n}-(\w+)>\n(.*?)\n</output-{n}-\1>", prompt, re.DOTALL
    )[2]
    for n in (1, 2)
  ]


def longer(prompt: str) -> str:
  """'1' or '2', a consistent opinion: the longer output."""
  first, second = shown(prompt)
  return "1" if len(first) > len(second) else "2"


def fair(prompt: str, attempt: int) -> Reply:
  """Answers in text."""
  return Reply(longer(prompt))


def sure(prompt: str, attempt: int) -> Reply:
  """Tells that it is 90% sure of the longer output."""
  best = longer(prompt)
  other = {"1": "2", "2": "1"}[best]
  return Reply(best, {best: 0.9, f" {other}": 0.08, other: 0.02})


def _completion(reply: Reply) -> dict:
  logprobs = None
  if reply.probabilities is not None:
    top = [
      {"token": token, "logprob": math.log(p), "bytes": None}
      for token, p in reply.probabilities.items()
    ]
    logprobs = {"content": [{**top[0], "top_logprobs": top}], "refusal": None}
  found = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "fake",
    "choices": [
      {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": reply.text},
        "logprobs": logprobs,
      }
    ],
  }
  if reply.usage:
    found["usage"] = {
      "prompt_tokens": INPUT_TOKENS,
      "completion_tokens": OUTPUT_TOKENS,
      "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
  return found


class FakeServer:
  """The running server; `base_url` is what a client needs."""

  def __init__(self, mood: Mood):
    self.mood = mood
    self.requests: list[dict] = []
    self.answered: list[str] = []
    self.times: list[float] = []
    self._attempts: dict[str, int] = {}
    self._lock = threading.Lock()
    server = self

    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = "HTTP/1.1"

      def do_POST(self):
        size = int(self.headers["Content-Length"])
        server.reply(self, json.loads(self.rfile.read(size)))

      def log_message(self, *_):
        pass

    self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    self._http.daemon_threads = True
    self.base_url = f"http://127.0.0.1:{self._http.server_port}/v1"

  def reply(self, handler, request: dict) -> None:
    prompt = request["messages"][0]["content"]
    with self._lock:
      self.requests.append(request)
      self.times.append(time.monotonic())
      attempt = self._attempts.get(prompt, 0)
      self._attempts[prompt] = attempt + 1
    reply = self.mood(prompt, attempt)
    time.sleep(reply.seconds)
    failed = {
      "error": {"message": reply.text, "code": reply.headers.get("Code")}
    }
    found = _completion(reply) if reply.status == 200 else failed
    body = (reply.body or json.dumps(found)).encode()
    if reply.status == 200 and reply.body is None:
      with self._lock:
        self.answered.append(prompt)
    # A client that has left (timeout, kill) is no error.
    with contextlib.suppress(ConnectionError):
      handler.send_response(reply.status)
      for name, value in reply.headers.items():
        handler.send_header(name, value)
      handler.send_header("Content-Type", "application/json")
      handler.send_header("Content-Length", str(len(body)))
      handler.end_headers()
      handler.wfile.write(body)

  def __enter__(self) -> "FakeServer":
    self._thread = threading.Thread(
      target=self._http.serve_forever, args=(0.01,)
    )
    self._thread.start()
    return self

  def __exit__(self, *_) -> None:
    self._http.shutdown()
    self._http.server_close()
    self._thread.join()
