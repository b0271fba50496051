"""Whether sigmoid(score) is the probability of a good response.

Reliability curve, expected calibration error and Brier score, before and
after one temperature is fitted (https://arxiv.org/abs/1706.04599): a reward
model may rank a new language's responses well and be too sure of itself there.
"""

from collections.abc import Sequence
import dataclasses

from jaxtyping import Float
import numpy as np

NUM_BINS = 10
HOTTEST = 1e4  # the largest temperature: scores say nothing, or the opposite
Numbers = Sequence[float] | np.ndarray


@dataclasses.dataclass(frozen=True)
class Bin:
  """Responses of similar predicted probability.

  Attributes:
    predicted: mean of sigmoid(score / temperature).
    observed: mean rating.
    n: responses.
  """

  predicted: float
  observed: float
  n: int


@dataclasses.dataclass(frozen=True)
class Calibration:
  """How far predicted probabilities are from ratings.

  Attributes:
    temperature: scores were divided by it.
    log_loss: mean of softplus(r) - z r, in nats.
    brier: mean of (sigmoid(r) - z)^2.
    ece: sum over bins of their share times |predicted - observed|.
    bins: those of equal width in [0, 1] that hold a response.
  """

  temperature: float
  log_loss: float
  brier: float
  ece: float
  bins: tuple[Bin, ...]


def probabilities(scores: Numbers) -> Float[np.ndarray, " n"]:
  """sigmoid(score), without overflow."""
  scores = np.asarray(scores, np.float64)
  return 0.5 * (1.0 + np.tanh(0.5 * scores))


def log_loss(scores: Numbers, ratings: Numbers) -> float:
  """Mean of softplus(r) - z r, in nats."""
  scores = np.asarray(scores, np.float64)
  return float(
    np.mean(np.logaddexp(0.0, scores) - np.asarray(ratings) * scores)
  )


def fit_temperature(scores: Numbers, ratings: Numbers) -> float:
  """The T > 0 with the least log loss of score / T, at most HOTTEST.

  The loss is convex in 1/T, with derivative mean of r (sigmoid(r / T) - z);
  its zero is found by bisection.
  """
  scores = np.asarray(scores, np.float64)
  ratings = np.asarray(ratings, np.float64)
  if not scores.size or scores.shape != ratings.shape:
    raise ValueError(f"{scores.size} scores for {ratings.size} ratings")

  def derivative(log_inverse: float) -> float:
    inverse = np.exp(log_inverse)
    return float(np.mean(scores * (probabilities(scores * inverse) - ratings)))

  low, high = -np.log(HOTTEST), np.log(HOTTEST)
  for _ in range(80):
    middle = 0.5 * (low + high)
    low, high = (low, middle) if derivative(middle) > 0 else (middle, high)
  return float(np.exp(-0.5 * (low + high)))


def calibration(
  scores: Numbers,
  ratings: Numbers,
  temperature: float = 1.0,
  num_bins: int = NUM_BINS,
) -> Calibration:
  """The calibration of scores / temperature as log odds of a good response.

  Args:
    scores: r.
    ratings: z in [0, 1].
  """
  scaled = np.asarray(scores, np.float64) / temperature
  ratings = np.asarray(ratings, np.float64)
  if not scaled.size or scaled.shape != ratings.shape:
    raise ValueError(f"{scaled.size} scores for {ratings.size} ratings")
  predicted = probabilities(scaled)
  places = np.minimum((predicted * num_bins).astype(int), num_bins - 1)
  bins = tuple(
    Bin(
      float(predicted[own].mean()), float(ratings[own].mean()), int(own.sum())
    )
    for own in (places == i for i in range(num_bins))
    if own.any()
  )
  return Calibration(
    temperature=float(temperature),
    log_loss=log_loss(scaled, ratings),
    brier=float(np.mean(np.square(predicted - ratings))),
    ece=sum(x.n * abs(x.predicted - x.observed) for x in bins) / scaled.size,
    bins=bins,
  )
