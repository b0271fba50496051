"""Section of the report: what every judge says of the same outputs.

Judges that score every output stand beside prompted judges and people, who
compared two at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
import itertools
import math

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import verdict_judges
from xlrm.analysis.exhibits import markup
from xlrm.analysis.exhibits import point_figures
from xlrm.evaluation import consistency
from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import win_rates

Lines = Sequence[verdict_judges.Line]
Comparison = verdict_judges.Comparison
_VALID = [x for x in pair_verdicts.KINDS if x != pair_verdicts.INVALID]
_MOST = 40  # rows of a table that is not one click away
_LONGEST = 24  # letters of a name beside a figure


def _compared(x: Comparison) -> str:
  """'best-of-n over one SFT sample'."""
  by = f" ({names.language(x.baseline_source)})" if x.baseline_source else ""
  return f"{names.method(x.method)} over {names.method(x.baseline)}{by}"


def _outputs(x: Comparison) -> str:
  """The same in a table, where the usual baseline is not said."""
  return names.method(x.method) if x.baseline == "sample" else _compared(x)


def _pair(x: Comparison) -> str:
  if not x.source:
    return names.language(x.target)
  return names.pair(x.source, x.target)


def _rate(win: win_rates.WinRate | None, marked: bool = True) -> str:
  if win is None:
    return markup.cell("\u2013")
  kind = "best" if win.low > 0.5 else "bad" if win.high < 0.5 else ""
  return markup.cell(
    findings.percent(win.rate),
    findings.interval(win.low, win.high),
    kind if marked else "",
  )


def _rows(lines: Lines, deciding: str) -> Iterator[str]:
  for x in lines:
    own = x.judge == deciding
    yield markup.row(
      _pair(x.comparison),
      [
        markup.cell(_outputs(x.comparison), kind="text"),
        markup.cell(names.judge(x.judge), kind="text"),
        markup.cell(str(x.win.n if x.win else 0)),
        _rate(x.win),
        markup.cell("\u2013") if own else _rate(x.deciding, marked=False),
        markup.cell(" / ".join(str(x.kinds.get(kind, 0)) for kind in _VALID)),
      ],
      "same" if own else "",
    )


def _beside(judges: Iterable[str]) -> dict[str, str]:
  """Judge -> its name in one or two lines, short unless two would be alike."""
  found = {}
  for judge in judges:
    name = names.SHORT_JUDGES.get(judge, names.judge(judge))
    lines = name.split(":", 1)
    cut = (
      part if len(part) <= _LONGEST else f"\u2026{part[1 - _LONGEST :]}"
      for part in lines
    )
    found[judge] = "\n".join(cut), "\n".join(lines)
  alike = Counter(short for short, _ in found.values())
  return {
    judge: full if alike[short] > 1 else short
    for judge, (short, full) in found.items()
  }


def _figure(name: str, lines: Lines) -> str:
  """One method on one target: a row for every judge, a colour for every
  source."""
  first = lines[0].comparison
  sources = {x.comparison.source for x in lines}
  own = first.target in sources
  rows: dict[str, dict[str, point_figures.Mark]] = {}
  for x in lines:
    if x.win:
      mark = point_figures.Mark(
        x.win.rate,
        x.win.low,
        x.win.high,
        is_open=x.comparison.source == first.target,
      )
      row = rows.setdefault(x.judge, {})
      row[names.language(x.comparison.source)] = mark
  title = _compared(first)
  labels = _beside(rows)
  spoken = "; ".join(
    f"{names.judge(x.judge)}, {_pair(x.comparison)} {findings.rate(x.win)}, "
    f"n {x.win.n}"
    for x in lines
    if x.win
  )
  return markup.figure(
    point_figures.dots(
      {labels[judge]: row for judge, row in rows.items()},
      name=name,
      x=point_figures.Axis("win rate", percent=True, lines={0.5: ""}),
      row_height=0.34 + 0.06 * len(sources),
    ).svg(),
    f"{_pair(first) if len(sources) == 1 else names.language(first.target)}: "
    f"{title}",
    "each judge on the prompts that it judged, 95% intervals"
    + ("; open: the target\u2019s own reward model" if own else ""),
    spoken,
  )


def _figures(lines: Lines) -> Iterator[str]:
  def group(x: verdict_judges.Line):
    return x.comparison.method, x.comparison.baseline, x.comparison.target

  for i, (_, own) in enumerate(itertools.groupby(lines, group)):
    own = list(own)
    if any(x.win for x in own):
      yield _figure(f"verdicts{i}", own)


def _not_shown(inputs: report_inputs.ReportInputs, lines: Lines) -> list[str]:
  """People's win rates with the prompts that they were not asked about."""
  sentences = []
  for x in lines:
    if x.judge != verdict_judges.PEOPLE or x.win is None:
      continue
    same, pairs = verdict_judges.unasked(inputs.records, x.comparison)
    if same:
      rate = (1 - same / pairs) * x.win.rate + same / pairs / 2
      sentences.append(
        f"{_pair(x.comparison)}, {_compared(x.comparison)}: {same} of {pairs} "
        "pairs of outputs are equal, and people were not shown them; with them "
        f"as ties it wins {findings.percent(rate)}."
      )
  return sentences


