"""Does a reward model transfer better between languages that share a feature?

For each feature, the pairs (source, target) with the same value are compared
with those that differ. Student's t-test, as in the paper, takes the pairs for
independent; they are not, since pairs share sources and targets. So the
languages are permuted, too: a permutation gives each language another's
features and leaves the numbers where they are, rows and columns included. The
largest t of all features under each permutation gives p-values that are right
for the whole family (Westfall and Young, 1993).
"""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
import math

import numpy as np
from scipy import stats

from xlrm.analysis import pair_tables

MAX_EXACT = 5040  # permutations that are all looked at: of 7 languages


@dataclasses.dataclass(frozen=True)
class Feature:
  """A property of languages, e.g. of WALS.

  Attributes:
    identifier: e.g. "37A".
    name: e.g. "Definite Articles".
    values: language -> value.
  """

  identifier: str
  name: str
  values: Mapping[str, str]

  def is_constant(self, languages: Sequence[str]) -> bool:
    return len({self.values[x] for x in languages}) == 1


@dataclasses.dataclass(frozen=True)
class FeatureTest:
  """Is the mean of pairs with the same value higher?

  Attributes:
    feature: that was tested.
    same: mean of the pairs with the same value.
    different: mean of the others.
    num_same: pairs with the same value.
    num_different: the others.
    t: Student's statistic with equal variances.
    student_p: one-sided, of the t-test.
    permutation_p: one-sided, under permutations of the languages.
    family_p: the same, of the largest t of all tested features.
  """

  feature: Feature
  same: float
  different: float
  num_same: int
  num_different: int
  t: float
  student_p: float
  permutation_p: float
  family_p: float


def testable(
  features: Sequence[Feature], languages: Sequence[str]
) -> list[Feature]:
  """Those with pairs of both kinds: not constant, not all different."""
  return [
    feature
    for feature in features
    if 1 < len({feature.values[x] for x in languages}) < len(languages)
  ]


def _statistics(same: np.ndarray, numbers: np.ndarray) -> np.ndarray:
  """Student's t of each row of `same` [.., pairs], equal variances."""
  n = same.sum(axis=-1)
  m = same.shape[-1] - n
  mean_same = same @ numbers / n
  mean_other = (numbers.sum() - same @ numbers) / m
  squares = np.square(numbers).sum() - n * mean_same**2 - m * mean_other**2
  variance = np.maximum(squares, 0.0) / (n + m - 2)
  with np.errstate(divide="ignore", invalid="ignore"):
    return (mean_same - mean_other) / np.sqrt(variance * (1 / n + 1 / m))


def _orders(count: int, permutations: int, seed: int) -> np.ndarray:
  """All orders of the languages, the given one first, or a sample of them."""
  if math.factorial(count) <= MAX_EXACT:
    return np.array(list(itertools.permutations(range(count))))
  rng = np.random.Generator(np.random.Philox(seed))
  drawn = [rng.permutation(count) for _ in range(permutations)]
  return np.array([np.arange(count), *drawn])


def _permuted(
  features: Sequence[Feature],
  languages: Sequence[str],
  pairs: np.ndarray,
  orders: np.ndarray,
) -> np.ndarray:
  """[orders, features, pairs]: do the two languages of a pair share a value,
  once each language has got another's features?"""
  codes = np.array(
    [[feature.values[x] for x in languages] for feature in features]
  )
  equal = codes[:, :, None] == codes[:, None, :]  # [features, L, L]
  first, second = orders[:, pairs[:, 0]], orders[:, pairs[:, 1]]
  return equal[:, first, second].swapaxes(0, 1).astype(np.float64)


def feature_tests(
  features: Sequence[Feature],
  table: pair_tables.PairTable,
  *,
  permutations: int = 9999,
  seed: int = 0,
) -> list[FeatureTest]:
  """Tests every testable feature on the cross-lingual pairs of a table.

  Args:
    features: constant ones are left out.
    table: sources and targets need not be the same languages.
    permutations: sampled where there are too many to look at all.
    seed: of the sample.

  Raises:
    ValueError: a feature has no value for a language of the table.
  """
  languages = list(dict.fromkeys((*table.sources, *table.targets)))
  for feature in features:
    missing = [x for x in languages if x not in feature.values]
    if missing:
      raise ValueError(f"feature {feature.identifier} has no {missing[0]!r}")
  place = {language: i for i, language in enumerate(languages)}
  values = table.cross_lingual
  pairs = np.array([[place[s], place[t]] for s, t in values])
  numbers = np.array(list(values.values()))
  asked = testable(features, languages)
  if not asked or len(values) < 3:
    return []
  orders = _orders(len(languages), permutations, seed)
  same = _permuted(asked, languages, pairs, orders)
  # A table that is not square may leave a feature without pairs of a kind.
  kinds = same[0].sum(axis=-1)
  kept = (kinds > 0) & (kinds < len(values))
  asked = [x for x, keep in zip(asked, kept, strict=True) if keep]
  same = same[:, kept]
  found = np.nan_to_num(
    _statistics(same, numbers - numbers.mean()), nan=-np.inf
  )
  hits = found >= found[0] - 1e-9 * (1 + np.abs(found[0]))
  largest = found.max(axis=1)[:, None]
  family = largest >= found[0] - 1e-9 * (1 + np.abs(found[0]))
  return [
    _tested(
      feature,
      numbers[same[0, i] == 1],
      numbers[same[0, i] == 0],
      float(hits[:, i].mean()),
      float(family[:, i].mean()),
    )
    for i, feature in enumerate(asked)
  ]


def _tested(
  feature: Feature,
  same: np.ndarray,
  different: np.ndarray,
  permutation_p: float,
  family_p: float,
) -> FeatureTest:
  result = stats.ttest_ind(same, different, alternative="greater")
  return FeatureTest(
    feature=feature,
    same=float(same.mean()),
    different=float(different.mean()),
    num_same=same.size,
    num_different=different.size,
    t=float(result.statistic),
    student_p=float(result.pvalue),
    permutation_p=permutation_p,
    family_p=family_p,
  )
