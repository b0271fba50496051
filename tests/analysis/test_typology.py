"""Feature tests against slow loops; permutation p-values against the null."""

import itertools

import numpy as np
import pytest
from scipy import stats

from xlrm.analysis import pair_tables
from xlrm.analysis import typology

LANGUAGES = ("a", "b", "c", "d", "e", "f")


def feature(values, identifier="1"):
  return typology.Feature(identifier, "f", dict(zip(LANGUAGES, values)))


def table(rng, languages=LANGUAGES):
  """Rates with strong effects of source and of target, and little else."""
  size = len(languages)
  rates = (
    rng.normal(size=(size, 1)) + rng.normal(size=(1, size)) * 2
  ) + rng.normal(size=(size, size)) * 0.5
  values = {
    (s, t): float(rates[i, j])
    for (i, s), (j, t) in itertools.product(enumerate(languages), repeat=2)
  }
  return pair_tables.PairTable("m", "j", languages, languages, values)


def split(values, rates):
  """Numbers of the pairs with the same value, and of the others."""
  same, different = [], []
  for (s, t), rate in rates.items():
    if s != t:
      (same if values[s] == values[t] else different).append(rate)
  return same, different


@pytest.mark.parametrize("values", ["aabbcc", "aaaabb", "abbbbb", "abcdee"])
def test_student_and_permutations_by_slow_loops(values):
  rates = table(np.random.default_rng(0))
  asked = feature(values)
  (found,) = typology.feature_tests([asked], rates)
  same, different = split(asked.values, rates.values)
  expected = stats.ttest_ind(same, different, alternative="greater")
  assert (found.t, found.student_p) == pytest.approx(
    (expected.statistic, expected.pvalue)
  )
  assert (found.num_same, found.num_different) == (len(same), len(different))
  hits = 0
  for order in itertools.permutations(values):
    permuted = dict(zip(LANGUAGES, order))
    again = stats.ttest_ind(*split(permuted, rates.values)).statistic
    hits += again >= expected.statistic - 1e-9
  assert found.permutation_p == pytest.approx(hits / 720)
  assert found.family_p == found.permutation_p  # a family of one


def test_family_p_is_that_of_the_largest_statistic():
  rates = table(np.random.default_rng(3))
  features = [feature("aabbcc", "x"), feature("aaabbc", "y")]
  found = typology.feature_tests(features, rates)
  hits = [0, 0]
  for order in itertools.permutations(range(6)):
    largest = max(
      stats.ttest_ind(
        *split(
          {
            language: asked.values[LANGUAGES[k]]
            for language, k in zip(LANGUAGES, order)
          },
          rates.values,
        )
      ).statistic
      for asked in features
    )
    hits = [h + (largest >= x.t - 1e-9) for h, x in zip(hits, found)]
  assert [x.family_p for x in found] == pytest.approx([h / 720 for h in hits])


def test_g27_permutation_p_values_are_uniform_where_students_are_not():
  rng = np.random.default_rng(1)
  # 180 different assignments; one language apart, as WALS 1A sets Russian
  asked = [feature("aabccd", "x"), feature("abbbbb", "y")]
  permuted, student, smallest = [], [], []
  for _ in range(400):
    mixed, apart = typology.feature_tests(asked, table(rng))
    permuted.append(mixed.permutation_p)
    student.append(apart.student_p)
    smallest.append(apart.permutation_p)
  assert stats.kstest(permuted, "uniform").pvalue > 0.01
  assert np.mean(np.array(permuted) <= 0.05) <= 0.08
  # Ten pairs that share a language are not ten observations
  assert np.mean(np.array(student) <= 0.05) >= 0.12
  assert min(smallest) == pytest.approx(1 / 6)
  assert np.mean(np.array(smallest) < 0.2) == pytest.approx(1 / 6, abs=0.05)


def test_sampled_permutations_for_many_languages():
  languages = tuple("abcdefghij")
  rates = table(np.random.default_rng(2), languages)
  values = dict(zip(languages, "xxxyyyzzzw"))
  asked = [typology.Feature("1", "f", values)]
  one, two = (
    typology.feature_tests(asked, rates, permutations=800, seed=seed)[0]
    for seed in (0, 1)
  )
  assert one.permutation_p == pytest.approx(two.permutation_p, abs=0.08)
  again = typology.feature_tests(asked, rates, permutations=800)
  assert again == [one]


def test_features_without_a_comparison_are_left_out():
  rates = table(np.random.default_rng(0))
  features = [feature("aaaaaa"), feature("abcdef"), feature("aabbbb", "ok")]
  found = typology.feature_tests(features, rates)
  assert [x.feature.identifier for x in found] == ["ok"]


def test_g28_a_feature_without_a_value_is_named():
  asked = typology.Feature("9A", "f", {"a": "1"})
  with pytest.raises(ValueError, match="9A has no 'b'"):
    typology.feature_tests([asked], table(np.random.default_rng(0)))
