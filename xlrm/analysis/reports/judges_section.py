"""Section of the report: do the judges agree?"""

from collections.abc import Iterator, Sequence
import math

from xlrm.analysis import findings
from xlrm.analysis import judge_comparisons
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import markup


def _name(judge: str) -> str:
  """'German reward model', 'target-language reward model', 'ROUGE-L ...'."""
  language = judge.removeprefix(judge_comparisons.REWARD)
  if language in (judge, transfer_matrices.TARGET):
    return names.judge(judge)
  return f"{names.language(language)} reward model"


def _row(x: judge_comparisons.Instances, both: bool = False) -> str:
  name = f"{_name(x.first)} and {_name(x.judge)}" if both else _name(x.judge)
  judge = markup.cell(name, kind="text")
  kind = "same" if x.judge == f"{judge_comparisons.REWARD}{x.target}" else ""
  aside = [markup.cell(str(x.ties)), markup.cell(str(x.identical))]
  if x.found is None:
    dashes = [markup.cell("\u2013")] * 4
    return markup.row(
      names.language(x.target), [judge, markup.cell("0"), *dashes, *aside], kind
    )
  kappa = "\u2013" if math.isnan(x.found.kappa) else f"{x.found.kappa:.2f}"
  return markup.row(
    names.language(x.target),
    [
      judge,
      markup.cell(str(x.found.n)),
      markup.cell(findings.percent(x.found.rate)),
      markup.cell(findings.interval(x.found.low, x.found.high)),
      markup.cell(findings.percent(x.found.chance)),
      markup.cell(kappa),
      *aside,
    ],
    kind,
  )


def _rankings(found: Sequence[judge_comparisons.Ranking]) -> Iterator[str]:
  for x in found:
    yield markup.row(
      _name(x.judge),
      [
        markup.cell(str(x.targets)),
        markup.cell(str(x.counts.n)),
        markup.cell(str(x.counts.agreed)),
        markup.cell(str(x.counts.tied)),
        markup.cell(str(x.counts.disagreed)),
        markup.cell(findings.percent(x.counts.rate)),
        markup.cell("\u2013" if x.tau is None else f"{x.tau:+.2f}"),
      ],
    )


def _missing(found: Sequence[judge_comparisons.Instances]) -> str:
  listed = [
    f"{_name(x.judge)} on {names.language(x.target)}: {x.missing}"
    for x in found
    if x.missing
  ]
  if not listed:
    return ""
  return markup.paragraph(
    f"Pairs left out, because a score or a valid verdict is missing: "
    f"{'; '.join(listed)}.",
    "small",
  )


def _rank_part(inputs: report_inputs.ReportInputs, judges, said) -> list[str]:
  found = judge_comparisons.all_rankings(inputs.records, judges, said)
  if not found:
    return [
      markup.paragraph(
        "Ranking agreement is not measured: it takes two cross-lingual sources "
        "on one target.",
        "small",
      )
    ]
  most = max(x.counts.n for x in found)
  table = markup.table(
    "Which of two cross-lingual sources is better for best-of-n: pairs of "
    "sources that both judges put in the same order; a tie counts one half, "
    "by chance 50%",
    markup.columns(
      "judge",
      "targets",
      "pairs",
      "agreed",
      "tied",
      "disagreed",
      "agreement",
      "Kendall\u2019s tau",
      words=1,
    ),
    _rankings(found),
  )
  if most >= 10:
    return [table]
  return [
    table,
    markup.paragraph(
      f"{most} pair{'s' if most > 1 else ''} of sources at the most: chance "
      f"alone agrees on all of them with probability {0.5**most:.2g}.",
      "small",
    ),
  ]


def _head(judge: str) -> str:
  return markup.columns(
    "on",
    judge,
    "pairs",
    "agreement",
    "95% interval",
    "by chance",
    "kappa",
    "ties",
    "equal outputs",
  )


def _among(
  inputs: report_inputs.ReportInputs,
  targets: Sequence[str],
  said: judge_comparisons.Said,
) -> str:
  found = judge_comparisons.among(inputs.records, targets, said)
  if not found:
    return ""
  return markup.table(
    "Agreement of prompted judges and people with each other, on the pairs "
    "that both were asked about; as above",
    _head("judges"),
    [_row(x, both=True) for x in found],
  )


def section(
  inputs: report_inputs.ReportInputs,
  judges: Sequence[str],
  said: judge_comparisons.Said = judge_comparisons.NOBODY,
) -> str:
  """Agreement of the deciding judge with every other one.

  Args:
    judges: that score outputs, the deciding one first.
    said: of judges that gave verdicts.
  """
  targets = list(dict.fromkeys(x.target for x in inputs.records))
  found = (
    judge_comparisons.all_instances(inputs.records, judges, targets, said)
    if judges
    else []
  )
  if not found:
    return ""
  return markup.section(
    "judges",
    "Do the judges agree?",
    markup.paragraph(
      f"Of the same two outputs, one of best-of-n or PPO and one SFT sample: "
      f"does the judge prefer the one that the {names.judge(judges[0])} "
      "prefers? A reward model is not asked about outputs that it chose or "
      "trained itself.",
      "lead",
    ),
    markup.table(
      f"Agreement with the {names.judge(judges[0])} where both prefer one; "
      "chance: two judges with the same shares of wins; kappa: Cohen\u2019s; "
      "intervals are over prompts; left out: ties of either judge and equal "
      "outputs; shaded: the target\u2019s own reward model",
      _head("judge"),
      map(_row, found),
    ),
    _missing(found),
    _among(inputs, targets, said),
    *_rank_part(inputs, judges, said),
  )
