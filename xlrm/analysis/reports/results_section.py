"""Sections of the report on outcomes: verdict, matrix, curves."""

from collections.abc import Iterator, Sequence

from xlrm.analysis import expectations
from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import pool_curves as pool_curves_lib
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import heatmaps
from xlrm.analysis.exhibits import line_figures
from xlrm.analysis.exhibits import markup
from xlrm.evaluation import win_rates

_TONES = {"Yes.": "yes", "Partly.": "partly", "No.": "no", "Not shown.": "no"}
_BASELINES = {
  "sample": "against one sample of the SFT model, same temperature",
  "greedy": "against its greedy output",
}


def verdict(verdict: findings.Verdict) -> str:
  """The answer in large letters and why."""
  tone = _TONES.get(verdict.answer, "")
  sentences = "".join(map(markup.paragraph, verdict.sentences))
  return (
    f'<div class="card verdict {tone}">'
    f'<p class="question">Did the reward models transfer across languages?</p>'
    f'<p class="answer">{markup.text(verdict.answer)}</p>'
    f'<div class="because">{sentences}</div></div>'
  )


def _tile(number: str, what: str, under: str) -> str:
  return (
    f'<div class="card tile"><b>{markup.text(number)}</b>'
    f"<span>{markup.text(what)}</span><span>{markup.text(under)}</span></div>"
  )


def _win_tile(win: win_rates.WinRate | None, what: str) -> Iterator[str]:
  if win is not None:
    under = f"95% {findings.interval(win.low, win.high)}, n = {win.n}"
    yield _tile(findings.percent(win.rate), what, under)


def tiles(inputs: report_inputs.ReportInputs, found: findings.Results) -> str:
  """The handful of numbers to take home."""
  parts = []
  if found.judges:
    judge = found.judges[0]
    for baseline, text in (
      ("sample", "over one SFT sample, across languages"),
      ("greedy", "over greedy decoding, across languages"),
    ):
      parts += _win_tile(found.averages[judge, baseline], f"win rate {text}")
    pairs = found.matrices[judge, "sample"].cross_lingual
    better = sum(cell.win.low > 0.5 for cell in pairs)
    if pairs:
      parts.append(
        _tile(
          f"{better} of {len(pairs)}",
          "cross-lingual pairs win over one sample",
          "interval over prompts above 50%",
        )
      )
  rows = findings.transferred(inputs)
  if rows:
    worst = min(rows, key=lambda row: row.gain)
    best = max(worst.majority, worst.length)
    parts.append(
      _tile(
        findings.percent(worst.accuracy),
        f"weakest reward model abroad, "
        f"{names.pair(worst.reward_model, worst.language)}",
        f"better baseline {findings.percent(best)}, n = {worst.n}",
      )
    )
  return f'<div class="tiles">{"".join(parts)}</div>' if parts else ""


def _listed(details: Sequence[str]) -> str:
  items = "".join(f"<li>{markup.text(detail)}</li>" for detail in details)
  return f"<ul>{items}</ul>" if items else ""


def shortfalls(checked: Sequence[expectations.Finding]) -> str:
  """A red box at the top of the page if anything falls short."""
  missed = [finding for finding in checked if finding.met is False]
  if not checked:
    return ""
  unmeasured = sum(finding.met is None for finding in checked)
  rest = f", {unmeasured} not measured" if unmeasured else ""
  if not missed:
    met = len(checked) - unmeasured
    sentence = f"Expectations stated beforehand: {met} met, 0 missed{rest}."
    return f'<div class="card fine">{markup.text(sentence)}</div>'
  items = "".join(
    f"<li>{markup.text(finding.expectation)}.{_listed(finding.details)}</li>"
    for finding in missed
  )
  return (
    f'<div class="card warning" role="note"><h2>{len(missed)} of '
    f"{len(checked)} expectations missed{rest}</h2><ul>{items}</ul></div>"
  )


def checklist(
  checked: Sequence[expectations.Finding], notes: Sequence[str]
) -> str:
  """Every expectation, met or not, and what a reader must know."""
  states = {
    True: ("met", "met"),
    False: ("missed", "MISSED"),
    None: ("unmeasured", "not measured"),
  }
  items = ""
  for finding in checked:
    kind, word = states[finding.met]
    items += (
      f'<li class="{kind}"><span class="state">{word}</span>'
      f"{markup.text(finding.expectation)}.{_listed(finding.details)}</li>"
    )
  listed = f'<ul class="card checks">{items}</ul>' if items else ""
  remarks = f"<h3>To keep in mind</h3>{_listed(notes)}" if notes else ""
  return markup.section("expectations", "What was expected", listed, remarks)


def _spoken(matrix: transfer_matrices.Matrix) -> str:
  parts = [
    f"{names.pair(cell.source, cell.target)} {findings.rate(cell.win)}"
    for cell in matrix.cells.values()
  ]
  return "Win rates: " + "; ".join(parts)


def _heatmaps(found: findings.Results) -> Iterator[str]:
  span = heatmaps.span_of(list(found.matrices.values()))
  for i, ((judge, baseline), matrix) in enumerate(found.matrices.items()):
    if matrix.cells:
      yield markup.figure(
        heatmaps.transfer(matrix, name=f"matrix{i}", span=span).svg(),
        names.judge_title(judge),
        _BASELINES[baseline],
        _spoken(matrix),
      )


