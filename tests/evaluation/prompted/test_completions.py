"""What a server says of waiting."""

import datetime

import pytest

from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import google_genai
from xlrm.evaluation.prompted import local_model
from xlrm.evaluation.prompted import openai_server


@pytest.mark.parametrize(
  ("headers", "seconds"),
  [
    ({}, None),
    ({"Retry-After": "2.5"}, 2.5),
    ({"retry-after": "-1"}, 0.0),
    ({"Retry-After-Ms": "250", "Retry-After": "1"}, 0.25),
    ({"Retry-After": "Wed, 01 Jan 2025 00:01:00 GMT"}, 60.0),
    ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0.0),
    ({"Retry-After": "soon"}, None),
  ],
)
def test_retry_after(headers, seconds):
  now = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
  assert completions.retry_after(headers, now) == seconds


def test_an_error_that_passes_says_how_long_to_wait():
  assert completions.TemporaryError("busy").retry_after is None
  error = completions.TemporaryError("busy", 2.5)
  assert error.retry_after == 2.5 and str(error) == "busy"


@pytest.mark.parametrize(
  "backend",
  [
    google_genai.GoogleBackend("m"),
    local_model.LocalBackend("nano"),
    openai_server.OpenAIBackend("m"),
  ],
)
def test_every_backend_is_one(backend):
  assert isinstance(backend, completions.Backend)
