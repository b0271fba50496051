"""SEAHORSE: escapes, answers, articles, splits; the real file's counts."""

import json
import re

import pytest

from xlrm.data import seahorse
from xlrm.data import seqio_source
from xlrm.data import splits

HEADER = "\t".join(seahorse.COLUMNS)


def line(gem_id="xlsum_russian-validation-1", language="ru", summary="a", **q):
  answers = [q.get(f"question{number}", "Yes") for number in range(1, 7)]
  return "\t".join([gem_id, language, summary, "mt5_xxl", *answers])


def write(path, *lines):
  path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="ascii")
  return str(path)


def escaped(text):
  """As the published files have it: JSON's escapes, then CSV's quotes."""
  inside = json.dumps(text)[1:-1].replace('"', '""')
  return f'"{inside}"'


@pytest.mark.parametrize("text", ['Он сказал: "да"', "a\\b", "ı\tİ", 'C:\\"x"'])
def test_summaries_lose_both_layers_of_escapes(tmp_path, text):
  path = write(tmp_path / "x.tsv", line(summary=escaped(text)))
  (row,) = seahorse.read(path)
  assert row["summary"] == text
  assert row["language"] == "ru"


def test_only_yes_and_no_count_and_the_rest_is_told(tmp_path, capsys):
  seahorse.warn_bare.cache_clear()
  lines = [line(question6=x) for x in ("Yes", "No", "Unsure", "", "No")]
  path = write(tmp_path / "x.tsv", *lines, line(language="tr"))
  files = {"train": path}
  rows = seahorse.ratings("train", file=files, language="ru")
  assert [row["rating"] for row in rows] == [1.0, 0.0, 0.0]
  assert len({row["id"] for row in rows}) == 3
  assert all(row["reward_inputs"] == "" for row in rows)
  told = capsys.readouterr().out
  assert "SEAHORSE ru train, question 6 (conciseness)" in told
  assert [" ".join(x.split()[:3]) for x in told.splitlines()[2:5]] == [
    "rows kept 3",
    "Unsure 1 xlsum_russian-validation-1",
    "blank 1 xlsum_russian-validation-1",
  ]
  assert "BARE SUMMARY" in told
  with pytest.raises(ValueError, match="nothing is left of SEAHORSE vi train"):
    seahorse.ratings("train", file=files, language="vi")
  assert "BARE SUMMARY" not in capsys.readouterr().out  # said once


@pytest.mark.parametrize("question", range(1, 7))
def test_any_question(tmp_path, question):
  path = write(tmp_path / "x.tsv", line(**{f"question{question}": "No"}))
  for asked in range(1, 7):
    (row,) = seahorse.ratings(
      "train", file={"train": path}, language="ru", question=asked
    )
    assert row["rating"] == float(asked != question)


@pytest.mark.parametrize("field", seahorse.ARTICLE_FIELDS)
def test_articles_are_joined_by_gem_id(tmp_path, capsys, field):
  path = write(tmp_path / "x.tsv", line("a-1"), line("a-2"))
  articles = tmp_path / "gem.jsonl"
  articles.write_text(json.dumps({"gem_id": "a-1", field: "статья"}) + "\n")
  (row,) = seahorse.ratings(
    "train", file={"train": path}, language="ru", articles=str(articles)
  )
  assert row["reward_inputs"] == "статья" and row["gem_id"] == "a-1"
  told = capsys.readouterr().out
  assert "no article" in told and "  a-2" in told and "BARE" not in told


def test_one_file_is_split_by_article(tmp_path):
  lines = [line(f"a-{i // 3}", summary=str(i)) for i in range(900)]
  path = write(tmp_path / "x.tsv", *lines)
  by_split = {
    split: seahorse.ratings(split, file=path, language="ru")
    for split in splits.SPLITS
  }
  articles = {
    split: {row["gem_id"] for row in rows} for split, rows in by_split.items()
  }
  assert sum(map(len, by_split.values())) == 900
  assert sum(map(len, articles.values())) == 300
  assert 15 < len(articles["validation"]) < 50 and len(articles["test"]) > 15


