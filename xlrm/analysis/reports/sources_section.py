"""Section of the report: which source language to take."""

from collections.abc import Iterator, Sequence

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import pair_tables
from xlrm.analysis import source_comparisons
from xlrm.analysis import source_rankings
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import point_figures


def points_of(value: float, low: float, high: float) -> str:
  """'+1.3 points [-0.4, 3.0]'."""
  return f"{100 * value:+.1f} points {findings.interval(low, high)}"


def _rates(matrix: transfer_matrices.Matrix) -> str:
  rows = {}
  for source in matrix.sources:
    marks = {
      names.language(target): point_figures.Mark(
        cell.win.rate, cell.win.low, cell.win.high, is_open=source == target
      )
      for target in matrix.targets
      if (cell := matrix.get(source, target))
    }
    if marks:
      rows[names.language(source)] = marks
  spoken = "; ".join(
    f"{names.pair(x.source, x.target)} {findings.rate(x.win)}"
    for x in matrix.cells.values()
  )
  axis = point_figures.Axis(
    "win rate over one sample", percent=True, lines={0.5: ""}
  )
  return markup.figure(
    point_figures.dots(rows, name=f"sources_{matrix.method}", x=axis).svg(),
    "Win rate per source and target",
    "95% intervals; open: the target\u2019s own language",
    spoken,
  )


def _effects(
  matrix: transfer_matrices.Matrix, found: source_comparisons.Overall
) -> str:
  intervals = {x: found.interval(x) for x in found.effects}
  rows = {
    names.language(x): {"effect": point_figures.Mark(*interval)}
    for x, interval in intervals.items()
  }
  spoken = "; ".join(
    f"{names.language(x)} {points_of(*interval)}"
    for x, interval in intervals.items()
  )
  axis = point_figures.Axis(
    "effect of the source", percent=True, lines={0.0: ""}
  )
  return markup.figure(
    point_figures.dots(rows, name=f"effects_{matrix.method}", x=axis).svg(),
    "Sources over all targets",
    f"difference from their mean, {found.pairs} cross-lingual pairs, 95% "
    "intervals over prompts",
    spoken,
  )


def _ranked(matrix: transfer_matrices.Matrix) -> Iterator[str]:
  table = pair_tables.of_matrix(matrix)
  for target in matrix.targets:
    for place, (source, _) in enumerate(
      source_rankings.in_target(table, target), 1
    ):
      win = matrix.cells[source, target].win
      yield markup.row(
        names.language(target),
        [
          markup.cell(names.language(source), kind="text"),
          markup.cell(str(place)),
          markup.cell(findings.percent(win.rate)),
          markup.cell(findings.interval(win.low, win.high)),
          markup.cell(str(win.n)),
        ],
        "same" if source == target else "",
      )


def _differences(
  compared: Sequence[source_comparisons.Comparison],
) -> Iterator[str]:
  for x in compared:
    certain = x.adjusted < source_comparisons.SIGNIFICANT
    yield markup.row(
      names.language(x.target),
      [
        markup.cell(
          f"{names.language(x.first)} \u2212 {names.language(x.second)}",
          kind="text",
        ),
        markup.cell(
          f"{100 * x.test.difference:+.1f}",
          findings.interval(x.low, x.high),
          "best" if certain else "",
        ),
        markup.cell(f"{x.test.better} / {x.test.worse}"),
        markup.cell(str(x.test.n)),
        markup.cell(f"{x.test.p:.2g}"),
        markup.cell(f"{x.adjusted:.2g}", kind="best" if certain else ""),
      ],
    )


def _hindsight(table: pair_tables.PairTable) -> Iterator[str]:
  for x in source_rankings.hindsight(table):
    rates = (x.rate, x.default, x.mean, x.best)
    yield markup.row(
      names.language(x.target),
      [
        markup.cell(names.language(x.source), kind="text"),
        *(
          markup.cell("\u2013" if y is None else findings.percent(y))
          for y in rates
        ),
        markup.cell(names.language(x.best_source)),
      ],
    )


def _count(number: int, what: str) -> str:
  return f"{number} {what}{'' if number == 1 else 's'}"


