"""How much of a reward model's scores a bag of words explains.

Ridge regression of the score on word counts, as in the paper (its reward
models: R2 about 0.65 in their own language, 0.63 across). What is explained
within the rows that were fitted says little where there are more words than
rows, so the cross-validated R2 stands beside it.
"""

from collections.abc import Sequence
import dataclasses
import re
import unicodedata

from jaxtyping import Float
import numpy as np

NUM_FOLDS = 5
PENALTY = 1.0  # of the squared weights


@dataclasses.dataclass(frozen=True)
class Fit:
  """The share of the scores' variance that word counts explain.

  Attributes:
    r2: in the rows that were fitted.
    cross_validated: in rows that were not; below 0: worse than the mean.
    n: rows.
    words: different ones.
  """

  r2: float
  cross_validated: float
  n: int
  words: int


def words(text: str) -> list[str]:
  """Words of any script, composed and without case."""
  return re.findall(r"\w+", unicodedata.normalize("NFC", text).casefold())


def counts(texts: Sequence[str]) -> Float[np.ndarray, "texts words"]:
  """How often each text has each word; words in the order first seen."""
  columns: dict[str, int] = {}
  rows = [
    [columns.setdefault(word, len(columns)) for word in words(text)]
    for text in texts
  ]
  table = np.zeros((len(texts), len(columns)))
  for i, row in enumerate(rows):
    np.add.at(table[i], row, 1.0)
  return table


def _predict(
  features: np.ndarray, scores: np.ndarray, asked: np.ndarray, penalty: float
) -> np.ndarray:
  """Ridge in its dual form: y + Xa X' (X X' + penalty I)^-1 (s - y), with the
  means x and y taken off."""
  centre, mean = features.mean(axis=0), scores.mean()
  features, asked = features - centre, asked - centre
  gram = features @ features.T + penalty * np.eye(len(features))
  return mean + asked @ (features.T @ np.linalg.solve(gram, scores - mean))


def _r2(scores: np.ndarray, predicted: np.ndarray) -> float:
  total = np.sum(np.square(scores - scores.mean()))
  if total == 0:
    return float("nan")
  return float(1.0 - np.sum(np.square(scores - predicted)) / total)


def explained(
  texts: Sequence[str],
  scores: Sequence[float] | np.ndarray,
  *,
  penalty: float = PENALTY,
  num_folds: int = NUM_FOLDS,
) -> Fit:
  """The fit of scores by word counts; row i is in fold i modulo `num_folds`.

  Raises:
    ValueError: fewer rows than folds, or another number of texts.
  """
  values = np.asarray(scores, np.float64)
  if len(texts) != values.size or values.size < num_folds:
    raise ValueError(
      f"{len(texts)} texts and {values.size} scores for {num_folds} folds"
    )
  table = counts(texts)
  inside = _predict(table, values, table, penalty)
  outside = np.zeros_like(values)
  fold = np.arange(values.size) % num_folds
  for i in range(num_folds):
    kept, asked = fold != i, fold == i
    outside[asked] = _predict(table[kept], values[kept], table[asked], penalty)
  return Fit(
    r2=_r2(values, inside),
    cross_validated=_r2(values, outside),
    n=values.size,
    words=table.shape[1],
  )