def test_ids_are_unique_over_all_files_of_a_split_and_stay(tmp_path):
  """Samples are seeded by them, and records paired by them."""
  files = {
    name: write(
      tmp_path / f"{name}.tsv",
      *(line(f"a-{name}{i}", summary=f"{name}{i}") for i in range(3)),
    )
    for name in ("b", "c")
  }

  def ids(*paths):
    rows = seahorse.ratings("train", file={"train": paths}, language="ru")
    return {row["id"]: row["targets"] for row in rows}

  one = ids(files["b"])
  assert one == {f"seahorse/train/00000{i}": f"b{i}" for i in range(3)}
  two = ids(files["b"], files["c"])
  assert two == {
    f"seahorse/train/{name}/00000{i}": f"{name}{i}"
    for name in ("b", "c")
    for i in range(3)
  }
  assert ids(files["c"], files["b"]) == two
  write(tmp_path / "a.tsv", line("a-a", summary="a0"))
  assert ids(str(tmp_path / "*.tsv")) == {
    **two,
    "seahorse/train/a/000000": "a0",
  }


def test_g28_two_files_of_one_name_are_refused(tmp_path):
  paths = []
  for name in ("x", "y"):
    (tmp_path / name).mkdir()
    paths.append(write(tmp_path / name / "dev.tsv", line()))
  for given in (paths, paths[:1] * 2):
    with pytest.raises(ValueError, match="cannot both be 'dev'; rename one"):
      seahorse.ratings("train", file={"train": given}, language="ru")


@pytest.mark.parametrize(
  "lines, message",
  [
    ([], "x.tsv:2: rows were expected"),
    ([line(), line(language="fr")], "x.tsv:3: unknown worker_lang 'fr'"),
    ([line(), "a\tru\tb"], "x.tsv:3: 10 columns were expected, not 3"),
    ([line(), line(summary='"open')], "x.tsv:3: 10 columns were expected"),
    ([line(summary="\\q")], "x.tsv:2: the summary was expected to be"),
  ],
)
def test_g28_broken_rows_are_named(tmp_path, lines, message):
  path = write(tmp_path / "x.tsv", *lines)
  with pytest.raises(ValueError, match=re.escape(message)):
    list(seahorse.read(path))


def test_g28_a_missing_column_lists_the_columns(tmp_path):
  path = tmp_path / "x.tsv"
  path.write_text(HEADER.replace("question6", "question7") + "\n")
  with pytest.raises(
    ValueError, match="x.tsv:1: no column 'question6'; it has"
  ):
    list(seahorse.read(str(path)))


def test_g28_wrong_languages_questions_and_duplicates_are_named(tmp_path):
  with pytest.raises(ValueError, match="no language 'fr'; it has de, en"):
    seahorse.check("fr", 6)
  with pytest.raises(ValueError, match="question 7"):
    seahorse.check("de", 7)
  folder = tmp_path / "duplicates"
  folder.mkdir()
  path = write(folder / "x.tsv", line())
  with pytest.raises(ValueError, match="overlap its validation"):
    seahorse.ratings("train", file={"train": path}, language="ru")


REAL = {  # answers Yes or No to question 6, share of No
  "de": (1254, 0.5295),
  "en": (2076, 0.5949),
  "es": (1315, 0.6327),
  "ru": (1155, 0.5576),
  "tr": (1096, 0.5620),
  "vi": (1168, 0.6789),
}


def test_the_real_file_has_the_published_counts(real_data):
  rows = list(seahorse.read(str(real_data / "seahorse/validation.tsv")))
  assert len(rows) == 8968
  for language, (count, share) in REAL.items():
    answers = [x["question6"] for x in rows if x["language"] == language]
    kept = [x for x in answers if x in seahorse.ANSWERS]
    assert len(kept) == count
    assert kept.count("No") / count == pytest.approx(share, abs=5e-5)


def test_real_summaries_have_no_escapes_left(real_data):
  rows = list(seahorse.read(str(real_data / "seahorse/validation.tsv")))
  assert len(rows) == 8968
  assert not [x for x in rows if "\\" in x["summary"]]
  # wikiHow's image markup came with escapes of its own: JSON inside the text.
  marked = [x for x in rows if '{"smallUrl":"https://' in x["summary"]]
  assert len(marked) == 28
  rated = [x for x in marked if x["question6"] in seahorse.ANSWERS]
  assert len(rated) == 1


