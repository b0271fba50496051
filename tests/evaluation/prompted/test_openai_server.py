"""What adapters say where their client or key is missing."""

import sys

import pytest

from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import google_genai
from xlrm.evaluation.prompted import openai_server


@pytest.mark.parametrize(
  ("backend", "module", "variable"),
  [
    (openai_server.OpenAIBackend("m"), "openai", "OPENAI_API_KEY"),
    (google_genai.GoogleBackend("m"), "google.genai", "GOOGLE_API_KEY"),
  ],
)
def test_g28_what_is_missing_is_named(backend, module, variable, monkeypatch):
  if module in sys.modules or module == "openai":
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(completions.BackendError, match=f"variable {variable}"):
      backend.complete("p")
  monkeypatch.setitem(sys.modules, module, None)
  monkeypatch.setenv(variable, "none")
  monkeypatch.delattr("google.genai", raising=False)
  with pytest.raises(completions.BackendError, match=r"'xlrm\[judges\]'"):
    backend.complete("p")