def _share(value: float, low: float, high: float) -> str:
  if math.isnan(value):
    return markup.cell("\u2013")
  return markup.cell(findings.percent(value), findings.interval(low, high))


def _habits(inputs: report_inputs.ReportInputs) -> Iterator[str]:
  verdicts = verdict_judges.asked(inputs.records, inputs.verdicts)
  for judge in sorted({x.judge for x in verdicts}):
    found = consistency.consistency([x for x in verdicts if x.judge == judge])
    yield markup.row(
      names.judge(judge),
      [
        markup.cell(str(found.n)),
        _share(found.first_shown, found.low, found.high),
        markup.cell(str(found.both_orders)),
        _share(found.same, found.same_low, found.same_high),
        markup.cell(str(found.ties)),
        markup.cell(str(found.invalid)),
      ],
    )


def section(
  inputs: report_inputs.ReportInputs,
  said: Mapping[str, verdict_judges.Said],
  judges: Sequence[str],
) -> str:
  """Win rates by every judge, side by side; empty without verdicts.

  Args:
    said: of `verdict_judges.said_by`.
    judges: that score outputs, the deciding one first.
  """
  if not said:
    return ""
  lines = list(verdict_judges.lines(inputs.records, said, judges))
  deciding = judges[0] if judges else ""
  table = markup.table(
    "Win rates over one SFT sample with 95% intervals, and what they are made "
    "of; bold: interval above 50%, red: below; shaded: the deciding judge, in "
    "a column of its own on the prompts that the other judged; split: the two "
    "orders, or as many people, say opposite things, which counts one half; "
    "invalid verdicts are left out",
    markup.columns(
      "reward model \u2192 policy",
      "method",
      "judge",
      "n",
      "win rate",
      f"{names.judge(deciding)} there",
      "wins / losses / ties / split",
      words=3,
    ),
    _rows(lines, deciding),
  )
  if len(lines) > _MOST:
    table = f"<details><summary>Numbers</summary>{table}</details>"
  rows = list(_habits(inputs))
  habits = markup.table(
    "Habits of those who compare two outputs: how often the output shown first "
    "(to people: on the left) wins, where one wins, fair is 50%; and how often "
    "a judge that was shown both orders says the same of both; without pairs "
    "of equal outputs, which no judge is asked about; 95% intervals over pairs "
    "of outputs",
    markup.columns(
      "judge",
      "verdicts",
      "first shown wins",
      "pairs in both orders",
      "same verdict",
      "ties",
      "invalid",
      words=1,
    ),
    rows,
  )
  return markup.section(
    "verdicts",
    "What every judge says",
    markup.paragraph(
      "All that prompted judges and people were asked about, beside the judges "
      "that score every output. Ties count one half; of several people who "
      "judged one pair the mean counts. A reward model is not asked about what "
      "it chose or trained itself. Judges that saw other prompts are compared "
      "by what the deciding judge says there.",
      "lead",
    ),
    markup.grid(_figures(lines)),
    table,
    *map(markup.paragraph, _not_shown(inputs, lines)),
    habits if rows else "",
  )
