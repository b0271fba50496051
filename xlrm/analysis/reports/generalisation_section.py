"""Section of the report: does accuracy tell which reward model aligns well?"""

from collections.abc import Mapping, Sequence
import math
import statistics

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import pair_tables
from xlrm.analysis import transfer_factors
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import point_figures
from xlrm.evaluation import accuracy as accuracy_lib

FEW = 6  # pairs up to which the smallest possible p is told


def accuracy_table(
  rows: Sequence[accuracy_lib.AccuracyRow], matrix: transfer_matrices.Matrix
) -> pair_tables.PairTable:
  """Accuracy of the sources' reward models in the targets' languages."""
  found: dict[str, dict[str, list[float]]] = {}
  for row in rows:
    if (row.reward_model, row.language) in matrix.cells:
      by_target = found.setdefault(row.reward_model, {})
      by_target.setdefault(row.language, []).append(row.accuracy)
  return pair_tables.of_rows(
    "",
    "",
    {
      source: {x: statistics.fmean(values) for x, values in by_target.items()}
      for source, by_target in found.items()
    },
  )


def _named(table: pair_tables.PairTable) -> Mapping[str, float]:
  return {names.pair(*pair): x for pair, x in table.cross_lingual.items()}


def sentence(
  accuracy: pair_tables.PairTable, rates: pair_tables.PairTable
) -> str:
  """The correlation over cross-lingual pairs, and what it is worth."""
  first, second = _named(accuracy), _named(rates)
  n = sum(pair in second for pair in first)
  if n < 3:
    return (
      f"No correlation is given: {n} cross-lingual pair{'s' * (n != 1)} with "
      "both numbers."
    )
  found = transfer_factors.correlation(first, second)
  if math.isnan(found.tau):
    return f"One of the two is the same for all {n} cross-lingual pairs."
  text = (
    f"Kendall\u2019s tau-b over the {n} cross-lingual pairs is "
    f"{found.tau:+.2f} (two-sided p = {found.p:.2g} if they were independent; "
    f"pairs share languages, so they are not)."
  )
  if n > FEW:
    return text
  least = 2 / math.factorial(n)
  return f"{text} With {n} pairs even a perfect order has p = {least:.2g}."


def section(
  rows: Sequence[accuracy_lib.AccuracyRow], found: findings.Results
) -> str:
  """Accuracy of each reward model abroad against the gain it led to."""
  if not found.judges:
    return ""
  matrix = found.matrices[found.judges[0], "sample"]
  accuracy = accuracy_table(rows, matrix)
  rates = pair_tables.of_matrix(matrix)
  shared = pair_tables.shared(accuracy, rates)
  if not shared:
    return ""
  groups: dict[str, list[point_figures.Point]] = {}
  for source, target in shared:
    x, y = (table.values[source, target] for table in (accuracy, rates))
    groups.setdefault(names.language(target), []).append(
      point_figures.Point(x, y, source, is_open=source == target)
    )
  spoken = "; ".join(
    f"{names.pair(*pair)} accuracy {findings.percent(accuracy.values[pair])}, "
    f"win rate {findings.percent(rates.values[pair])}"
    for pair in shared
  )
  figure = markup.figure(
    point_figures.scatter(
      groups,
      name="generalisation",
      x=point_figures.Axis("accuracy in the target language", percent=True),
      y=point_figures.Axis(
        "win rate of best-of-n", percent=True, lines={0.5: ""}
      ),
    ).svg(),
    "Accuracy against win rate",
    f"{len(shared)} pairs; colour: target; letters: source; open: the "
    "target\u2019s own reward model",
    spoken,
  )
  return markup.section(
    "generalisation",
    "Do accurate reward models align better?",
    markup.paragraph(
      "Accuracy on held-out ratings in the target language, against the win "
      f"rate over one SFT sample by the {names.judge(matrix.judge)}.",
      "lead",
    ),
    markup.paragraph(sentence(accuracy, rates)),
    markup.grid([figure]),
  )
