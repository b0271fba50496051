"""Section of the report: which of the swept values should have been taken?"""

from collections.abc import Iterator, Mapping, Sequence

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import swept_values
from xlrm.analysis.exhibits import markup
from xlrm.analysis.reports import swept_figures
from xlrm.evaluation import win_rates

Points = Sequence[swept_values.Point]
_NONE = markup.cell("\u2013")


def _value_cells(values: swept_values.Values, axes: Sequence[str]) -> list[str]:
  return [markup.cell(f"{values[x]:g}") if x in values else _NONE for x in axes]


def _mean(x: swept_values.Interval) -> str:
  return markup.cell(f"{x.value:.3f}", f"[{x.low:.3f}, {x.high:.3f}]")


def _win(x: swept_values.Point) -> str:
  ends = findings.interval(x.win.low, x.win.high)
  if len(x.by_seed) > 1:
    between = win_rates.between_runs(list(x.by_seed.values()))
    ends += f"; seeds {findings.interval(*between)}"
  return markup.cell(findings.percent(x.win.rate), ends)


def _against(x: swept_values.Against | None) -> str:
  if x is None:
    return _NONE
  ends = findings.interval(x.win.low, x.win.high)
  kind = "bad" if x.worse else "best" if x.better else ""
  return markup.cell(findings.percent(x.win.rate), ends, kind)


def _row(method: str, x: swept_values.Point, axes: Sequence[str]) -> str:
  # An estimate of a KL near 0 may be below it: no minus before 0.00.
  ends = x.kl and " to ".join(
    f"{round(end, 2) + 0.0:.2f}" for end in (x.kl.low, x.kl.high)
  )
  return markup.row(
    names.method(method),
    [
      *_value_cells(x.values, axes),
      markup.cell(str(x.win.n)),
      _win(x),
      _against(x.against),
      _mean(x.score),
      _mean(x.baseline),
      markup.cell(f"{x.kl.value:.2f}", ends) if x.kl else _NONE,
    ],
    "" if x.against else "same",
  )


def _pair_rows(
  method: str, found: Points, axes: Sequence[str]
) -> Iterator[str]:
  for pair in found[0].matrix.cells:
    for x in found:
      if cell := x.matrix.get(*pair):
        yield markup.row(
          names.pair(*pair),
          [
            markup.cell(names.method(method), kind="text"),
            *_value_cells(x.values, axes),
            markup.cell(str(cell.win.n)),
            markup.cell(
              findings.percent(cell.win.rate), findings.intervals(cell)
            ),
            markup.cell(f"{cell.mean:.3f}"),
            markup.cell(f"{cell.baseline_mean:.3f}"),
          ],
          "same" if pair[0] == pair[1] else "",
        )


def _edges(found: Points, best: swept_values.Point) -> Iterator[str]:
  """Where the best value is the last that was tried."""
  for axis in swept_values.axes_of(found):
    values = [x.values[axis] for x in found]
    for end, word in ((min(values), "smallest"), (max(values), "largest")):
      if best.values[axis] == end:
        yield (
          f"{swept_figures.called({axis: end})} is the {word} that was tried: "
          "the best may lie beyond it."
        )


def _listed(verb: str, found: Points) -> Iterator[str]:
  parts = [
    f"{swept_figures.called(x.values)} (wins {findings.rate(x.against.win)} "
    "against it" + (f", KL {x.kl.value:.2f})" if x.kl else ")")
    for x in found
  ]
  if parts:
    yield f"{verb}: {'; '.join(parts)}."


def answer(method: str, found: Points) -> str:
  """The best value, those that cannot be told apart from it, the others."""
  best = next(x for x in found if x.against is None)
  worse, better, close = [], [], []
  for x in found:
    if x.against:
      own = worse if x.against.worse else better if x.against.better else close
      own.append(x)
  how = f"wins most often, {findings.rate(best.win)}"
  although = "it wins no more often over one sample"
  if swept_values.decided_by_score(best.values):
    score = best.score
    ends = f"[{score.low:.3f}, {score.high:.3f}]"
    how = f"has the highest mean score, {score.value:.3f} {ends}"
    although = "its mean score is no higher"
  kl = f", at a KL of {best.kl.value:.2f} nats" if best.kl else ""
  return " ".join(
    [
      f"{names.method_title(method)}: of {len(found)}, "
      f"{swept_figures.called(best.values)} {how}{kl}.",
      *_listed("Not told apart from it", close),
      *_listed("Worse", worse),
      *_listed(f"Beats it prompt by prompt, although {although}", better),
      *_edges(found, best),
    ]
  )


def _numbers(
  by_method: Mapping[str, Points], axes: Sequence[str], judge: str
) -> tuple[str, str]:
  """The tables of means and of every pair of languages."""
  heads = [names.SWEPT[x] for x in axes]
  means = markup.table(
    "Means over the cross-lingual pairs (over all, where there is none), "
    f"targets equally, by the {names.judge(judge)}, with 95% intervals; "
    "shaded: the best; against the best: how often these outputs beat those of "
    "the best value on the same prompts, red: they lose to it, bold: they beat "
    "it, by an exact sign test below .05 after Holm\u2019s correction; KL: "
    "nats per response, from the least to the most of the last steps",
    markup.columns(
      "method",
      *heads,
      "prompts",
      "win rate over one sample",
      "against the best",
      "mean score",
      "SFT sample",
      "KL",
      words=1,
    ),
    [
      _row(method, x, axes)
      for method, found in by_method.items()
      for x in found
    ],
  )
  pairs = markup.table(
    "The same for each pair of languages; last columns: mean scores",
    markup.columns(
      "reward model \u2192 policy",
      "method",
      *heads,
      "prompts",
      "win rate over one sample",
      "mean score",
      "SFT sample",
    ),
    [
      row
      for method, found in by_method.items()
      for row in _pair_rows(method, found, axes)
    ],
  )
  opened = (
    f"<details><summary>Every pair of languages</summary>{pairs}</details>"
  )
  return means, opened


def section(inputs: report_inputs.ReportInputs, judges: Sequence[str]) -> str:
  """Win rate, score and KL against every swept value; empty if nothing was
  swept.

  Args:
    judges: the deciding one first.
  """
  by_method = {
    method: found
    for method in swept_values.AXES
    if judges
    and (found := swept_values.points(inputs.swept, method, judges[0]))
  }
  if not by_method:
    return ""
  first = inputs.swept[0].values
  axes = [x for x in names.SWEPT if x in first]
  lead = (
    "All values answer the same prompts. The best of several was chosen on the "
    "prompts that it is reported on, so its own number is a little too high."
  )
  if others := [names.SWEPT[x] for x in swept_values.OTHER_SAMPLE if x in axes]:
    lead += (
      f" Win rates at two values of {' or '.join(others)} are over two "
      "different samples: there mean scores decide."
    )
  return markup.section(
    "swept",
    "Which value should have been taken?",
    markup.paragraph(lead, "lead"),
    *(markup.paragraph(answer(*x)) for x in by_method.items()),
    markup.grid(
      figure
      for method, found in by_method.items()
      for figure in swept_figures.of_every_axis(method, found, first, judges[0])
    ),
    *_numbers(by_method, axes, judges[0]),
  )
