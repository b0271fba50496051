"""Section of the report: what a win costs in divergence from the SFT model."""

from collections.abc import Iterator, Sequence

from xlrm.analysis import divergence
from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import pool_curves
from xlrm.analysis import report_inputs
from xlrm.analysis.exhibits import divergence_figure
from xlrm.analysis.exhibits import markup

Pair = tuple[str, str]
Line = Sequence[pool_curves.CurvePoint]


def _rows(
  pair: Pair, line: Line, found: Sequence[divergence.PPOPoint]
) -> Iterator[str]:
  for p in line:
    estimate = "\u2013" if p.kl_estimate is None else f"{p.kl_estimate:.3f}"
    yield markup.row(
      names.pair(*pair),
      [
        markup.cell(f"best of {p.k}", kind="text"),
        markup.cell(f"{p.kl_bound:.3f}"),
        markup.cell(estimate),
        markup.cell("\u2013"),
        markup.cell(
          findings.percent(p.win_rate), findings.interval(p.low, p.high)
        ),
        markup.cell(str(p.n)),
      ],
    )
  for p in found:
    yield markup.row(
      names.pair(*pair),
      [
        markup.cell("PPO", kind="text"),
        markup.cell("\u2013"),
        markup.cell("\u2013"),
        markup.cell(f"{p.kl:.3f}", f"{p.low:.2f} to {p.high:.2f}"),
        markup.cell(
          findings.percent(p.win.rate), findings.interval(p.win.low, p.win.high)
        ),
        markup.cell(str(p.win.n)),
      ],
      "same",
    )


def _compared(point: divergence.PPOPoint, line: Line) -> str:
  """PPO beside best-of-k at the same divergence, in a sentence."""
  text = (
    f"{names.pair(point.source, point.target)}: PPO wins "
    f"{findings.rate(point.win)} at {point.kl:.2f} nats"
  )
  equal = divergence.at_equal_divergence(line, point.kl)
  if equal is not None:
    about = findings.percent(equal)
    return f"{text}; best-of-n at the same estimated KL about {about}."
  if line and line[-1].kl_estimate is not None:
    last = line[-1]
    return (
      f"{text}, where best-of-n was not measured: best of {last.k} is at "
      f"{last.kl_estimate:.2f} and wins {findings.percent(last.win_rate)}."
    )
  return f"{text}."


def _drawn(
  lines: dict[Pair, Line], points: dict[Pair, list[divergence.PPOPoint]]
) -> Iterator[str]:
  for i, (pair, line) in enumerate(lines.items()):
    found = points.get(pair, [])
    spoken = "; ".join(
      [f"best of {p.k} {findings.percent(p.win_rate)}" for p in line]
      + [f"PPO {findings.percent(p.win.rate)} at {p.kl:.2f}" for p in found]
    )
    yield markup.figure(
      divergence_figure.drawing(line, found, name=f"divergence{i}").svg(),
      names.pair(*pair),
      "numbers beside the points are k; 95% intervals",
      spoken,
    )


def section(inputs: report_inputs.ReportInputs, judges: Sequence[str]) -> str:
  """KL against win rate for every pair; empty without pools and PPO."""
  judge = inputs.curve_judge
  points: dict[Pair, list[divergence.PPOPoint]] = {}
  if judge in judges:
    for p in divergence.ppo_points(inputs, judge):
      points.setdefault((p.source, p.target), []).append(p)
  lines: dict[Pair, Line] = dict.fromkeys([*inputs.pool_curves, *points], ())
  lines |= inputs.pool_curves
  lines = {pair: x for pair, x in lines.items() if x or pair in points}
  if not lines:
    return ""
  rows = [
    row
    for pair, line in lines.items()
    for row in _rows(pair, line, points.get(pair, []))
  ]
  table = markup.table(
    "KL divergence from the SFT model in nats per response, and win rate over "
    f"one SFT sample by the {names.judge(judge)} with 95% interval",
    markup.columns(
      "reward model \u2192 policy",
      "method",
      "upper bound",
      "estimate",
      "measured by PPO",
      "win rate",
      "n",
    ),
    rows,
  )
  compared = [
    _compared(p, lines[pair]) for pair, found in points.items() for p in found
  ]
  return markup.section(
    "divergence",
    "What a win costs",
    markup.paragraph(
      "How far a policy has moved from the SFT model, against how often it "
      "wins. Best of k: the upper bound log k \u2212 (k\u22121)/k holds for "
      "every policy and is reached only if no two samples are equal; the "
      "estimate uses the samples\u2019 probabilities and is smaller where the "
      "policy repeats itself. PPO: mean KL of the rollouts of its last "
      f"{divergence.LAST_STEPS} steps, bars from the least to the most.",
      "lead",
    ),
    *map(markup.paragraph, compared),
    markup.grid(_drawn(lines, points)),
    f"<details><summary>The same as numbers</summary>{table}</details>",
  )
