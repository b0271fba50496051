"""What a reward model is like in one language, beyond its accuracy.

Is it surer of rows that it was trained on, are its probabilities right, does it
reward length, and how much of it is a bag of words? One row per reward model
and language.
"""

from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from xlrm.evaluation import bag_of_words
from xlrm.evaluation import calibration
from xlrm.evaluation import trials as trials_lib

NAN = math.nan
MAX_WORDS_ROWS = 2000  # rows of the bag of words: its cost is their cube


@dataclasses.dataclass(frozen=True)
class Scored:
  """A split as a reward model scored it.

  Attributes:
    trials: its judgments.
    texts: every response.
    scores: of each of them.
  """

  trials: trials_lib.Trials
  texts: Sequence[str]
  scores: Sequence[float]


@dataclasses.dataclass(frozen=True)
class DiagnosisRow:
  """One reward model on one language; NaN where it cannot be told.

  Attributes:
    reward_model: its name, in a study its source language.
    language: of the responses.
    n: held-out responses.
    training_loss: on this language's training rows, in nats.
    loss: on held-out rows.
    training_accuracy: sign of the score, as in `accuracy`.
    accuracy: on held-out rows.
    calibration: of the held-out scores as they are.
    fitted: the same with a temperature fitted on training rows; None: there
      are none.
    length_correlation: Spearman's, of score and number of words.
    score_mean: of the responses.
    score_deviation: standard deviation, divided by n.
    words: how much word counts explain of the scores; None: too few rows.
  """

  reward_model: str
  language: str
  n: int
  training_loss: float
  loss: float
  training_accuracy: float
  accuracy: float
  calibration: calibration.Calibration
  fitted: calibration.Calibration | None
  length_correlation: float
  score_mean: float
  score_deviation: float
  words: bag_of_words.Fit | None

  @property
  def gap(self) -> float:
    """Held-out loss minus training loss."""
    return self.loss - self.training_loss


def _ranks(values: np.ndarray) -> np.ndarray:
  """[3, 1, 3] -> [1.5, 0, 1.5]: equal values share their mean rank."""
  _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
  first = np.cumsum(counts) - counts
  return (first + (counts - 1) / 2)[places]


def spearman(
  a: Sequence[float] | Sequence[int] | np.ndarray,
  b: Sequence[float] | Sequence[int] | np.ndarray,
) -> float:
  """Rank correlation; NaN if one of them never varies."""
  first, second = _ranks(np.asarray(a)), _ranks(np.asarray(b))
  if first.std() == 0 or second.std() == 0:
    return NAN
  return float(np.corrcoef(first, second)[0, 1])


def _accuracy(trials: trials_lib.Trials) -> float:
  right = (trials.scores > 0) == (trials.ratings > 0.5)
  return float(np.where(trials.scores == 0, 0.5, right).mean())


def diagnosis_row(
  reward_model: str, language: str, held_out: Scored, training: Scored | None
) -> DiagnosisRow:
  """The diagnosis of a reward model in one language, from scores alone."""
  trials = held_out.trials
  scores = np.asarray(held_out.scores, np.float64)
  training_loss, training_accuracy, fitted = NAN, NAN, None
  if training is not None:
    seen = training.trials
    training_loss = calibration.log_loss(seen.scores, seen.ratings)
    training_accuracy = _accuracy(seen)
    fitted = calibration.calibration(
      trials.scores,
      trials.ratings,
      calibration.fit_temperature(seen.scores, seen.ratings),
    )
  words = None
  if scores.size >= 2 * bag_of_words.NUM_FOLDS:
    some = slice(0, MAX_WORDS_ROWS)
    words = bag_of_words.explained(held_out.texts[some], scores[some])
  return DiagnosisRow(
    reward_model=reward_model,
    language=language,
    n=int(scores.size),
    training_loss=training_loss,
    loss=calibration.log_loss(trials.scores, trials.ratings),
    training_accuracy=training_accuracy,
    accuracy=_accuracy(trials),
    calibration=calibration.calibration(trials.scores, trials.ratings),
    fitted=fitted,
    length_correlation=spearman(
      scores, [trials_lib.num_words(text) for text in held_out.texts]
    ),
    score_mean=float(scores.mean()),
    score_deviation=float(scores.std()),
    words=words,
  )
