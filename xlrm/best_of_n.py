"""Best-of-n: choosing, and what a choice of k from n is worth.

One pool of n samples per prompt serves every k <= n: the expected value of
the best of k is an order statistic. Bounds and the KL estimator follow
https://arxiv.org/abs/2401.01879 (Beirami et al. 2024).
"""

import math

import numpy as np


def select(scores: np.ndarray) -> np.ndarray:
  """[.. N] -> [..] index of the highest score; ties go to the first drawn."""
  scores = np.asarray(scores)
  if scores.shape[-1] == 0:
    raise ValueError("there is nothing to select from: n = 0")
  if np.isnan(scores).any():
    raise ValueError("a score is NaN")
  return np.argmax(scores, axis=-1)


def order_statistic_weights(n: int, k: int) -> np.ndarray:
  """[n] probability that the i-th lowest of n is the best of k drawn.

  w_i = C(i-1, k-1) / C(n, k), i = 1..n
  """
  if not 1 <= k <= n:
    raise ValueError(f"k {k} is not in [1, {n}]")
  total = math.comb(n, k)
  return np.asarray([math.comb(i, k - 1) / total for i in range(n)])


def expected_best_of_k(
  scores: np.ndarray, values: np.ndarray, k: int
) -> np.ndarray:
  """[.. N], [.. N] -> [..] mean value of the choice of the best of k by score.

  Unbiased over all subsets of size k. Responses with equal scores share the
  probability of their places (a choice among them at random).
  """
  scores = np.asarray(scores, np.float64)
  values = np.asarray(values, np.float64)
  if scores.shape != values.shape:
    raise ValueError(f"scores {scores.shape} and values {values.shape} differ")
  weights = order_statistic_weights(scores.shape[-1], k)
  flat = zip(
    scores.reshape(-1, scores.shape[-1]), values.reshape(-1, values.shape[-1])
  )
  means = [_one_pool(s, v, weights) for s, v in flat]
  return np.asarray(means).reshape(scores.shape[:-1])


def _one_pool(
  scores: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> float:
  order = np.argsort(scores, kind="stable")
  ranked = scores[order]
  _, group = np.unique(ranked, return_inverse=True)
  mass = np.bincount(group, weights) / np.bincount(group)
  return float(np.dot(mass[group], values[order]))


def kl_bound(n: int) -> float:
  """log n - (n-1)/n nats: an upper bound of KL(best-of-n || policy)."""
  if n < 1:
    raise ValueError(f"n {n} is below 1")
  return math.log(n) - (n - 1) / n


def kl_estimate(log_probability: np.ndarray, n: int) -> np.ndarray:
  """Estimate of KL(best-of-n || policy) from the chosen responses, in nats.

  With e = pi(y | x) of the chosen response:
  D = (1-e)^n [log n + (n-1) log(1-e) - (n-1)/n]
      + (1 - (1-e)^n) log[(1 - (1-e)^n) / e],     0 <= D <= kl_bound(n)

  Args:
    log_probability: [..] log e, nats; an e that underflows gives the bound.
    n: size of the pool.
  """
  bound = kl_bound(n)
  log_e = np.minimum(np.asarray(log_probability, np.float64), 0.0)
  e = np.exp(log_e)
  with np.errstate(divide="ignore", invalid="ignore"):
    log_rest = np.log1p(-e)  # log(1-e)
    none = np.exp(n * log_rest)  # (1-e)^n
    some = -np.expm1(n * log_rest)  # 1-(1-e)^n
    first = np.where(none > 0, none * (bound + (n - 1) * log_rest), 0.0)
    second = some * (np.log(some) - log_e)
  estimate = np.where(e > 0, first + second, bound)
  return np.clip(estimate, 0.0, bound)


def win_rate_bound(n: int) -> float:
  """n/(n+1): no choice from n beats one more sample more often (same score)."""
  if n < 1:
    raise ValueError(f"n {n} is below 1")
  return n / (n + 1)


def soft_choice(scores: np.ndarray, temperature: float) -> np.ndarray:
  """[.. N] -> [.. N] probability of choosing each: softmax(scores / lambda)."""
  if temperature <= 0:
    raise ValueError(f"temperature {temperature} is not above 0; see `select`")
  scaled = np.asarray(scores, np.float64) / temperature
  weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
  return weights / weights.sum(axis=-1, keepdims=True)
