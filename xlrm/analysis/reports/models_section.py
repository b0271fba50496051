"""Sections of the report on reward models and on training."""

from collections.abc import Mapping, Sequence

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis.exhibits import heatmaps
from xlrm.analysis.exhibits import line_figures
from xlrm.analysis.exhibits import markup
from xlrm.evaluation import accuracy as accuracy_lib

Rows = Sequence[accuracy_lib.AccuracyRow]


def _by_language(rows: Rows) -> dict[str, list[accuracy_lib.AccuracyRow]]:
  result: dict[str, list[accuracy_lib.AccuracyRow]] = {}
  for row in rows:
    result.setdefault(row.language, []).append(row)
  return result


def _line(row: accuracy_lib.AccuracyRow) -> str:
  kind = "bad" if row.gain <= 0 else ""
  same = "same" if row.reward_model == row.language else ""
  return markup.row(
    names.language(row.reward_model),
    [
      markup.cell(names.language(row.language), kind="text"),
      markup.cell(str(row.n)),
      markup.cell(findings.percent(row.accuracy), kind=kind),
      markup.cell(findings.interval(row.low, row.high)),
      markup.cell(findings.percent(row.majority)),
      markup.cell(findings.percent(row.length)),
      markup.cell(f"{100 * row.gain:+.1f}", kind=kind),
      markup.cell(f"{row.auc:.3f}"),
    ],
    same,
  )


def accuracy(rows: Rows) -> str:
  """Accuracy, never without n and its baselines."""
  if not rows:
    return ""
  drawn = []
  for i, (language, own) in enumerate(_by_language(rows).items()):
    spoken = "; ".join(
      f"{names.language(r.reward_model)} {findings.percent(r.accuracy)}, "
      f"majority {findings.percent(r.majority)}, length "
      f"{findings.percent(r.length)}, n {r.n}"
      for r in own
    )
    drawn.append(
      markup.figure(
        line_figures.accuracy_dots(language, own, name=f"accuracy{i}").svg(),
        f"On {names.language(language)}",
        f"{own[0].n} held-out ratings, 95% intervals",
        spoken,
      )
    )
  head = markup.columns(
    "reward model",
    "on",
    "n",
    "accuracy",
    "95% interval",
    "majority",
    "length",
    "points above",
    "AUC",
  )
  table = markup.table(
    "Accuracy on held-out ratings beside the majority and length baselines; "
    "red: not above both",
    head,
    [_line(row) for row in rows],
  )
  return markup.section(
    "accuracy",
    "Do reward models recognise quality in other languages?",
    markup.paragraph(
      "Share of held-out ratings that the sign of the score gets right. "
      "Majority: always the commoner class. Length: the best threshold and "
      "direction on training ratings.",
      "lead",
    ),
    markup.key(
      ("dot", "reward model of another language"),
      ("ring", "of the same language"),
      ("bar", "majority baseline"),
      ("diamond", "length baseline"),
    ),
    markup.grid(drawn),
    table,
  )


def _fault_table(rows: Rows, kinds: Sequence[str]) -> str:
  lines = []
  for row in rows:
    columns = [markup.cell(names.language(row.language), kind="text")]
    for kind in kinds:
      found = row.by_fault.get(kind)
      if found is None:
        columns.append(markup.cell("\u2013"))
        continue
      under = f"{findings.interval(found.low, found.high)}, n = {found.n}"
      columns.append(markup.cell(findings.percent(found.accuracy), under))
    lines.append(markup.row(names.language(row.reward_model), columns))
  head = markup.columns("reward model", "on", *map(names.fault, kinds))
  return markup.table(
    "Share of the responses with each fault that are scored as bad, 95% "
    "interval and n",
    head,
    lines,
  )


def faults(rows: Rows) -> str:
  """What reward models are blind to: one such fault is enough to exploit."""
  kinds = sorted({kind for row in rows for kind in row.by_fault})
  if not kinds:
    return ""
  drawn = []
  for i, (language, own) in enumerate(_by_language(rows).items()):
    spoken = "; ".join(
      f"{names.language(row.reward_model)}: "
      + ", ".join(
        f"{names.fault(kind)} {100 * found.auc:.0f}"
        for kind, found in row.by_fault.items()
      )
      for row in own
    )
    drawn.append(
      markup.figure(
        heatmaps.faults(language, own, kinds, name=f"faults{i}").svg(),
        f"On {names.language(language)}",
        "AUC in percent: a good response over one with the fault",
        spoken,
      )
    )
  table = _fault_table(rows, kinds)
  return markup.section(
    "faults",
    "What they are blind to",
    markup.paragraph(
      "Best-of-n finds what a reward model does not see: one fault that it is "
      "blind to (50) or likes (below 50) is enough to be exploited.",
      "lead",
    ),
    markup.key(
      ("ramp", "likes the fault \u2013 blind (50) \u2013 always sees it"),
      ("box", "reward model of the same language"),
    ),
    markup.grid(drawn),
    f"<details><summary>Accuracy per fault as numbers</summary>{table}"
    "</details>",
  )


def _kind_and_run(name: str) -> tuple[str, str]:
  """'SFT es' -> 'SFT', 'Spanish'; 'PPO en \u2192 es' -> 'PPO',
  'English \u2192 Spanish'."""
  words = name.split(" ")
  if len(words) > 2 and words[-2] == "\u2192":
    return " ".join(words[:-3]), names.pair(words[-3], words[-1])
  return " ".join(words[:-1]), names.language(words[-1])


def _panels(
  training: Mapping[str, report_inputs.History],
) -> dict[tuple[str, str], dict[str, line_figures.Series]]:
  """(kind of run, metric) -> run -> points."""
  panels: dict[tuple[str, str], dict[str, line_figures.Series]] = {}
  for name, history in training.items():
    kind, run = _kind_and_run(name)
    for metric in names.METRICS:
      points = [(row["step"], row[metric]) for row in history if metric in row]
      if points:
        panels.setdefault((kind or "run", metric), {})[run] = points
  return panels


def training(histories: Mapping[str, report_inputs.History]) -> str:
  """Training curves, small, one panel per kind of run and metric."""
  drawn = []
  for i, ((kind, metric), lines) in enumerate(_panels(histories).items()):
    last = "; ".join(
      f"{run} {points[-1][1]:.3f}" for run, points in lines.items()
    )
    drawn.append(
      markup.figure(
        line_figures.training(
          lines, name=f"training{i}", label=names.metric(metric)
        ).svg(),
        kind,
        names.metric(metric),
        f"{names.metric(metric)} at the end: {last}",
      )
    )
  return markup.section("training", "Training", markup.grid(drawn))
