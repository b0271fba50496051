"""The diagnosis of reward models as tables, for CSV files and figures.

A table has one row per reward model and language, the reward model's own
language or not; `value` is what its figure shows.
"""

from collections.abc import Callable, Mapping, Sequence
import csv
import dataclasses
import io
import math
from typing import Any

from xlrm.evaluation import accuracy as accuracy_lib
from xlrm.evaluation import agreement
from xlrm.evaluation import diagnosis

Cell = str | int | float | None


@dataclasses.dataclass(frozen=True)
class Table:
  """One property of every reward model in every language.

  Attributes:
    name: of its files.
    title: of its figure.
    subtitle: what the large and the small number are.
    columns: of the CSV file.
    rows: reward model, language, and what the columns say.
    value: a row -> the number in a cell, its text, the small text.
    middle: the value without colour.
    span: distance from it with full colour; None: the largest there is.
    baselines: further cells of the figure, by (what it is, language).
  """

  name: str
  title: str
  subtitle: str
  columns: Sequence[str]
  rows: Sequence[Sequence[Cell]]
  value: Callable[[Mapping[str, Any]], tuple[float, str, str]]
  middle: float
  span: float | None
  baselines: Mapping[tuple[str, str], tuple[float, str, str]] = (
    dataclasses.field(default_factory=dict)
  )

  def csv(self) -> str:
    """Comma-separated, a header first; numbers to 6 places, NaN is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(self.columns)
    writer.writerows([_written(x) for x in row] for row in self.rows)
    return file.getvalue()

  def cells(self) -> dict[tuple[str, str], tuple[float, str, str]]:
    """(reward model, language) -> what its cell shows."""
    found = dict(self.baselines)
    for row in self.rows:
      fields = dict(zip(self.columns, row))
      place = (fields["reward_model"], fields["language"])
      found[place] = self.value(fields)
    return found


def _written(value: Cell) -> Cell:
  if isinstance(value, float):
    return "" if math.isnan(value) else f"{value:.6f}"
  return "" if value is None else value


def accuracy(rows: Sequence[accuracy_lib.AccuracyRow]) -> Table:
  """Accuracy, its interval and its baselines."""
  baselines = {
    (name, row.language): (0.0, f"{100 * getattr(row, name):.1f}", "baseline")
    for name in ("majority", "length")
    for row in rows
  }
  names = "n accuracy low high majority length auc".split()
  return Table(
    name="accuracy",
    title="Accuracy",
    subtitle="% of judgments, 95% interval; colour: points above the better "
    "baseline",
    columns=("reward_model", "language", *names, "heads"),
    rows=[
      (
        row.reward_model,
        row.language,
        *(getattr(row, name) for name in names),
        row.heads,
      )
      for row in rows
    ],
    value=lambda x: (
      x["accuracy"] - max(x["majority"], x["length"]),
      f"{100 * x['accuracy']:.1f}",
      f"{100 * x['low']:.1f} \u2013 {100 * x['high']:.1f}",
    ),
    middle=0.0,
    span=None,
    baselines=baselines,
  )


def auc(rows: Sequence[accuracy_lib.AccuracyRow]) -> Table:
  """Probability that a good response scores above a bad one."""
  return Table(
    name="auc",
    title="AUC",
    subtitle="probability that a good response scores above a bad one, in %",
    columns=("reward_model", "language", "n", "auc"),
    rows=[(x.reward_model, x.language, x.n, x.auc) for x in rows],
    value=lambda x: (x["auc"], f"{100 * x['auc']:.1f}", f"n = {x['n']}"),
    middle=0.5,
    span=0.5,
  )


def gap(rows: Sequence[diagnosis.DiagnosisRow]) -> Table:
  """Held-out loss minus training loss."""
  names = "training_loss loss gap training_accuracy accuracy".split()
  return Table(
    name="gap",
    title="Gap between training and held-out rows",
    subtitle="held-out minus training loss, in nats; small: both",
    columns=("reward_model", "language", *names),
    rows=[
      (x.reward_model, x.language, *(getattr(x, name) for name in names))
      for x in rows
    ],
    value=lambda x: (
      -x["gap"],
      f"{x['gap']:+.2f}",
      f"{x['training_loss']:.2f}, {x['loss']:.2f}",
    ),
    middle=0.0,
    span=None,
  )


def calibration(rows: Sequence[diagnosis.DiagnosisRow]) -> Table:
  """Calibration error, with and without a temperature of the language."""
  columns = "temperature ece ece_fitted brier brier_fitted loss loss_fitted"
  made = []
  for row in rows:
    fitted, plain = row.fitted, row.calibration
    values = [math.nan] * 7
    values[1], values[3], values[5] = plain.ece, plain.brier, plain.log_loss
    if fitted is not None:
      values[0] = fitted.temperature
      values[2], values[4] = fitted.ece, fitted.brier
      values[6] = fitted.log_loss
    made.append((row.reward_model, row.language, *values))
  return Table(
    name="calibration",
    title="Calibration error",
    subtitle="ECE in %; small: with the fitted temperature T",
    columns=("reward_model", "language", *columns.split()),
    rows=made,
    value=lambda x: (
      -x["ece"],
      f"{100 * x['ece']:.1f}",
      f"{100 * x['ece_fitted']:.1f}, T = {x['temperature']:.2g}",
    ),
    middle=0.0,
    span=0.5,
  )


def reliability(rows: Sequence[diagnosis.DiagnosisRow]) -> Table:
  """The bins of the reliability curves; drawn as curves, not as a matrix."""
  made = []
  for row in rows:
    kinds = [("as trained", row.calibration), ("fitted", row.fitted)]
    made += [
      (row.reward_model, row.language, kind, x.predicted, x.observed, x.n)
      for kind, found in kinds
      if found is not None
      for x in found.bins
    ]
  return Table(
    name="reliability",
    title="Reliability",
    subtitle="",
    columns=(
      "reward_model",
      "language",
      "temperature",
      "predicted",
      "observed",
      "n",
    ),
    rows=made,
    value=lambda x: (0.0, "", ""),
    middle=0.0,
    span=None,
  )


def length(rows: Sequence[diagnosis.DiagnosisRow]) -> Table:
  """Correlation of score and length."""
  return Table(
    name="length",
    title="Score and length",
    subtitle="Spearman's correlation of score and number of words",
    columns=("reward_model", "language", "n", "length_correlation"),
    rows=[
      (x.reward_model, x.language, x.n, x.length_correlation) for x in rows
    ],
    value=lambda x: (
      x["length_correlation"],
      f"{x['length_correlation']:+.2f}",
      f"n = {x['n']}",
    ),
    middle=0.0,
    span=1.0,
  )


def scores(rows: Sequence[diagnosis.DiagnosisRow]) -> Table:
  """Mean and spread of the scores."""
  return Table(
    name="scores",
    title="Scores",
    subtitle="mean; small: standard deviation",
    columns=("reward_model", "language", "n", "mean", "deviation"),
    rows=[
      (x.reward_model, x.language, x.n, x.score_mean, x.score_deviation)
      for x in rows
    ],
    value=lambda x: (
      x["mean"],
      f"{x['mean']:+.2f}",
      f"\u00b1 {x['deviation']:.2f}",
    ),
    middle=0.0,
    span=None,
  )


def words(rows: Sequence[diagnosis.DiagnosisRow]) -> Table:
  """R2 of a bag of words."""
  return Table(
    name="bag_of_words",
    title="Explained by a bag of words",
    subtitle="R\u00b2 of ridge regression on word counts, in new rows; small: "
    "in the rows fitted",
    columns=(
      "reward_model",
      "language",
      "n",
      "words",
      "cross_validated",
      "r2",
    ),
    rows=[
      (
        x.reward_model,
        x.language,
        x.words.n,
        x.words.words,
        x.words.cross_validated,
        x.words.r2,
      )
      for x in rows
      if x.words is not None
    ],
    value=lambda x: (
      max(0.0, x["cross_validated"]),
      f"{x['cross_validated']:.2f}",
      f"{x['r2']:.2f}",
    ),
    middle=0.0,
    span=1.0,
  )


def people(found: Mapping[str, agreement.Agreement]) -> Table:
  """How often two people agree, per language."""
  return Table(
    name="human_agreement",
    title="Agreement of people",
    subtitle="% of responses rated twice, 95% interval",
    columns=("reward_model", "language", "n", "agreement", "low", "high"),
    rows=[
      ("people", language, x.n, x.rate, x.low, x.high)
      for language, x in found.items()
    ],
    value=lambda x: (
      x["agreement"],
      f"{100 * x['agreement']:.1f}",
      f"{100 * x['low']:.1f} \u2013 {100 * x['high']:.1f}",
    ),
    middle=0.5,
    span=0.5,
  )


def all_tables(
  accuracies: Sequence[accuracy_lib.AccuracyRow],
  rows: Sequence[diagnosis.DiagnosisRow],
  agreements: Mapping[str, agreement.Agreement],
) -> list[Table]:
  """Every table that has a row."""
  made = [
    accuracy(accuracies),
    auc(accuracies),
    people(agreements),
    gap(rows),
    calibration(rows),
    reliability(rows),
    length(rows),
    scores(rows),
    words(rows),
  ]
  return [table for table in made if table.rows]