def _win_cell(cell: transfer_matrices.Cell | None) -> str:
  if cell is None:
    return markup.cell("\u2013")
  win = cell.win
  kind = "bad" if win.high < 0.5 else "best" if win.low > 0.5 else ""
  return markup.cell(findings.percent(win.rate), findings.intervals(cell), kind)


def _pair_row(found: findings.Results, source: str, target: str) -> str:
  columns = []
  for judge in found.judges:
    sample, greedy = (
      found.matrices[judge, baseline].get(source, target)
      for baseline in findings.BASELINES
    )
    either = sample or greedy
    columns += [
      markup.cell(f"{either.win.n}" if either else "\u2013"),
      _win_cell(sample),
      markup.cell(f"{sample.win.ties / sample.win.n:.0%}" if sample else ""),
      _win_cell(greedy),
      markup.cell(
        f"{either.mean:.2f}" if either else "\u2013",
        " / ".join(
          f"{x.baseline_mean:.2f}" if x else "\u2013" for x in (sample, greedy)
        ),
      ),
    ]
  same = "same" if source == target else ""
  return markup.row(names.pair(source, target), columns, same)


def _pair_table(found: findings.Results) -> str:
  judges = "".join(
    f'<th scope="colgroup" colspan="5">{markup.text(names.judge(judge))}</th>'
    for judge in found.judges
  )
  columns = "".join(
    f'<th scope="col">{title}</th>'
    for title in (
      "n",
      "over sample",
      "ties",
      "over greedy",
      "mean score<br>sample / greedy",
    )
  )
  pair = '<th rowspan="2" scope="col">reward model \u2192 policy</th>'
  head = f"<tr>{pair}{judges}</tr><tr>{columns * len(found.judges)}</tr>"
  matrix = found.matrices[found.judges[0], "sample"]
  rows = [
    _pair_row(found, source, target)
    for same in (False, True)
    for target in matrix.targets
    for source in matrix.sources
    if (source == target) is same
    and any(m.get(source, target) for m in found.matrices.values())
  ]
  return markup.table(
    "Win rates of best-of-n with 95% intervals; bold: interval above 50%, red: "
    "below; last rows: one language on both sides",
    head,
    rows,
  )


def matrix(found: findings.Results) -> str:
  """The transfer matrix as heatmaps and as numbers, by every judge."""
  if not any(matrix.cells for matrix in found.matrices.values()):
    return ""
  own = f"reward/{transfer_matrices.TARGET}" in found.judges
  seeds = max(
    len(cell.by_seed)
    for m in found.matrices.values()
    for cell in m.cells.values()
  )
  between = (
    f" Second intervals: Student\u2019s, between {seeds} seeds."
    if seeds > 1
    else ""
  )
  remark = (
    "Where one language stands on both sides, the target-language reward "
    "model judges its own choice: that number shows optimisation, not quality."
  )
  return markup.section(
    "matrix",
    "The transfer matrix",
    markup.paragraph(
      "Share of prompts on which the chosen sample scores higher; ties count "
      f"one half. Intervals are Wilson\u2019s, over prompts.{between}",
      "lead",
    ),
    markup.key(
      ("ramp", "below 50% \u2013 50% \u2013 above"),
      ("box", "same language on both sides"),
      ("hatch", "not run"),
    ),
    markup.grid(_heatmaps(found)),
    _pair_table(found),
    markup.paragraph(remark, "small") if own else "",
  )


def _curve_spoken(target: str, lines: dict) -> str:
  parts = [
    f"{names.language(source)} reward model: "
    + ", ".join(f"k {p.k} {findings.percent(p.win_rate)}" for p in line)
    for source, line in lines.items()
  ]
  return f"Win rate against k for {names.language(target)}. " + "; ".join(parts)


def pool_curves(pool_curves: pool_curves_lib.Curves, judge: str) -> str:
  """Win rate against n, one figure per target."""
  drawn = []
  for i, target in enumerate(dict.fromkeys(t for _, t in pool_curves)):
    lines = {s: line for (s, t), line in pool_curves.items() if t == target}
    lines = {source: line for source, line in lines.items() if line}
    if not lines:
      continue
    prompts = next(iter(lines.values()))[0].n
    drawn.append(
      markup.figure(
        line_figures.curve(target, lines, name=f"curve{i}").svg(),
        f"{names.language(target)} policy",
        f"{names.judge(judge)}, {prompts} prompts, 95% bands",
        _curve_spoken(target, lines),
      )
    )
  if not drawn:
    return ""
  return markup.section(
    "curves",
    "Win rate against n",
    markup.paragraph(
      "The best of k samples against one other sample of the same policy, "
      "averaged over all subsets of every pool. Dashed lines: reward model of "
      "the policy\u2019s own language. Dotted: k/(k+1), reached only if the "
      "judge agrees with the reward model on every sample. A line that turns "
      "down shows a reward model being exploited.",
      "lead",
    ),
    markup.grid(drawn),
  )
