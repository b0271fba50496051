"""Is one source better than another on the same prompts, and is it still so
after many comparisons?

Two sets of outcomes (1 a win over the baseline, 1/2 a tie, 0 a loss) that
answer the same prompts are compared prompt by prompt: only the differences
count. P-values are two-sided.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np
from scipy import stats

from xlrm.types import checks

Outcomes = Sequence[int | float] | np.ndarray  # one per prompt
PValues = Sequence[float] | np.ndarray  # one per comparison


@dataclasses.dataclass(frozen=True)
class PairedTest:
  """The comparison of two sets of outcomes on the same prompts.

  Attributes:
    difference: mean of first - second.
    better: prompts on which the first is higher.
    worse: prompts on which it is lower.
    n: prompts, those without a difference included.
    p: two-sided p-value.
  """

  difference: float
  better: int
  worse: int
  n: int
  p: float


def _differences(first: Outcomes, second: Outcomes) -> np.ndarray:
  first, second = (np.asarray(x, np.float64) for x in (first, second))
  if first.ndim != 1 or first.shape != second.shape or not first.size:
    raise ValueError(
      f"{first.size} outcomes cannot be paired with {second.size}: one of each "
      "per prompt"
    )
  found = first - second
  if not np.isfinite(found).all():
    raise ValueError(
      f"the outcomes of prompt {int(np.argmin(np.isfinite(found)))} are not "
      "finite"
    )
  return found


def _paired(found: np.ndarray, p: float) -> PairedTest:
  return PairedTest(
    difference=float(found.mean()),
    better=int((found > 0).sum()),
    worse=int((found < 0).sum()),
    n=int(found.size),
    p=p,
  )


def sign_test(first: Outcomes, second: Outcomes) -> PairedTest:
  """The exact sign test; of wins and losses it is McNemar's exact test.

  Of the prompts with a difference, under the null each favours the first with
  probability 1/2; [1, 1, 1, 0], [0, 0, 1, 0] -> 2 against 0, p = 2 (1/2)^2
  """
  found = _differences(first, second)
  better, differing = int((found > 0).sum()), int((found != 0).sum())
  if not differing:
    return _paired(found, 1.0)
  return _paired(found, float(stats.binomtest(better, differing).pvalue))


def permutation_test(
  first: Outcomes,
  second: Outcomes,
  *,
  seed: int = 0,
  resamples: int = 9999,
) -> PairedTest:
  """The paired permutation test of the mean difference.

  Under the null the two outcomes of a prompt may be exchanged. All exchanges
  if there are no more than `resamples`, otherwise a sample of them, which
  counts what was observed: p = (1 + hits) / (1 + resamples).
  """
  checks.at_least("resamples", resamples, 1)
  found = _differences(first, second)
  changed = found[found != 0]  # the others change no mean
  if not changed.size:
    return _paired(found, 1.0)
  if changed.size == 1:
    return _paired(found, 1.0)  # either sign is as likely
  result = stats.permutation_test(
    (changed,),
    lambda x, axis: np.mean(x, axis=axis),
    permutation_type="samples",
    vectorized=True,
    n_resamples=resamples,
    batch=max(1, 10**6 // changed.size),
    rng=np.random.Generator(np.random.Philox(seed)),
  )
  return _paired(found, float(result.pvalue))


def _checked(p_values: PValues) -> np.ndarray:
  found = np.asarray(p_values, np.float64)
  wrong = ~((found >= 0) & (found <= 1))
  if found.ndim != 1 or not found.size or wrong.any():
    shown = f"one is {found[wrong][0]}" if wrong.any() else "there is none"
    raise ValueError(f"p-values in [0, 1] are expected; {shown}")
  return found


def bonferroni(p_values: PValues, family: int | None = None) -> np.ndarray:
  """The adjusted p-values min(1, m p): the chance of any false finding.

  Args:
    p_values: of the tests that were done.
    family: m, if more tests belong to the family than are listed.
  """
  found = _checked(p_values)
  size = found.size if family is None else family
  if size < found.size:
    raise ValueError(f"a family of {size} cannot hold {found.size} tests")
  return np.minimum(1.0, size * found)


def holm(p_values: PValues) -> np.ndarray:
  """The p-values of Holm's step-down: as safe as Bonferroni's, never weaker.

  In ascending order p_(i) -> max over j <= i of min(1, (m - j + 1) p_(j)).
  [.01, .04, .03] -> [.03, .06, .06]
  """
  found = _checked(p_values)
  order = np.argsort(found, kind="stable")
  scaled = (found.size - np.arange(found.size)) * found[order]
  result = np.empty_like(found)
  result[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
  return result


def benjamini_hochberg(p_values: PValues) -> np.ndarray:
  """The adjusted p-values that bound the share of false findings among all.

  [.01, .04, .03] -> [.03, .04, .04]
  """
  return stats.false_discovery_control(_checked(p_values), method="bh")
