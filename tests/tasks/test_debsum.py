"""debsum's files as tasks, and another folder of the same form."""

import gzip
import json

import pytest

from xlrm.data import registry
from xlrm.data import seqio_source
import xlrm.tasks.debsum

LENGTHS = {"inputs": 72, "targets": 32}
DEBSUM = {  # train, validation
  "de": (9543, 1052),
  "en": (13514, 1486),
  "es": (4654, 534),
  "ru": (4195, 463),
  "tr": (2398, 262),
  "vi": (1275, 110),
}


@pytest.fixture
def forget():
  """Tasks whose names begin with here_ are forgotten."""
  yield
  for name in registry.names():
    if name.startswith("here_"):
      registry.remove(name)


def test_files_of_another_folder_become_tasks(tmp_path, forget):
  for language in xlrm.tasks.debsum.LANGUAGES:
    for split in xlrm.tasks.debsum.SPLITS:
      row = {
        "id": f"{language}{split}",
        "document": "C* Music Player es un reproductor.",
        "summary": "Reproductor ligero",
        "section": "sound",
      }
      path = tmp_path / f"{language}.{split}.jsonl.gz"
      path.write_bytes(gzip.compress(json.dumps(row).encode()))
  xlrm.tasks.debsum.register("here_summary", str(tmp_path))
  xlrm.tasks.debsum.register("here_bare", str(tmp_path), bare=True)
  (row,) = seqio_source.SeqioSource("here_summary.es", LENGTHS, 1).examples(
    "train"
  )
  assert (row["id"], row["language"], row["dataset"]) == (
    "estrain",
    "es",
    "here",
  )
  assert row["inputs_pretokenized"].endswith(row["reward_inputs"])
  assert "in Spanish" in row["inputs_pretokenized"]
  (bare,) = seqio_source.SeqioSource("here_bare.es", LENGTHS, 1).examples(
    "train"
  )
  assert bare["reward_inputs"] == ""
  assert bare["inputs_pretokenized"] == row["inputs_pretokenized"]
  mixed = seqio_source.SeqioSource("here_summary", LENGTHS, 1)
  assert len(mixed.examples("validation")) == 6


def test_debsum_has_its_published_counts(real_data):
  for language, counts in DEBSUM.items():
    made = seqio_source.SeqioSource(f"debsum_summary.{language}", LENGTHS, 8)
    found = [made.examples(split) for split in ("train", "validation")]
    assert tuple(map(len, found)) == counts
    ids = [{row["id"] for row in split} for split in found]
    assert not ids[0] & ids[1]
  bare = seqio_source.SeqioSource("debsum_bare.vi", LENGTHS, 8)
  row = bare.examples("validation")[0]
  assert row["reward_inputs"] == ""
  assert row["inputs_pretokenized"].endswith(found[1][0]["reward_inputs"])


def test_g28_without_the_data_the_variable_is_named(monkeypatch, forget):
  monkeypatch.delenv("XLRM_REAL_DATA", raising=False)
  xlrm.tasks.debsum.register("here_summary")
  made = seqio_source.SeqioSource("here_summary.de", LENGTHS, 8)
  with pytest.raises(ValueError, match="variable XLRM_REAL_DATA is not set"):
    made.examples("train")
