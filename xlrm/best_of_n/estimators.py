"""Best-of-n: the sample that a reward model likes best, and what it is worth.

One pool of n samples serves every k <= n: averages over all subsets of the
pool have closed forms, which are unbiased. Scores and results are NumPy
arrays in float64; the last axis is the pool, in the order drawn. The KL
divergence is bounded and estimated as in https://arxiv.org/abs/2401.01879.
"""

import math

from jaxtyping import Float, Int
import numpy as np

from xlrm import types
from xlrm.types import checks


def _checked(scores: np.ndarray) -> np.ndarray:
  scores = np.asarray(scores, np.float64)
  if scores.ndim < 1 or scores.shape[-1] < 1:
    raise ValueError(f"scores of shape {scores.shape} hold no pool of samples")
  if not np.isfinite(scores).all():
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(scores))[0])
    raise ValueError(f"the score at {where} is {scores[where]}, not finite")
  return scores


def select(
  scores: Float[types.Array, "*prompts N"],
) -> Int[types.Array, "*prompts"]:
  """The index of the best sample; of equal ones the first drawn.

  [0.1, 0.7, 0.7] -> 1

  Raises:
    ValueError: a score is not finite.
  """
  return np.argmax(_checked(scores), axis=-1)


def _best_last(scores: np.ndarray) -> np.ndarray:
  """Order by score; among equals the first drawn, which `select` takes, last.

  [1, 3, 3, 2] -> [0, 3, 2, 1]
  """
  return np.argsort(-scores, axis=-1, kind="stable")[..., ::-1]


def _weights(n: int) -> np.ndarray:
  """w[k-1, i-1] = C(i-1, k-1) / C(n, k): is the i-th worst the best of k?

  By products of ratios, w[k, n] = k/n and w[k, i-1] = w[k, i] (i-k)/(i-1),
  since binomial coefficients overflow.
  """
  k = np.arange(1, n + 1)[:, None]
  i = np.arange(n, 1, -1)[None]
  ratios = np.maximum(i - k, 0) / (i - 1)
  downwards = np.cumprod(np.concatenate([k / n, ratios], axis=1), axis=1)
  return downwards[:, ::-1]


def expected_best_of_k(
  scores: Float[types.Array, "*prompts N"],
  judged: Float[types.Array, "*prompts N"] | None = None,
) -> Float[types.Array, "*prompts N"]:
  """The expected score of the best of k samples, for k = 1 .. n, unbiased.

  sum over i of C(i-1, k-1) / C(n, k) r_(i), the mean over all subsets of size
  k of the pool. [0, 1, 2] -> [1, 5/3, 2]

  Args:
    scores: by which the best is selected.
    judged: what is averaged, another judge's scores of the same samples; None
      means `scores` themselves.
  """
  scores = _checked(scores)
  judged = scores if judged is None else _checked(judged)
  ordered = np.take_along_axis(judged, _best_last(scores), axis=-1)
  return ordered @ _weights(scores.shape[-1]).T


def best_of_k_win_rate(
  scores: Float[types.Array, "*prompts N"],
  judged: Float[types.Array, "*prompts N"] | None = None,
) -> Float[types.Array, "*prompts M"]:
  """The win rate of the best of k over one more sample, for k = 1 .. n-1.

  Ties count one half. The mean over all subsets of size k of the pool and all
  opponents outside the subset, so it is unbiased: the i-th worst is the best
  of C(i-2, k-1) subsets that leave out a given worse opponent and of
  C(i-1, k-1) that leave out a given better one.

  Args:
    scores: by which the best is selected.
    judged: by which it wins; None means `scores` themselves.
  """
  scores = _checked(scores)
  judged = scores if judged is None else _checked(judged)
  n = scores.shape[-1]
  if n < 2:
    raise ValueError("a win rate needs a pool of at least 2 samples, not 1")
  ordered = np.take_along_axis(judged, _best_last(scores), axis=-1)
  margin = ordered[..., :, None] - ordered[..., None, :]
  wins = 0.5 * (1.0 + np.sign(margin))
  over_worse = np.tril(wins, -1).sum(axis=-1)
  over_better = np.triu(wins, 1).sum(axis=-1)
  # C(n, k) (n - k) = n C(n-1, k)
  weights = _weights(n - 1) / n
  return over_worse[..., 1:] @ weights.T + over_better[..., :-1] @ weights.T


def soft_best_of_n(
  scores: Float[types.Array, "*prompts N"], scale: float
) -> Float[types.Array, "*prompts N"]:
  """The probabilities of picking each sample, like exp(score / scale).

  Args:
    scores: of the pool.
    scale: lambda > 0; towards 0 it is best-of-n, large it is one sample.
  """
  checks.positive("scale", scale)
  scores = _checked(scores)
  unnormed = np.exp((scores - scores.max(axis=-1, keepdims=True)) / scale)
  return unnormed / unnormed.sum(axis=-1, keepdims=True)


def win_rate_bound(n: int) -> float:
  """The most that best-of-n wins over one sample, by one judge: n / (n+1)."""
  checks.at_least("n", n, 1)
  return n / (n + 1)


def kl_bound(n: int) -> float:
  """An UPPER BOUND of KL(best-of-n || policy) in nats: log n - (n-1)/n.

  It is reached only if no two samples are ever equal.
  """
  checks.at_least("n", n, 1)
  return math.log(n) - (n - 1) / n


def kl_estimate(
  logprobs: Float[types.Array, "*prompts"], n: int
) -> Float[types.Array, "*prompts"]:
  """An ESTIMATE of KL(best-of-n || policy) in nats from the selected sample.

  With e the policy's probability of the selected response and q = (1-e)^n:
    q [log n + (n-1) log(1-e) - (n-1)/n] + (1-q) log((1-q) / e),
  between 0 and `kl_bound(n)`, and the bound itself where e underflows.
  Average it over prompts.

  Args:
    logprobs: log e, the log-probability of each selected response (the sum
      over its tokens, EOS included), <= 0, under the distribution that was
      sampled from: not top-k or top-p.
    n: size of the pools.
  """
  bound = kl_bound(n)
  # Rounding may leave a certain response a little above 0.
  log_e = np.minimum(np.asarray(logprobs, np.float64), 0.0)
  with np.errstate(divide="ignore", invalid="ignore"):
    log_miss = np.log1p(-np.exp(log_e))  # log(1-e)
    q, hit = np.exp(n * log_miss), -np.expm1(n * log_miss)
    new = np.where(q > 0, q * (bound + (n - 1) * log_miss), 0.0)
    old = np.where(hit > 0, hit * (np.log(hit) - log_e), np.nan)
  return np.clip(np.nan_to_num(new + old, nan=bound), 0.0, bound)


def expected_kl_estimate(
  scores: Float[types.Array, "*prompts N"],
  logprobs: Float[types.Array, "*prompts N"],
) -> Float[types.Array, "*prompts N"]:
  """The `kl_estimate` of the best of k samples, for k = 1 .. n.

  The mean over all subsets of size k of the pool, as in `expected_best_of_k`.

  Args:
    scores: by which the best is selected.
    logprobs: of the samples, see `kl_estimate`.
  """
  scores = _checked(scores)
  order = _best_last(scores)
  ordered = np.take_along_axis(np.asarray(logprobs, float), order, axis=-1)
  n = scores.shape[-1]
  estimates = [kl_estimate(ordered, k) for k in range(1, n + 1)]
  return np.einsum("k...i,ki->...k", np.stack(estimates), _weights(n))
