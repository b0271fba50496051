"""In which language a text is, by what is installed."""

import importlib.util

import pytest

from xlrm.evaluation import language_id
from xlrm.miniworld import world_rows

INSTALLED = {
  "lingua": language_id._lingua,
  "py3langid": language_id._py3langid,
}
SIX = tuple(world_rows.LANGUAGES)


@pytest.fixture(params=list(INSTALLED), scope="module")
def make(request):
  pytest.importorskip(request.param)
  return INSTALLED[request.param]


def test_texts_of_six_languages(make):
  identifier = make(sorted(SIX))
  assert sorted(identifier.languages) == sorted(SIX)
  for code in SIX:
    texts = [
      row.document for row in world_rows.summary_rows(code, "test", 0, 20)
    ]
    right = sum(identifier.identify(text) == code for text in texts)
    assert right >= 19, code
  assert identifier.identify("12 — 35 !") is None
  assert identifier.identify("") is None


def test_what_is_installed_is_preferred_in_order(monkeypatch):
  found = language_id.load(["pt-BR", "es", "und"])
  assert {"en", "es", "pt"} == set(found.languages)
  available = ["py3langid", "lingua"]
  monkeypatch.setattr(
    importlib.util,
    "find_spec",
    lambda name: name if name in available else None,
  )
  assert language_id.load(["es"]).name.startswith("py3langid")
  available.clear()
  assert language_id.load(["es"]) is None
  assert "not measured" in language_id.NOT_MEASURED


def test_real_summaries(make, real_data):
  """SEAHORSE's: what the module's head claims."""
  import csv
  import json

  with open(
    real_data / "seahorse" / "validation.tsv", encoding="utf-8", newline=""
  ) as file:
    found = {}
    for row in csv.DictReader(file, delimiter="\t"):
      text = json.loads(f'"{row["summary"]}"')
      found.setdefault(row["worker_lang"][:2], {})[text] = None
  identifier = make(sorted(SIX))
  for code, texts in found.items():
    texts = list(texts)[:200]
    right = sum(identifier.identify(text) == code for text in texts)
    assert right / len(texts) >= 0.98, (code, right / len(texts))
