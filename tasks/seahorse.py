r"""SEAHORSE: human ratings of machine summaries in six languages.

    gem_id                              worker_lang  summary
    xlsum_russian-validation-3012       ru           \u041f\u0440\u0435...
    model                 question1  ...  question6
    mt5_small_250steps    Yes        ...  No

Tasks seahorse_rating.{language}: is the summary concise (question 6)? They
read $XLRM_REAL_DATA/seahorse/validation.tsv, split by article, and rate the
bare summary: the articles are not in it. seahorse_article_rating.{language} is
the paper's: it trains on $XLRM_SEAHORSE_TRAIN (train.tsv), validates and tests
on that file, and reads the articles in $XLRM_GEM. `register` takes other files,
questions, aggregates of questions, and articles.
"""

from collections.abc import Callable, Mapping, Sequence
import functools

from xlrm.data import registry
from xlrm.data import seahorse
from xlrm.data import seahorse_files
from xlrm.data import splits

FILE = "$XLRM_REAL_DATA/seahorse/validation.tsv"
LANGUAGES = tuple(sorted(seahorse_files.LANGUAGES.values()))


def register(
  name: str = "seahorse_rating",
  file: str | Mapping[str, str | Sequence[str]] = FILE,
  *,
  question: int | Sequence[int] = 6,
  aggregate: Callable[[seahorse.Answers], float | None] = seahorse.mean,
  articles: str | Sequence[str] | None = None,
  unjoined: str | None = None,
) -> None:
  """Registers the tasks `name`.{language} and their mixture.

  Args:
    name: 'dataset_kind'.
    file: one TSV, which is split by article, or split -> TSV or TSVs.
    question: 1 to 6, or several of them, as in (4, 5, 6).
    aggregate: several answers to one rating: `seahorse.mean`,
      `seahorse.all_yes` or a function of yours.
    articles: files with `gem_id` and the article, or 'tfds:gem/xsum', or
      several of these; None rates the bare summary.
    unjoined: beginning of the names of files that list the gem_ids without an
      article.
  """
  names = []
  for language in LANGUAGES:
    seahorse.check(language, question)
    read = functools.partial(
      seahorse.ratings,
      file=file,
      language=language,
      question=question,
      aggregate=aggregate,
      articles=articles,
      unjoined=unjoined,
    )
    task = f"{name}.{language}"
    names.append(
      registry.register(
        task,
        read,
        kind="rating",
        splits=splits.SPLITS if isinstance(file, str) else tuple(file),
      )
    )
  registry.register_mixture(name, names)


register()
register(
  "seahorse_article_rating",
  {"train": "$XLRM_SEAHORSE_TRAIN", "validation": FILE, "test": FILE},
  articles="$XLRM_GEM/*.jsonl.gz",
)