def test_only_image_markup_loses_a_third_layer(tmp_path):
  markup = 'a {"smallUrl":"https:\\/\\/x\\/y.png","class":"\\"z\\""} b'
  path = write(
    tmp_path / "x.tsv",
    line(summary=escaped(markup)),
    line(summary=escaped("1\\/2")),
  )
  first, second = (row["summary"] for row in seahorse.read(path))
  assert first == 'a {"smallUrl":"https://x/y.png","class":""z""} b'
  assert second == "1\\/2"


def test_real_tasks_share_no_article_and_lose_no_row(real_data):
  made = seqio_source.SeqioSource(
    "seahorse_rating",
    {"inputs": 8, "targets": 64},
    32,
    module="xlrm.tasks.seahorse",
  )
  rows = {split: made.examples(split) for split in splits.SPLITS}
  total = sum(map(len, rows.values()))
  assert total == sum(count for count, _ in REAL.values())
  articles = [{row["gem_id"] for row in found} for found in rows.values()]
  assert not articles[0] & (articles[1] | articles[2])
  assert not articles[1] & articles[2]


def aggregated(tmp_path, aggregate, answers):
  path = write(tmp_path / "x.tsv", line(**answers), line(question1="Unsure"))
  try:
    rows = seahorse.ratings(
      "train",
      file={"train": path},
      language="ru",
      question=(4, 5, 6),
      aggregate=aggregate,
    )
  except ValueError:
    return None
  return rows[0]["rating"] if len(rows) == 2 else None


@pytest.mark.parametrize(
  "answers, mean, every",
  [
    (("Yes", "Yes", "Yes"), 1.0, 1.0),
    (("Yes", "No", "No"), pytest.approx(1 / 3), 0.0),
    (("Yes", "Unsure", "Yes"), None, None),
    (("No", "Unsure", "Yes"), None, 0.0),
    (("", "", ""), None, None),
  ],
)
def test_several_questions_become_one_rating(tmp_path, answers, mean, every):
  given = {f"question{4 + i}": answer for i, answer in enumerate(answers)}
  assert aggregated(tmp_path, seahorse.mean, given) == mean
  assert aggregated(tmp_path, seahorse.all_yes, given) == every


def test_articles_from_parquet_and_several_files_and_a_list_of_the_rest(
  tmp_path,
):
  import pyarrow
  from pyarrow import parquet

  path = write(tmp_path / "x.tsv", line("a-1"), line("a-2"), line("a-3"))
  table = pyarrow.Table.from_pylist([{"gem_id": "a-1", "text": "eins"}])
  parquet.write_table(table, tmp_path / "one.parquet")
  two = tmp_path / "two.jsonl"
  two.write_text(json.dumps({"gem_id": "a-3", "source": "три"}) + "\n")
  rows = seahorse.ratings(
    "train",
    file={"train": path},
    language="ru",
    articles=[str(tmp_path / "one.parquet"), str(two)],
    unjoined=str(tmp_path / "without"),
  )
  assert [row["reward_inputs"] for row in rows] == ["eins", "три"]
  assert (tmp_path / "without.ru.train.txt").read_text() == "a-2\n"


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
  found = seahorse.read_articles("tfds:gem_for_a_test")
  assert dict(found) == {"a-1": "ein Text"}
  with pytest.raises(ValueError, match="tfds:no_such_set cannot be read"):
    seahorse.read_articles("tfds:no_such_set")


def test_policies_are_not_trained_on_articles_of_the_reward_model(
  tmp_path, registry, capsys
):
  from xlrm.tasks import gem

  train = write(tmp_path / "train.tsv", line("xsum-validation-1", "en-US"))
  for name in ("xsum", "xlsum", "wiki_lingua"):
    for split in gem.SPLITS:
      rows = [
        {"gem_id": f"{name}-{split}-{i}", "document": "d", "summary": "s"}
        for i in range(3)
      ]
      path = tmp_path / f"{name}_en.{split}.jsonl"
      path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  places = str(tmp_path / "{source}_{language}.{split}.jsonl")
  gem.register("mine_summary", places, excluded=train)
  made = seqio_source.SeqioSource(
    "mine_summary.en", {"inputs": 8, "targets": 8}, 4
  )
  found = [row["id"] for row in made.examples("validation")]
  assert len(found) == 8 and "xsum-validation-1" not in found
  assert [rate for _, rate in made.arrays.parts] == [1.0, 1.0, 1.0]
  assert "article of a reward model" in capsys.readouterr().out
