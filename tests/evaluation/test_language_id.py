"""In which language an output is, and whether a win changed it."""

import importlib.util
import itertools

import comparisons
import pytest

from xlrm.evaluation import fidelity
from xlrm.evaluation import language_changes
from xlrm.evaluation import language_id
from xlrm.evaluation import pairing
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


class ByPrefix:
  """'ru: ...' is Russian: exact, so that counts can be."""

  name, languages = "prefix", ("en", "es", "ru")

  def identify(self, text):
    return text.split(":")[0] if ":" in text else None


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


def test_g28_without_an_identifier_nothing_is_guessed():
  records = comparisons.both(["es: a"], ["es: b"])
  assert fidelity.fidelity(records).in_language is None
  # A language that it does not know is no failure of the outputs.
  records = comparisons.both(["vi: a"], ["vi: b"], target="vi")
  assert fidelity.fidelity(records, ByPrefix()).in_language is None


def test_share_in_the_language_asked_of_every_cell():
  records = comparisons.both(["es: a", "en: b", "", "12"], ["es: a"] * 4)
  records += comparisons.both(["ru: a"], ["es: b"], target="ru")
  found = fidelity.by_cell(records, ByPrefix())
  assert {key: x.in_language for key, x in found.items()} == {
    ("best_of_n", "en", "es"): 0.25,
    ("sample", "", "es"): 1.0,
    ("best_of_n", "en", "ru"): 1.0,
    ("sample", "", "ru"): 0.0,
  }


def test_wins_that_came_with_a_change_of_language():
  texts = ("es: a", "en: a", "ru: a", "12")
  ours, theirs = zip(*itertools.product(texts, texts))
  pairs = pairing.pair(
    comparisons.both(ours, theirs), "best_of_n", "sample"
  ).pairs
  changes = language_changes.of_wins(pairs, [1.0] * len(pairs), ByPrefix())
  # 4 keep it; of 12 others 3 come back to Spanish and 3 leave it.
  assert changes == language_changes.LanguageChanges(16, 3, 3, 6)
  assert changes.changed == 12
  outcomes = [None, 0.0, 0.5, 1.0] * 4
  changes = language_changes.of_wins(pairs, outcomes, ByPrefix())
  assert changes == language_changes.LanguageChanges(4, 0, 1, 2)
  ByVietnamese = type("V", (ByPrefix,), {"languages": ("vi",)})
  assert language_changes.of_wins(pairs, outcomes, ByVietnamese()) is None


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
