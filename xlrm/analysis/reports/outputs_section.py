"""Section of the report: outputs side by side."""

from collections.abc import Sequence

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import markup
from xlrm.evaluation import records as records_lib

Record = records_lib.EvalRecord
LONG_DOCUMENT = 700  # letters; longer ones open on demand


def _index(
  records: Sequence[Record], method: str
) -> dict[tuple[str, str], dict[tuple[int, str, str, str], Record]]:
  """(source, target) -> prompt -> record."""
  result: dict[tuple[str, str], dict[tuple[int, str, str, str], Record]] = {}
  for record in records:
    if record.method == method:
      key = (record.source, record.target)
      result.setdefault(key, {})[record.prompt] = record
  return result


def _differing(
  best: dict[tuple[int, str, str, str], Record],
  baseline: dict[tuple[int, str, str, str], Record],
) -> list[Record]:
  """Where the choice changed the output, in the order of the prompts."""
  return [
    best[prompt]
    for prompt in sorted(best)
    if prompt in baseline and best[prompt].output != baseline[prompt].output
  ]


def chosen_examples(records: Sequence[Record], count: int) -> list[Record]:
  """Best-of-n records to show, the pairs in turn, no document twice.

  Of each cross-lingual pair (of every pair, if there is none) the first
  prompts where the choice changed the output; never by their scores.
  """
  best = _index(records, "best_of_n")
  samples = _index(records, "sample")
  crossing = [pair for pair in best if pair[0] != pair[1]]
  queues = [
    _differing(best[pair], samples.get(("", pair[1]), {}))
    for pair in crossing or best
  ]
  shown, result = set(), []
  while len(result) < count and any(queues):
    for queue in queues:
      fresh = [r for r in queue if (r.target, r.prompt) not in shown]
      queue[:] = fresh[1:]
      if fresh and len(result) < count:
        shown.add((fresh[0].target, fresh[0].prompt))
        result.append(fresh[0])
  return result


def _scores(record: Record, judges: Sequence[str]) -> str:
  parts = []
  resolved = [
    judge.replace(transfer_matrices.TARGET, record.target) for judge in judges
  ]
  for name in dict.fromkeys(resolved):
    if name in record.scores:
      parts.append(
        f'<span class="score">{markup.text(name)} '
        f"<b>{record.scores[name]:.2f}</b></span>"
      )
  return "".join(parts)


def _output(
  title: str, code: str, output: str, scores: str, kind: str = ""
) -> str:
  shown = markup.text(output) if output.strip() else "<em>(empty)</em>"
  attribute = f' class="{kind}"' if kind else ""
  return (
    f'<div{attribute}><h4>{markup.text(title)}</h4><p lang="{code}" dir="auto">'
    f"{shown}</p>{scores}</div>"
  )


def _document(record: Record, code: str) -> str:
  body = markup.text(record.input)
  if len(record.input) <= LONG_DOCUMENT:
    return f'<p class="document" lang="{code}" dir="auto">{body}</p>'
  start = markup.text(record.input[: LONG_DOCUMENT // 2].rsplit(" ", 1)[0])
  return (
    f'<div class="document"><span lang="{code}" dir="auto">{start} \u2026'
    f"</span><details><summary>whole document</summary>"
    f'<div lang="{code}" dir="auto">{body}</div></details></div>'
  )


def _tag(best: Record, sample: Record, judge: str) -> str:
  name = judge.replace(transfer_matrices.TARGET, best.target)
  if name not in best.scores or name not in sample.scores:
    return ""
  margin = best.scores[name] - sample.scores[name]
  kind = "win" if margin > 0 else "loss" if margin < 0 else "tie"
  words = {
    "win": "beats the sample",
    "tie": "ties with the sample",
    "loss": "loses to the sample",
  }
  return f'<span class="tag {kind}">{words[kind]}</span>'


def _example(
  best: Record, others: dict[str, Record], judges: Sequence[str]
) -> str:
  code = markup.language_code(best.language)
  outputs = []
  if best.reference:
    outputs.append(_output("reference", code, best.reference, ""))
  for method in findings.BASELINES:
    record = others.get(method)
    if record:
      scores = _scores(record, judges)
      outputs.append(_output(names.method(method), code, record.output, scores))
  by = [*judges, f"reward/{best.source}"]
  title = f"best-of-n by {names.language(best.source)}"
  scores = _scores(best, by)
  outputs.append(_output(title, code, best.output, scores, "chosen"))
  tag = _tag(best, others["sample"], judges[0]) if judges else ""
  pair = names.pair(best.source, best.target)
  return (
    f'<article class="card example"><header><strong>{markup.text(pair)}'
    f"</strong>{tag}<code>{markup.text(best.example_id)}</code></header>"
    f"{_document(best, code)}"
    f'<div class="outputs">{"".join(outputs)}</div></article>'
  )


def examples(inputs: report_inputs.ReportInputs, judges: Sequence[str]) -> str:
  """Outputs side by side: reference, one sample, greedy, best-of-n."""
  baselines = {
    method: _index(inputs.records, method) for method in findings.BASELINES
  }
  shown = []
  for best in chosen_examples(inputs.records, inputs.num_examples):
    others = {
      method: index["", best.target][best.prompt]
      for method, index in baselines.items()
      if best.prompt in index.get(("", best.target), {})
    }
    shown.append(_example(best, others, judges))
  if not shown:
    return ""
  return markup.section(
    "outputs",
    "Outputs side by side",
    markup.paragraph(
      "The first prompts of every cross-lingual pair where the choice changed "
      "the output; chosen by their order, not by their scores.",
      "lead",
    ),
    *shown,
  )
