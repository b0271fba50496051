"""SEAHORSE's files: escapes, damage, articles; the real file's counts."""

import re

import pytest
import seahorse_rows

from xlrm.data import seahorse
from xlrm.data import seahorse_files


@pytest.mark.parametrize("text", ['Он сказал: "да"', "a\\b", "ı\tİ", 'C:\\"x"'])
def test_summaries_lose_both_layers_of_escapes(tmp_path, text):
  path = seahorse_rows.write(
    tmp_path / "x.tsv", seahorse_rows.line(summary=seahorse_rows.escaped(text))
  )
  (row,) = seahorse_files.read(path)
  assert row["summary"] == text
  assert row["language"] == "ru"


@pytest.mark.parametrize(
  "lines, message",
  [
    ([], "x.tsv:2: rows were expected"),
    (
      [seahorse_rows.line(), seahorse_rows.line(language="fr")],
      "x.tsv:3: unknown worker_lang 'fr'",
    ),
    (
      [seahorse_rows.line(), "a\tru\tb"],
      "x.tsv:3: 10 columns were expected, not 3",
    ),
    (
      [seahorse_rows.line(), seahorse_rows.line(summary='"open')],
      "x.tsv:3: 10 columns were expected",
    ),
    (
      [seahorse_rows.line(summary="\\q")],
      "x.tsv:2: the summary was expected to be",
    ),
  ],
)
def test_g28_broken_rows_are_named(tmp_path, lines, message):
  path = seahorse_rows.write(tmp_path / "x.tsv", *lines)
  with pytest.raises(ValueError, match=re.escape(message)):
    list(seahorse_files.read(path))


def test_g28_a_missing_column_lists_the_columns(tmp_path):
  path = tmp_path / "x.tsv"
  path.write_text(seahorse_rows.HEADER.replace("question6", "question7") + "\n")
  with pytest.raises(
    ValueError, match="x.tsv:1: no column 'question6'; it has"
  ):
    list(seahorse_files.read(str(path)))


def test_the_real_file_has_the_published_counts(real_data):
  rows = list(seahorse_files.read(str(real_data / "seahorse/validation.tsv")))
  assert len(rows) == 8968
  for language, (count, share) in seahorse_rows.REAL.items():
    answers = [x["question6"] for x in rows if x["language"] == language]
    kept = [x for x in answers if x in seahorse.ANSWERS]
    assert len(kept) == count
    assert kept.count("No") / count == pytest.approx(share, abs=5e-5)


def test_real_summaries_have_no_escapes_left(real_data):
  rows = list(seahorse_files.read(str(real_data / "seahorse/validation.tsv")))
  assert len(rows) == 8968
  assert not [x for x in rows if "\\" in x["summary"]]
  # wikiHow's image markup came with escapes of its own: JSON inside the text.
  marked = [x for x in rows if '{"smallUrl":"https://' in x["summary"]]
  assert len(marked) == 28
  rated = [x for x in marked if x["question6"] in seahorse.ANSWERS]
  assert len(rated) == 1


def test_only_image_markup_loses_a_third_layer(tmp_path):
  markup = 'a {"smallUrl":"https:\\/\\/x\\/y.png","class":"\\"z\\""} b'
  path = seahorse_rows.write(
    tmp_path / "x.tsv",
    seahorse_rows.line(summary=seahorse_rows.escaped(markup)),
    seahorse_rows.line(summary=seahorse_rows.escaped("1\\/2")),
  )
  first, second = (row["summary"] for row in seahorse_files.read(path))
  assert first == 'a {"smallUrl":"https://x/y.png","class":""z""} b'
  assert second == "1\\/2"


def test_articles_from_a_tfds_dataset(tmp_path, monkeypatch):
  import tensorflow_datasets as tfds

  class Gem(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    name = "gem_for_a_test"
    pkg_dir_path = tmp_path

    def _info(self):
      features = {"gem_id": tfds.features.Text(), "text": tfds.features.Text()}
      return tfds.core.DatasetInfo(
        builder=self, features=tfds.features.FeaturesDict(features)
      )

    def _split_generators(self, manager):
      return {"train": self._generate_examples()}

    def _generate_examples(self):
      yield "a", {"gem_id": "a-1", "text": "ein Text"}

  Gem(data_dir=str(tmp_path)).download_and_prepare()
  real = tfds.load
  monkeypatch.setattr(
    tfds, "load", lambda name: real(name, data_dir=str(tmp_path))
  )
  found = seahorse_files.read_articles("tfds:gem_for_a_test")
  assert dict(found) == {"a-1": "ein Text"}
  with pytest.raises(ValueError, match="tfds:no_such_set cannot be read"):
    seahorse_files.read_articles("tfds:no_such_set")
