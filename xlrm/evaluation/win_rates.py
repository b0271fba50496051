"""How often one set of outputs beats another, with intervals.

An outcome is 1 for a win, 0 for a loss, 1/2 for a tie, or anything between
(soft). The default interval is Wilson's. Wilson inverts
  (rate - p)^2 <= z^2 v(p) / n,   v(p) = p (1 - p) for wins and losses,
and ties enter through the variance: outcomes of 1/2 vary less, by exactly
ties / 4, so here v(p) = p (1 - p) - d with
  d = [rate (1 - rate) - variance of the outcomes] * n / (n + z^2).
d is shrunk a little, so that a hundred ties do not prove that no prompt ever
differs. Without ties d = 0 and the interval is Wilson's to the last digit.
"""

from collections.abc import Callable, Sequence
import dataclasses
import math
import statistics

from jaxtyping import Float
import numpy as np
from scipy import stats

from xlrm.types import checks

Outcomes = Float[np.ndarray, "prompts"]
Scores = Sequence[float] | np.ndarray  # one per prompt
Interval = Callable[[np.ndarray], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class WinRate:
  """Mean outcome, its interval, and what it is made of.

  Attributes:
    rate: mean outcome.
    low: lower end of the interval.
    high: upper end.
    n: outcomes.
    wins: outcomes above one half.
    ties: outcomes of one half.
    losses: outcomes below one half.
    variance: of one outcome (divided by n).
  """

  rate: float
  low: float
  high: float
  n: int
  wins: int
  ties: int
  losses: int
  variance: float


def _upper(confidence: float) -> float:
  """The share below the upper end of an interval: 0.95 -> 0.975."""
  if not 0 < confidence < 1:
    raise ValueError(f"confidence {confidence} is not between 0 and 1")
  return (1 + confidence) / 2


def _z(confidence: float) -> float:
  return statistics.NormalDist().inv_cdf(_upper(confidence))


def _checked(outcomes: np.ndarray) -> np.ndarray:
  outcomes = np.asarray(outcomes, np.float64)
  if outcomes.ndim != 1 or not outcomes.size:
    raise ValueError(f"outcomes of shape {outcomes.shape}: none to average")
  checks.fractions("an outcome", outcomes)
  return outcomes


def score_interval(
  rate: float, variance: float, n: int | float, confidence: float = 0.95
) -> tuple[float, float]:
  """The interval of the module's head, from a mean, a variance and n.

  With a = 1 + z^2/n the ends solve a p^2 - (2 rate + z^2/n) p + rate^2
  + d z^2/n = 0.
  """
  c = _z(confidence) ** 2 / n
  deficit = max(0.0, rate * (1 - rate) - variance) / (1 + c)
  middle = (rate + c / 2) / (1 + c)
  constant = (rate**2 + deficit * c) / (1 + c)
  half = math.sqrt(max(0.0, middle**2 - constant))
  # The rate is inside; rounding may leave 1 or 0 out.
  low, high = min(rate, middle - half), max(rate, middle + half)
  return max(0.0, low), min(1.0, high)


def wilson(outcomes: Outcomes, confidence: float = 0.95) -> tuple[float, float]:
  """Wilson's interval; ties and soft outcomes as in the module's head."""
  outcomes = _checked(outcomes)
  return score_interval(
    float(outcomes.mean()), float(outcomes.var()), outcomes.size, confidence
  )


def clustered(
  means: Scores, sizes: Sequence[int] | np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
  """The mean of clustered observations, and its interval.

  The observations of one cluster depend on each other, e.g. the verdicts of one
  comparison. A cluster is one observation that counts as often as it is large;
  in place of n stands (sum_i size_i)^2 / sum_i size_i^2.

  Args:
    means: of each cluster.
    sizes: observations in each.
  """
  means, sizes = (np.asarray(x, np.float64) for x in (means, sizes))
  rate = float(np.average(means, weights=sizes))
  variance = float(np.average(np.square(means - rate), weights=sizes))
  effective = float(sizes.sum() ** 2 / np.square(sizes).sum())
  return rate, *score_interval(rate, variance, effective, confidence)


def normal(outcomes: Outcomes, confidence: float = 0.95) -> tuple[float, float]:
  """The interval rate +- z sqrt(variance / n), too narrow near 0 or 1."""
  outcomes = _checked(outcomes)
  half = _z(confidence) * math.sqrt(outcomes.var() / outcomes.size)
  return float(outcomes.mean() - half), float(outcomes.mean() + half)


def bootstrap(
  outcomes: Outcomes,
  confidence: float = 0.95,
  *,
  seed: int = 0,
  resamples: int = 2000,
) -> tuple[float, float]:
  """The percentiles of the mean over resampled prompts; pairs stay together."""
  outcomes = _checked(outcomes)
  rng = np.random.Generator(np.random.Philox(seed))
  means = [rng.choice(outcomes, outcomes.size).mean() for _ in range(resamples)]
  tail = (1 - confidence) / 2
  low, high = np.quantile(means, [tail, 1 - tail])
  return float(low), float(high)


def between_runs(
  rates: Scores, confidence: float = 0.95
) -> tuple[float, float]:
  """Student's interval of the mean rate of k runs with seeds of their own.

  mean +- t sqrt(s^2 / k), where s^2 and t have k - 1 degrees of freedom.

  It tells what another seed would give on the same prompts; the other intervals
  here, what other prompts would give with the same seed.
  """
  rates = _checked(np.asarray(rates))
  if rates.size < 2:
    raise ValueError("between runs: there is one run only")
  t = stats.t.ppf(_upper(confidence), rates.size - 1)
  half = float(t) * math.sqrt(rates.var(ddof=1) / rates.size)
  mean = float(rates.mean())
  return max(0.0, mean - half), min(1.0, mean + half)


def _pair(first: Scores, second: Scores) -> tuple[np.ndarray, np.ndarray]:
  first, second = (np.asarray(x, np.float64) for x in (first, second))
  if first.shape != second.shape:
    raise ValueError(f"{first.size} scores cannot be paired with {second.size}")
  for name, scores in (("first", first), ("second", second)):
    if not np.isfinite(scores).all():
      where = int(np.argmin(np.isfinite(scores)))
      raise ValueError(f"score {where} of the {name} is {scores[where]}")
  return first, second


def hard(first: Scores, second: Scores) -> Outcomes:
  """The outcomes: 1 where the first score is higher, 1/2 where equal, else 0.

  [3, 1, 2], [1, 1, 4] -> [1, 1/2, 0]
  """
  first, second = _pair(first, second)
  return 0.5 * (1.0 + np.sign(first - second))


def soft(first: Scores, second: Scores, scale: float = 1.0) -> Outcomes:
  """The outcomes sigmoid((first - second) / scale), a model's probability."""
  checks.positive("scale", scale)
  first, second = _pair(first, second)
  return 0.5 * (1.0 + np.tanh((first - second) / (2 * scale)))


def win_rate(outcomes: Outcomes, interval: Interval = wilson) -> WinRate:
  """The mean of outcomes with its interval."""
  outcomes = _checked(outcomes)
  low, high = interval(outcomes)
  return WinRate(
    rate=float(outcomes.mean()),
    low=low,
    high=high,
    n=int(outcomes.size),
    wins=int((outcomes > 0.5).sum()),
    ties=int((outcomes == 0.5).sum()),
    losses=int((outcomes < 0.5).sum()),
    variance=float(outcomes.var()),
  )


def macro_average(
  parts: Sequence[WinRate], confidence: float = 0.95
) -> WinRate:
  """The mean of the rates of D independent parts, e.g. datasets.

  Parts are equally weighted.

  Its variance is stratified, sum_i variance_i / n_i / D^2. The interval is
  Wilson's with D^2 / sum_i 1/n_i in place of n; of one part it is that part's.
  """
  if not parts:
    raise ValueError("no parts to average")
  count = len(parts)
  rate = sum(part.rate for part in parts) / count
  effective = count**2 / sum(1 / part.n for part in parts)
  variance = sum(part.variance / part.n for part in parts) / count**2
  low, high = score_interval(rate, variance * effective, effective, confidence)
  return WinRate(
    rate,
    low,
    high,
    n=sum(part.n for part in parts),
    wins=sum(part.wins for part in parts),
    ties=sum(part.ties for part in parts),
    losses=sum(part.losses for part in parts),
    variance=variance * effective,
  )
