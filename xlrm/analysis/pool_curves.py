"""Win rate against n: what best-of-k is worth for every k, from one pool.

Every subset of a pool is as good a sample as the pool, so the mean over all
subsets of size k and all opponents outside the subset is unbiased for
best-of-k against one more sample; no sample ever meets itself. A pool of m
samples serves k up to m - 1: to reach k = n, draw n + 1.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
import statistics

from jaxtyping import Float
import numpy as np

from xlrm.best_of_n import estimators


@dataclasses.dataclass(frozen=True)
class Pool:
  """The samples of one prompt.

  Attributes:
    proxy: scores by which the best is chosen (the reward model).
    judged: scores by which it wins (the judge), of the same samples.
    logprobs: of the samples, see `best_of_n.kl_estimate`; None where they are
      not those of the draws.
  """

  proxy: Float[np.ndarray, "samples"]
  judged: Float[np.ndarray, "samples"]
  logprobs: Float[np.ndarray, "samples"] | None = None


@dataclasses.dataclass(frozen=True)
class CurvePoint:
  """Best-of-k over prompts.

  Attributes:
    k: samples chosen from.
    win_rate: over one sample of the same policy, ties one half.
    low: lower end of the 95% interval over prompts.
    high: upper end.
    score: mean judge score of the chosen sample.
    score_low: lower end of its 95% interval.
    score_high: upper end.
    n: prompts.
    kl_estimate: mean estimate of its KL divergence from the policy, in nats;
      None without log-probabilities.
  """

  k: int
  win_rate: float
  low: float
  high: float
  score: float
  score_low: float
  score_high: float
  n: int
  kl_estimate: float | None = None

  @property
  def kl_bound(self) -> float:
    """Upper bound of that divergence, see `best_of_n.kl_bound`."""
    return estimators.kl_bound(self.k)


Curves = Mapping[tuple[str, str], Sequence[CurvePoint]]


def _mean_interval(
  values: Float[np.ndarray, "prompts"],
) -> tuple[float, float, float]:
  """Mean and its normal interval; values per prompt are averages already."""
  mean = float(values.mean())
  if values.size < 2:
    return mean, -math.inf, math.inf
  z = statistics.NormalDist().inv_cdf(0.975)
  half = z * float(values.std(ddof=1)) / math.sqrt(values.size)
  return mean, mean - half, mean + half


def sizes(limit: int) -> list[int]:
  """1, 2, 4, ... and the limit itself: 15 -> [1, 2, 4, 8, 15]."""
  powers = [2**i for i in range(limit.bit_length())]
  return sorted({k for k in powers if k <= limit} | {limit})


def win_rate_curve(pools: Sequence[Pool]) -> list[CurvePoint]:
  """Best-of-k for k = 1, 2, 4, ... up to one less than the pools' size.

  Raises:
    ValueError: no pools, pools of several sizes, or fewer than 2 samples.
  """
  if not pools:
    raise ValueError("no pools to draw a curve from")
  shapes = {pool.proxy.shape for pool in pools}
  shapes |= {pool.judged.shape for pool in pools}
  if len(shapes) > 1:
    raise ValueError(f"pools of several sizes: {sorted(shapes)}")
  proxy = np.stack([pool.proxy for pool in pools])
  judged = np.stack([pool.judged for pool in pools])
  wins = estimators.best_of_k_win_rate(proxy, judged)
  scores = estimators.expected_best_of_k(proxy, judged)
  divergence = None
  if all(pool.logprobs is not None for pool in pools):
    logprobs = np.stack([pool.logprobs for pool in pools])
    divergence = estimators.expected_kl_estimate(proxy, logprobs).mean(axis=0)
  points = []
  for k in sizes(wins.shape[1]):
    rate, low, high = _mean_interval(wins[:, k - 1])
    points.append(
      CurvePoint(
        k,
        rate,
        max(0.0, low),
        min(1.0, high),
        *_mean_interval(scores[:, k - 1]),
        n=len(pools),
        kl_estimate=None if divergence is None else float(divergence[k - 1]),
      )
    )
  return points
