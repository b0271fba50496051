"""Win rate as it would be if both outputs were equally long.

Judges like long outputs, so a method that only writes more wins, too. As
AlpacaEval 2 does (https://arxiv.org/abs/2404.04475), a logistic regression
explains the outcome by the difference in length, and the difference is then
set to 0:
  P(win) = sigmoid(a + b tanh(d / s)),   rate at d = 0: sigmoid(a),
s the root mean square of d, so that exchanging the two sides mirrors the rate.
Departure: AlpacaEval also regresses on the difficulty of each instruction,
which it learns from a hundred models; one comparison cannot.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from xlrm.evaluation import win_rates

# Precision of the prior N(0, 1 / PRIOR) of a and b: it keeps them finite where
# the outcomes can be told apart completely, and moves them little elsewhere.
PRIOR = 1e-2
MAX_STEPS = 100


@dataclasses.dataclass(frozen=True)
class LengthControlled:
  """A win rate with the effect of length taken off.

  Attributes:
    rate: at equal lengths.
    low: lower end of its interval.
    high: upper end.
    n: outcomes.
    raw: mean outcome, as it is.
    slope: b; above 0: the longer output wins.
    mean_difference: of the lengths, ours - theirs.
  """

  rate: float
  low: float
  high: float
  n: int
  raw: float
  slope: float
  mean_difference: float


def _sigmoid(x: np.ndarray) -> np.ndarray:
  return 0.5 * (1.0 + np.tanh(x / 2))


def _fit(features: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
  """Maximum of sum y log p + (1 - y) log(1 - p) - PRIOR |w|^2 / 2, by Newton
  steps that are halved until they do not worsen it."""

  def objective(weights: np.ndarray) -> float:
    logits = features @ weights
    fit = np.sum(outcomes * logits - np.logaddexp(0.0, logits))
    return float(fit - PRIOR * weights @ weights / 2)

  weights = np.zeros(features.shape[1])
  for _ in range(MAX_STEPS):
    chance = _sigmoid(features @ weights)
    slope = features.T @ (outcomes - chance) - PRIOR * weights
    curvature = _curvature(features, chance)
    step = np.linalg.solve(curvature, slope)
    while objective(weights + step) < objective(weights) - 1e-12:
      step = step / 2
    weights = weights + step
    if np.abs(step).max() < 1e-10:
      break
  return weights


def _curvature(features: np.ndarray, chance: np.ndarray) -> np.ndarray:
  weighted = features * (chance * (1 - chance))[:, None]
  return features.T @ weighted + PRIOR * np.eye(features.shape[1])


def _interval(
  features: np.ndarray,
  outcomes: np.ndarray,
  weights: np.ndarray,
  confidence: float,
) -> tuple[float, float]:
  chance = _sigmoid(features @ weights)
  rate = float(_sigmoid(weights[:1])[0])
  inverse = np.linalg.inv(_curvature(features, chance))
  spread = rate * (1 - rate)  # d rate / d a
  size = min(1 / float(spread * inverse[0, 0]), float(outcomes.size))
  scores = features * (outcomes - chance)[:, None]
  sandwich = (inverse @ (scores.T @ scores) @ inverse)[0, 0]
  variance = spread**2 * sandwich * size
  return win_rates.score_interval(rate, float(variance), size, confidence)


def _differences(
  count: int,
  lengths: Sequence[int | float] | np.ndarray,
  baseline_lengths: Sequence[int | float] | np.ndarray,
) -> np.ndarray:
  """The differences of the lengths, ours - theirs, of `count` outcomes."""
  ours, theirs = (
    np.asarray(x, np.float64) for x in (lengths, baseline_lengths)
  )
  if not ours.shape == theirs.shape == (count,):
    raise ValueError(
      f"{count} outcomes, {ours.size} lengths and {theirs.size} baseline "
      "lengths: one of each per prompt is expected"
    )
  found = ours - theirs
  if not np.isfinite(found).all():
    where = int(np.argmin(np.isfinite(found)))
    raise ValueError(f"a length of prompt {where} is not finite")
  return found


def length_controlled(
  outcomes: Sequence[int | float] | np.ndarray,
  lengths: Sequence[int | float] | np.ndarray,
  baseline_lengths: Sequence[int | float] | np.ndarray,
  confidence: float = 0.95,
) -> LengthControlled:
  """The win rate at equal lengths, with its interval.

  The interval is that of `win_rates` with the number of outcomes that would
  tell as much without lengths, 1 / (rate (1 - rate) v), v the variance of a by
  the model. The variance of an outcome comes from the sandwich
  H^-1 (sum x x' (y - p)^2) H^-1, which stays right for ties and soft outcomes.

  Args:
    outcomes: [prompts] in [0, 1]; 1 where ours wins.
    lengths: [prompts] of our outputs, in words or tokens.
    baseline_lengths: [prompts] of the others.
    confidence: of the interval.

  Raises:
    ValueError: none, not in range, not of one length, not finite.
  """
  raw = win_rates.win_rate(np.asarray(outcomes, np.float64))
  values = np.asarray(outcomes, np.float64)
  difference = _differences(values.size, lengths, baseline_lengths)
  scale = math.sqrt(float(np.mean(difference**2))) or 1.0
  features = np.stack([np.ones_like(values), np.tanh(difference / scale)], 1)
  weights = _fit(features, values)
  rate = float(_sigmoid(weights[:1])[0])
  low, high = _interval(features, values, weights, confidence)
  return LengthControlled(
    rate=rate,
    low=low,
    high=high,
    n=raw.n,
    raw=raw.rate,
    slope=float(weights[1]),
    mean_difference=float(difference.mean()),
  )
