"""How well a reward model tells good responses from bad ones.

A response is predicted good if its score is above 0 (sigmoid above one half).
Accuracy says nothing alone: a row holds it beside the majority class and
beside the best guess from length alone, both chosen on training data, and per
kind of fault. Of rankings the accuracy is that of pairs, averaged over prompts.
"""

from collections.abc import Sequence
import dataclasses

from jaxtyping import Bool, Float
import numpy as np

from xlrm.evaluation import win_rates
from xlrm.types import checks

Numbers = Sequence[float] | Sequence[int] | np.ndarray  # one per response
NO_FAULT = "none"


@dataclasses.dataclass(frozen=True)
class LengthBaseline:
  """The guess that what is longer (or not longer) than a threshold is good."""

  threshold: float
  longer_is_better: bool

  def predict(self, lengths: Numbers) -> Bool[np.ndarray, "rows"]:
    """True where a response of such a length is predicted good."""
    return (np.asarray(lengths) > self.threshold) == self.longer_is_better


@dataclasses.dataclass(frozen=True)
class FaultAccuracy:
  """The responses with one fault.

  Attributes:
    n: how many.
    accuracy: share of them that are predicted bad.
    low: lower end of its Wilson interval.
    high: upper end.
    auc: probability that a good response scores above one of them.
  """

  n: int
  accuracy: float
  low: float
  high: float
  auc: float


@dataclasses.dataclass(frozen=True)
class AccuracyRow:
  """One reward model on the held-out ratings of one language.

  Attributes:
    reward_model: its name, in a study its source language.
    language: of the rated responses.
    n: ratings, or prompts with a ranking.
    accuracy: share that it predicts right.
    low: lower end of the 95% Wilson interval.
    high: upper end.
    majority: accuracy of always predicting the commoner class of training
      ratings; one half for rankings.
    length: accuracy of the length baseline.
    auc: probability that a good response scores above a bad one; of rankings,
      that a difference in the right direction is above one in the wrong.
    by_fault: fault -> its accuracy.
    heads: of how many random heads these are means; 1 for a trained model.
    spread: 10th and 90th percentile of the single heads' accuracies.
  """

  reward_model: str
  language: str
  n: int
  accuracy: float
  low: float
  high: float
  majority: float
  length: float
  auc: float
  by_fault: dict[str, FaultAccuracy] = dataclasses.field(default_factory=dict)
  heads: int = 1
  spread: tuple[float, ...] = ()

  @property
  def gain(self) -> float:
    """Accuracy beyond the better of the two baselines."""
    return self.accuracy - max(self.majority, self.length)


def _is_good(ratings: Numbers) -> np.ndarray:
  ratings = np.asarray(ratings, np.float64)
  checks.fractions("a rating", ratings)
  return ratings > 0.5


def majority_class(ratings: Numbers) -> bool:
  """Whether most of the ratings are good; of TRAINING rows."""
  return bool(_is_good(ratings).mean() >= 0.5)


def fit_length_baseline(
  lengths: Numbers, ratings: Numbers, *, pairs: bool = False
) -> LengthBaseline:
  """The threshold and direction with the highest accuracy on TRAINING rows.

  lengths [1, 2, 8, 9], ratings [1, 1, 0, 0] -> threshold 2, shorter is better

  Args:
    pairs: lengths are differences; the threshold is 0.
  """
  lengths, good = np.asarray(lengths, np.float64), _is_good(ratings)
  if lengths.shape != good.shape or not good.size:
    raise ValueError(f"{lengths.size} lengths for {good.size} ratings")
  thresholds = [0.0] if pairs else [lengths.min() - 1, *np.unique(lengths)]
  candidates = [
    LengthBaseline(float(threshold), longer)
    for threshold in thresholds
    for longer in (True, False)
  ]
  return max(candidates, key=lambda x: (x.predict(lengths) == good).mean())


def auc(good: Numbers, bad: Numbers) -> float:
  """Probability that a good score is above a bad one, ties one half.

  One half if there are none of either. [2, 3], [1, 2] -> 7/8
  """
  good, bad = np.asarray(good, np.float64), np.sort(bad)
  if not good.size or not bad.size:
    return 0.5
  below = np.searchsorted(bad, good, "left")
  not_above = np.searchsorted(bad, good, "right")
  return float((below + not_above).mean() / (2 * bad.size))


def _fault(
  scores: Float[np.ndarray, "faulty"], good: Float[np.ndarray, "good"]
) -> FaultAccuracy:
  outcomes = (scores <= 0).astype(np.float64)
  low, high = win_rates.wilson(outcomes)
  return FaultAccuracy(
    n=int(scores.size),
    accuracy=float(outcomes.mean()),
    low=low,
    high=high,
    auc=auc(good, scores),
  )


def _by_fault(
  scores: np.ndarray, good: np.ndarray, faults: Sequence[str]
) -> dict[str, FaultAccuracy]:
  names = np.asarray(faults)
  return {
    name: _fault(scores[~good & (names == name)], scores[good])
    for name in sorted(set(names[~good].tolist()) - {"", NO_FAULT})
  }


