"""SEAHORSE's files as tasks: per language, split by article, with articles."""

import json

import pytest

from xlrm.data import registry
from xlrm.data import seahorse as reader
from xlrm.data import seahorse_files
from xlrm.data import seqio_source
from xlrm.data import splits
import xlrm.tasks.seahorse

LENGTHS = {"inputs": 24, "targets": 12}


def line(number, answer, language="ru"):
  answers = ["Yes"] * 5 + [answer]
  return "\t".join([f"a-{number}", language, f"s{number}", "mt5", *answers])


@pytest.fixture
def file(tmp_path):
  lines = [
    line(i, "Yes" if i % 2 else "No", "ru" if i % 3 else "tr")
    for i in range(90)
  ]
  header = "\t".join(seahorse_files.COLUMNS)
  (tmp_path / "x.tsv").write_text("\n".join([header, *lines]) + "\n")
  yield tmp_path / "x.tsv"
  for name in registry.names():
    if name.startswith("here"):
      registry.remove(name)


def rows(task):
  made = seqio_source.SeqioSource(task, LENGTHS, 2)
  return {split: made.examples(split) for split in made.splits}


def test_one_file_is_split_by_article_for_every_language(file):
  xlrm.tasks.seahorse.register("here_rating", str(file))
  found = rows("here_rating.ru")
  assert set(found) == set(splits.SPLITS)
  assert sum(map(len, found.values())) == 60
  for split, kept in found.items():
    assert {splits.split_of(row["gem_id"]) for row in kept} == {split}
    for row in kept:
      odd = int(row["gem_id"].removeprefix("a-")) % 2
      assert row["rating"] == float(odd) and row["reward_inputs"] == ""
  mixed = registry.rates_of(registry.get("here_rating"))
  assert set(mixed) == {
    f"here_rating.{x}" for x in seahorse_files.LANGUAGES.values()
  }


def test_files_questions_and_articles_may_be_others(file, tmp_path):
  articles = tmp_path / "articles.jsonl"
  articles.write_text(
    "".join(
      f"{json.dumps({'gem_id': f'a-{i}', 'text': 'x'})}\n" for i in (1, 2)
    )
  )
  xlrm.tasks.seahorse.register(
    "here_quality",
    {"train": str(file), "test": [str(file)]},
    question=(5, 6),
    aggregate=reader.all_yes,
    articles=str(articles),
  )
  found = rows("here_quality.ru")
  assert set(found) == {"train", "test"}
  assert [row["rating"] for row in found["train"]] == [1.0, 0.0]
  assert {row["reward_inputs"] for row in found["test"]} == {"x"}


def test_g28_a_question_that_was_not_asked_is_named(file):
  with pytest.raises(ValueError, match="question 7 is not in 1..6"):
    xlrm.tasks.seahorse.register("here_other", str(file), question=7)
