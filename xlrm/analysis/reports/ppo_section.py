"""Section of the report on policies aligned by PPO."""

import base64
from collections.abc import Iterator

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import markup


def _against_best_of_n(
  inputs: report_inputs.ReportInputs, judge: str, cell: transfer_matrices.Cell
) -> str:
  """Mean score of best-of-n by the same reward model, for comparison."""
  name = judge.replace(transfer_matrices.TARGET, cell.target)
  scores = [
    record.scores[name]
    for record in inputs.records
    if (record.method, record.source, record.target)
    == ("best_of_n", cell.source, cell.target)
    and name in record.scores
  ]
  return f"{sum(scores) / len(scores):.2f}" if scores else "\u2013"


def _rows(
  inputs: report_inputs.ReportInputs, found: findings.Results
) -> Iterator[str]:
  for pair in found.ppo[found.judges[0], "sample"].cells:
    for judge in found.judges:
      sample, greedy = (
        found.ppo[judge, baseline].get(*pair) for baseline in findings.BASELINES
      )
      if sample is None:
        continue
      yield markup.row(
        names.pair(*pair),
        [
          markup.cell(names.judge(judge), kind="text"),
          markup.cell(str(sample.win.n)),
          markup.cell(
            findings.percent(sample.win.rate),
            findings.intervals(sample),
            "best" if sample.win.low > 0.5 else "",
          ),
          markup.cell(
            findings.percent(greedy.win.rate),
            findings.intervals(greedy),
          )
          if greedy
          else markup.cell("\u2013"),
          markup.cell(f"{sample.mean:.2f}"),
          markup.cell(f"{sample.baseline_mean:.2f}"),
          markup.cell(f"{greedy.baseline_mean:.2f}" if greedy else "\u2013"),
          markup.cell(_against_best_of_n(inputs, judge, sample)),
        ],
      )


def section(inputs: report_inputs.ReportInputs, found: findings.Results) -> str:
  """Win rates of PPO and its panel; empty without such records."""
  if not any(x.method == "ppo" for x in found.deciding):
    return ""
  head = markup.columns(
    "reward model \u2192 policy",
    "judge",
    "n",
    "over one SFT sample",
    "over SFT greedy",
    "mean score, PPO",
    "SFT sample",
    "SFT greedy",
    "best-of-n",
  )
  panels = [
    f"<figure><figcaption>{markup.text(label)}: the panel against reward "
    "hacking</figcaption>"
    f'<img alt="metrics of {markup.text(label)} against steps" '
    f'src="data:image/png;base64,{base64.b64encode(picture).decode()}" '
    'style="width:100%;height:auto"></figure>'
    for label, picture in inputs.panels.items()
  ]
  return markup.section(
    "ppo",
    "PPO",
    markup.paragraph(
      "One sample of the policy after PPO against one sample of the policy "
      "that it started from, same prompts and temperature; ties count one "
      "half, 95% Wilson intervals. The last columns are mean scores.",
      "lead",
    ),
    markup.table(
      "PPO against the SFT model",
      head,
      list(_rows(inputs, found)),
    ),
    "".join(panels),
  )
