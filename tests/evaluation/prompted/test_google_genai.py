"""Google's own client against a fake server; skipped where it is missing."""

import contextlib
import http.server
import json
import threading

import pytest

from xlrm.evaluation.prompted import choices
from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import google_genai

pytest.importorskip("google.genai", reason="needs the extra `judges`")

GOOD = {
  "candidates": [
    {
      "content": {"role": "model", "parts": [{"text": "2"}]},
      "finishReason": "STOP",
      "logprobsResult": {
        "topCandidates": [
          {
            "candidates": [
              {"token": "2", "logProbability": -0.1},
              {"token": "1", "logProbability": -2.4},
            ]
          }
        ],
        "chosenCandidates": [{"token": "2", "logProbability": -0.1}],
      },
    }
  ],
  "usageMetadata": {
    "promptTokenCount": 31,
    "candidatesTokenCount": 1,
    "thoughtsTokenCount": 7,
  },
}


@contextlib.contextmanager
def server(*replies):
  """Gives (status, headers, body) one after another; yields address, seen."""
  seen, left = [], list(replies)

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
      size = int(self.headers["Content-Length"])
      seen.append((self.path, json.loads(self.rfile.read(size))))
      status, headers, body = left.pop(0)
      body = body if isinstance(body, str) else json.dumps(body)
      self.send_response(status)
      for name, value in headers.items():
        self.send_header(name, value)
      self.send_header("Content-Type", "application/json")
      self.end_headers()
      self.wfile.write(body.encode())

    def log_message(self, *_):
      pass

  made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
  thread = threading.Thread(target=made.serve_forever, args=(0.01,))
  thread.start()
  yield f"http://127.0.0.1:{made.server_port}", seen
  made.shutdown()
  made.server_close()
  thread.join()


@pytest.fixture(autouse=True)
def key(monkeypatch):
  monkeypatch.setenv("GOOGLE_API_KEY", "none")
  monkeypatch.delenv("GEMINI_API_KEY", raising=False)


def test_an_answer_with_probabilities_and_counts():
  with server((200, {}, GOOD)) as (url, seen):
    backend = google_genai.GoogleBackend("gemini-x", url, {"seed": 3})
    answer = backend.complete("Which? 1 or 2")
  assert answer == completions.Completion("2", {"2": -0.1, "1": -2.4}, 31, 8)
  assert choices.choose(answer).outcome == "second"
  path, sent = seen[0]
  assert path.endswith("models/gemini-x:generateContent")
  assert sent["contents"][0]["parts"] == [{"text": "Which? 1 or 2"}]
  config = sent["generationConfig"]
  assert config == {
    "temperature": 0,
    "maxOutputTokens": 16,
    "responseLogprobs": True,
    "logprobs": 20,
    "seed": 3,
  }


@pytest.mark.parametrize(
  "body",
  [
    {"promptFeedback": {"blockReason": "SAFETY"}},
    {"candidates": [{"finishReason": "MAX_TOKENS"}]},
    {"candidates": [{"content": {"role": "model"}}]},
  ],
)
def test_g26_an_answer_without_text_is_invalid(body):
  with server((200, {}, body)) as (url, _):
    answer = google_genai.GoogleBackend("m", url).complete("p")
  assert answer == completions.Completion("")
  assert choices.choose(answer).outcome == "invalid"


BUSY = {
  "error": {
    "code": 429,
    "message": "slow",
    "details": [{"@type": "RetryInfo", "retryDelay": "12s"}],
  }
}


@pytest.mark.parametrize(
  ("reply", "retry_after"),
  [
    ((429, {"Retry-After": "3"}, BUSY), 3.0),
    ((429, {}, BUSY), 12.0),
    ((503, {}, {"error": {"code": 503, "message": "overloaded"}}), None),
    ((200, {}, "<html>"), None),
  ],
)
def test_what_passes_is_temporary(reply, retry_after):
  with server(reply) as (url, _):
    with pytest.raises(completions.TemporaryError) as error:
      google_genai.GoogleBackend("m", url).complete("p")
  assert error.value.retry_after == retry_after


def test_nobody_listens():
  with server() as (url, _):
    pass
  with pytest.raises(completions.TemporaryError, match="refused"):
    google_genai.GoogleBackend("m", url).complete("p")


def test_g28_what_does_not_pass_is_named():
  wrong = {"error": {"code": 400, "message": "API key not valid"}}
  with server((400, {}, wrong)) as (url, _):
    with pytest.raises(completions.BackendError, match="API key not valid"):
      google_genai.GoogleBackend("m", url).complete("p")
  with pytest.raises(completions.BackendError, match="temprature"):
    google_genai.GoogleBackend("m", url, {"temprature": 1}).complete("p")