def _lead(found: source_comparisons.Overall, first: str, second: str) -> str:
  """'German by +1.3 points [-0.4, 3.0], which may be 0'."""
  lead = found.lead(first, second)
  doubt = ", which may be 0" if lead[1] <= 0 else ""
  return f"{names.language(second)} by {points_of(*lead)}{doubt}"


def advice(found: source_comparisons.Overall) -> list[str]:
  """A recommendation for a new target, and how little it rests on."""
  chosen = source_comparisons.recommended(found)
  best, second = list(found.effects)[:2]
  default = source_rankings.DEFAULT_SOURCE
  sentences = [
    f"For a new target take {names.language(chosen)}.",
    f"Over the {_count(len(found.targets), 'target')} "
    f"{names.language(best)} is ahead of {_lead(found, best, second)}; it is "
    f"the best source on {found.best_on[best]} of them.",
  ]
  if default not in found.effects:
    sentences.append(f"{names.language(default)}, the default, was not run.")
  elif chosen != best:
    sentences.append(
      f"{names.language(default)} is the default and stays so until another "
      f"is clearly ahead: {names.language(best)} is ahead of "
      f"{_lead(found, best, default)}."
    )
  sentences.append(_how_little(found))
  return sentences


def _how_little(found: source_comparisons.Overall) -> str:
  num_targets = len(found.targets)
  sizes = (
    f"{_count(len(found.effects), 'source')}, {_count(num_targets, 'target')}, "
    f"{_count(found.pairs, 'cross-lingual pair')}"
  )
  need = source_comparisons.enough_targets()
  if num_targets >= need:
    return (
      f"This rests on {sizes}. Intervals are over prompts, not over languages."
    )
  p = source_comparisons.unanimous_p(num_targets)
  return (
    f"This rests on very little: {sizes}. Intervals are over prompts and say "
    f"nothing of other languages. Were one source ahead of another on "
    f"every target, chance alone would do that with p = {p:.2g}; p < .05 takes "
    f"{need} targets."
  )


def _of_method(matrix: transfer_matrices.Matrix) -> list[str]:
  compared = source_comparisons.comparisons(matrix)
  found = source_comparisons.overall(matrix)
  drawn = [_rates(matrix)] + ([_effects(matrix, found)] if found else [])
  if found:
    said = advice(found)
  else:
    said = [
      "No source is recommended: fewer than two sources were run on a target "
      "that they share, other than its own language."
    ]
  parts = [markup.paragraph(" ".join(said)), markup.grid(drawn)]
  parts.append(
    markup.table(
      "Sources of every target, the best first; shaded: the target\u2019s own "
      "language",
      markup.columns(
        "target", "source", "place", "win rate", "95% interval", "n"
      ),
      _ranked(matrix),
    )
  )
  if compared:
    parts.append(
      markup.table(
        "Two sources on one target, prompt by prompt: difference in points "
        "with 95% interval, exact sign test, Holm\u2019s correction for all "
        f"{len(compared)}; bold: below .05 after it",
        markup.columns(
          "target", "sources", "difference", "better / worse", "n", "p", "Holm"
        ),
        _differences(compared),
      )
    )
  if found and len(found.targets) > 1:
    parts.append(
      markup.table(
        "Each target as if it were new: the source that is the best on the "
        "other targets, and what it gives",
        markup.columns(
          "target",
          "recommended",
          "its rate",
          "English",
          "mean source",
          "best",
          "best source",
        ),
        _hindsight(pair_tables.of_matrix(matrix)),
      )
    )
  return parts


def section(found: findings.Results) -> str:
  """Rankings, paired comparisons, and a recommendation, by the deciding judge
  against one sample; of every method with two sources on one target."""
  parts = []
  for matrix in found.deciding:
    if len(matrix.cells) > len(matrix.targets):
      title = names.method(matrix.method)
      parts.append(f"<h3>{markup.text(title[:1].upper() + title[1:])}</h3>")
      parts += _of_method(matrix)
  if not parts:
    return ""
  lead = (
    f"By the {names.judge(found.judges[0])}, against one SFT sample. Sources "
    "of one target answer the same prompts. The effect of a source is what is "
    "left of its win rates when what the targets are like is taken off."
  )
  return markup.section(
    "sources", "Which source language?", markup.paragraph(lead, "lead"), *parts
  )