def _per_prompt(
  values: np.ndarray, prompts: Sequence[int] | np.ndarray
) -> np.ndarray:
  """The mean of each prompt."""
  _, places = np.unique(np.asarray(prompts), return_inverse=True)
  return np.bincount(places, values) / np.bincount(places)


def _checked_scores(
  reward_model: str, language: str, scores: Numbers, ratings: Numbers, n: int
) -> tuple[np.ndarray, np.ndarray]:
  """The scores, and which responses are good; there are n lengths of them."""
  scores, good = np.asarray(scores, np.float64), _is_good(ratings)
  if not scores.size or not scores.shape == good.shape == (n,):
    raise ValueError(
      f"{scores.size} scores, {good.size} ratings and {n} lengths of "
      f"{language} do not belong together"
    )
  if not np.isfinite(scores).all():
    raise ValueError(
      f"{reward_model} gave {language} a score that is no number"
    )
  return scores, good


def accuracy_row(
  reward_model: str,
  language: str,
  *,
  scores: Numbers,
  ratings: Numbers,
  lengths: Numbers,
  baseline: LengthBaseline,
  faults: Sequence[str] | None = None,
  majority_good: bool | None = None,
  prompts: Sequence[int] | np.ndarray | None = None,
) -> AccuracyRow:
  """The accuracy of a reward model on the held-out ratings of one language.

  Args:
    scores: one per response.
    ratings: good above one half, else bad.
    lengths: of the responses, in the unit that `baseline` was fitted in.
    baseline: fitted on training ratings.
    faults: what is wrong with each response; NO_FAULT or "" where nothing.
    majority_good: class that the majority baseline predicts; None is the
      commoner one of these ratings.
    prompts: of pairs, the number of each one's prompt, see `trials`; pairs of
      one prompt are one observation.
  """
  scores, good = _checked_scores(
    reward_model, language, scores, ratings, len(lengths)
  )
  right = ((scores > 0) == good).astype(np.float64)
  length = (baseline.predict(lengths) == good).astype(np.float64)
  separation = auc(scores[good], scores[~good])
  if prompts is not None:
    right = _per_prompt(np.where(scores == 0, 0.5, right), prompts)
    length = _per_prompt(np.where(np.equal(lengths, 0), 0.5, length), prompts)
    majority = 0.5
    margins = np.where(good, scores, -scores)  # of better over worse
    separation = auc(margins, -margins)
  elif majority_good is not None:
    majority = float((good == majority_good).mean())
  else:
    majority = float(max(good.mean(), 1 - good.mean()))
  low, high = win_rates.wilson(right)
  return AccuracyRow(
    reward_model=reward_model,
    language=language,
    n=int(right.size),
    accuracy=float(right.mean()),
    low=low,
    high=high,
    majority=majority,
    length=float(length.mean()),
    auc=separation,
    by_fault={} if faults is None else _by_fault(scores, good, faults),
  )


def mean_row(rows: Sequence[AccuracyRow]) -> AccuracyRow:
  """The mean over random heads on the same ratings.

  Its interval is that of the mean over heads: mean +- 1.96 standard errors.
  One random head says little: where a base model's states are spread along a
  direction that the ratings follow, its sign decides, and heads of both signs
  are equally likely.
  """
  values = np.asarray([row.accuracy for row in rows])
  error = 1.96 * values.std(ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else 0.0
  mean = float(values.mean())

  def fault_mean(name: str) -> FaultAccuracy:
    faults = [row.by_fault[name] for row in rows]
    return FaultAccuracy(
      n=faults[0].n,
      **{
        field: float(np.mean([getattr(x, field) for x in faults]))
        for field in ("accuracy", "low", "high", "auc")
      },
    )

  return dataclasses.replace(
    rows[0],
    accuracy=mean,
    low=max(0.0, mean - error),
    high=min(1.0, mean + error),
    auc=float(np.mean([row.auc for row in rows])),
    by_fault={name: fault_mean(name) for name in rows[0].by_fault},
    heads=len(rows),
    spread=tuple(float(x) for x in np.quantile(values, [0.1, 0.9])),
  )


def table(rows: Sequence[AccuracyRow]) -> str:
  """The rows as text: never an accuracy without n and its baselines."""
  lines = [
    f"{'reward model':<16} {'on':<6} {'n':>6} {'accuracy':>9} "
    f"{'95% interval':>15} {'majority':>9} {'length':>7} {'AUC':>6}"
  ]
  for row in rows:
    interval = f"[{row.low:.1%}, {row.high:.1%}]"
    lines.append(
      f"{row.reward_model:<16} {row.language:<6} {row.n:>6} "
      f"{row.accuracy:>9.1%} {interval:>15} {row.majority:>9.1%} "
      f"{row.length:>7.1%} {row.auc:>6.3f}"
    )
    if row.heads > 1:
      low, high = row.spread
      lines[-1] += (
        f"  (mean of {row.heads} heads, 80% in {low:.0%}..{high:.0%})"
      )
  return "\n".join(lines)
