"""SEAHORSE: answers, articles, splits, ids."""

import json

import pytest
import seahorse_rows

from xlrm.data import seahorse
from xlrm.data import seahorse_files
from xlrm.data import seqio_source
from xlrm.data import splits


def test_only_yes_and_no_count_and_the_rest_is_told(tmp_path, capsys):
  seahorse.warn_bare.cache_clear()
  lines = [
    seahorse_rows.line(question6=x) for x in ("Yes", "No", "Unsure", "", "No")
  ]
  path = seahorse_rows.write(
    tmp_path / "x.tsv", *lines, seahorse_rows.line(language="tr")
  )
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
  path = seahorse_rows.write(
    tmp_path / "x.tsv", seahorse_rows.line(**{f"question{question}": "No"})
  )
  for asked in range(1, 7):
    (row,) = seahorse.ratings(
      "train", file={"train": path}, language="ru", question=asked
    )
    assert row["rating"] == float(asked != question)


@pytest.mark.parametrize("field", seahorse_files.ARTICLE_FIELDS)
def test_articles_are_joined_by_gem_id(tmp_path, capsys, field):
  path = seahorse_rows.write(
    tmp_path / "x.tsv", seahorse_rows.line("a-1"), seahorse_rows.line("a-2")
  )
  articles = tmp_path / "gem.jsonl"
  articles.write_text(json.dumps({"gem_id": "a-1", field: "статья"}) + "\n")
  (row,) = seahorse.ratings(
    "train", file={"train": path}, language="ru", articles=str(articles)
  )
  assert row["reward_inputs"] == "статья" and row["gem_id"] == "a-1"
  told = capsys.readouterr().out
  assert "no article" in told and "  a-2" in told and "BARE" not in told


def test_one_file_is_split_by_article(tmp_path):
  lines = [
    seahorse_rows.line(f"a-{i // 3}", summary=str(i)) for i in range(900)
  ]
  path = seahorse_rows.write(tmp_path / "x.tsv", *lines)
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
    name: seahorse_rows.write(
      tmp_path / f"{name}.tsv",
      *(
        seahorse_rows.line(f"a-{name}{i}", summary=f"{name}{i}")
        for i in range(3)
      ),
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
  seahorse_rows.write(
    tmp_path / "a.tsv", seahorse_rows.line("a-a", summary="a0")
  )
  assert ids(str(tmp_path / "*.tsv")) == {
    **two,
    "seahorse/train/a/000000": "a0",
  }


def test_g28_two_files_of_one_name_are_refused(tmp_path):
  paths = []
  for name in ("x", "y"):
    (tmp_path / name).mkdir()
    paths.append(
      seahorse_rows.write(tmp_path / name / "dev.tsv", seahorse_rows.line())
    )
  for given in (paths, paths[:1] * 2):
    with pytest.raises(ValueError, match="cannot both be 'dev'; rename one"):
      seahorse.ratings("train", file={"train": given}, language="ru")


def test_g28_wrong_languages_questions_and_duplicates_are_named(tmp_path):
  with pytest.raises(ValueError, match="no language 'fr'; it has de, en"):
    seahorse.check("fr", 6)
  with pytest.raises(ValueError, match="question 7"):
    seahorse.check("de", 7)
  folder = tmp_path / "duplicates"
  folder.mkdir()
  path = seahorse_rows.write(folder / "x.tsv", seahorse_rows.line())
  with pytest.raises(ValueError, match="overlap its validation"):
    seahorse.ratings("train", file={"train": path}, language="ru")


def test_real_tasks_share_no_article_and_lose_no_row(real_data):
  made = seqio_source.SeqioSource(
    "seahorse_rating",
    {"inputs": 8, "targets": 64},
    32,
    module="xlrm.tasks.seahorse",
  )
  rows = {split: made.examples(split) for split in splits.SPLITS}
  total = sum(map(len, rows.values()))
  assert total == sum(count for count, _ in seahorse_rows.REAL.values())
  articles = [{row["gem_id"] for row in found} for found in rows.values()]
  assert not articles[0] & (articles[1] | articles[2])
  assert not articles[1] & articles[2]


def aggregated(tmp_path, aggregate, answers):
  path = seahorse_rows.write(
    tmp_path / "x.tsv",
    seahorse_rows.line(**answers),
    seahorse_rows.line(question1="Unsure"),
  )
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

  path = seahorse_rows.write(
    tmp_path / "x.tsv",
    seahorse_rows.line("a-1"),
    seahorse_rows.line("a-2"),
    seahorse_rows.line("a-3"),
  )
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


def test_policies_are_not_trained_on_articles_of_the_reward_model(
  tmp_path, registry, capsys
):
  from xlrm.tasks import gem

  train = seahorse_rows.write(
    tmp_path / "train.tsv", seahorse_rows.line("xsum-validation-1", "en-US")
  )
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
