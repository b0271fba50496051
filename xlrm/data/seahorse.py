"""SEAHORSE (https://arxiv.org/abs/2305.13194): human ratings of summaries.

Answers to its six questions are Yes, No, Unsure or blank; see `seahorse_files`
for how they are stored.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import os
from typing import Any

from xlrm.data import row_counts
from xlrm.data import seahorse_files
from xlrm.data import splits
from xlrm.storage import files
from xlrm.storage import row_files

QUESTIONS = (
  "comprehensible",
  "repetition",
  "grammar",
  "attribution",
  "main ideas",
  "conciseness",
)
ANSWERS = {"Yes": 1.0, "No": 0.0}
Answers = Sequence[float | None]  # of the asked questions; None is no answer


def mean(answers: Answers) -> float | None:
  """Share of Yes; None if a question has no answer."""
  return None if None in answers else sum(answers) / len(answers)


def all_yes(answers: Answers) -> float | None:
  """1 if every answer is Yes, 0 if one is No; None if it cannot be told.

  A summary that is not comprehensible (question 1) was asked nothing else.
  """
  if 0.0 in answers:
    return 0.0
  return None if None in answers else 1.0


def _rating(row: Mapping[str, str], questions, aggregate) -> float:
  """
  Raises:
    Dropped: the answers do not tell.
  """
  given = [row[f"question{number}"].strip() for number in questions]
  unknown = [x for x in given if x not in ("Yes", "No", "Unsure", "")]
  if unknown:
    raise row_counts.Dropped(f"answer {unknown[0]!r}")
  rating = aggregate([ANSWERS.get(answer) for answer in given])
  if rating is None:
    unsure = "Unsure" in given
    raise row_counts.Dropped("Unsure" if unsure else "blank")
  return float(rating)


def ratings(
  split: str,
  *,
  file: str | Mapping[str, str | Sequence[str]],
  language: str,
  question: int | Sequence[int] = 6,
  aggregate: Callable[[Answers], float | None] = mean,
  articles: str | Sequence[str] | None = None,
  unjoined: str | None = None,
) -> list[dict[str, Any]]:
  """Rated summaries of one language as rows of a rating task.

  Prints how many rows were kept and why the others were not.

  Args:
    split: 'train', 'validation' or 'test'.
    file: one TSV, split by article here; or a TSV, or several, for each split.
    language: one of ours.
    question: 1 to 6, or several of them.
    aggregate: their answers (Yes 1, No 0, else None) to a rating in [0, 1], or
      None, which leaves the row out.
    articles: see `seahorse_files.read_articles`; rows without an article are
      left out. None: the reward model reads the bare summary.
    unjoined: file to which the gem_ids without an article are written.
  """
  by_split = not isinstance(file, str)
  named = file[split] if by_split else file
  named = [named] if isinstance(named, str) else named
  paths = [path for pattern in named for path in files.expand(pattern)]
  if split == "train" and any("duplicates" in path for path in paths):
    raise ValueError(f"{paths}: SEAHORSE's duplicates overlap its validation")
  texts = None
  if articles is not None:
    patterns = (articles,) if isinstance(articles, str) else articles
    texts = seahorse_files.read_articles(*patterns)
  questions = (question,) if isinstance(question, int) else tuple(question)
  names = ", ".join(f"{x} ({QUESTIONS[x - 1]})" for x in questions)
  counts = row_counts.RowCounts(
    f"SEAHORSE {language} {split}, question {names}"
  )
  rows, without = [], {}
  for path, name in _names(split, paths).items():
    for number, row in enumerate(seahorse_files.read(path)):
      if row["language"] != language:
        continue
      if not by_split and splits.split_of(row["gem_id"]) != split:
        continue
      try:
        rating = _rating(row, questions, aggregate)
        if not row["summary"].strip():
          raise row_counts.Dropped("blank summary")
        if texts is not None and row["gem_id"] not in texts:
          without[row["gem_id"]] = None
          raise row_counts.Dropped("no article")
      except row_counts.Dropped as reason:
        counts.drop(str(reason), row["gem_id"])
        continue
      article = "" if texts is None else texts[row["gem_id"]]
      rows.append(_rated(row, f"{name}/{number:06d}", article, rating))
  if texts is None:
    warn_bare(str(file))
  if unjoined is not None and without:
    row_files.write(f"{unjoined}.{language}.{split}.txt", without)
  return counts.close(rows)


def _names(split: str, paths: Sequence[str]) -> dict[str, str]:
  """Path -> what the ids of its rows begin with.

  Of several files each has its own, so that rows are counted in each and one
  more file changes no id.

  Raises:
    ValueError: two of them have one name.
  """
  found, seen = {}, {}
  for path in paths:
    own = os.path.basename(path).removesuffix(".gz").removesuffix(".tsv")
    if own in seen:
      raise ValueError(
        f"{path} and {seen[own]}: rows are named after their file, so two "
        f"files of the split {split!r} cannot both be {own!r}; rename one"
      )
    seen[own] = path
    found[path] = f"seahorse/{split}/{own}"
  return found if len(found) > 1 else dict.fromkeys(paths, f"seahorse/{split}")


def _rated(row, name: str, article: str, rating: float) -> dict:
  return {
    "id": name,
    "language": row["language"],
    "dataset": row["gem_id"].partition("-")[0],
    "inputs": article,
    "reward_inputs": article,
    "targets": row["summary"],
    "rating": rating,
    "fault": "",
    "gem_id": row["gem_id"],
    "system": row["model"],
  }


@functools.cache  # said once, and then loudly
def warn_bare(file: str) -> None:
  """Prints what a reward model on bare summaries cannot see."""
  print(
    f"WARNING: no articles were given for {file}, so the reward model rates "
    "the BARE SUMMARY: it cannot see whether a summary is true to its article",
    flush=True,
  )


def check(language: str, question: int | Sequence[int]) -> None:
  """Raises ValueError for a language or question that SEAHORSE has not."""
  known = sorted(seahorse_files.LANGUAGES.values())
  if language not in known:
    raise ValueError(
      f"SEAHORSE has no language {language!r}; it has {', '.join(known)}"
    )
  questions = (question,) if isinstance(question, int) else tuple(question)
  wrong = [x for x in questions if x not in range(1, 7)]
  if wrong or not questions:
    raise ValueError(f"question {(wrong or ['none'])[0]} is not in 1..6")
