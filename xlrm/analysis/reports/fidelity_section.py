"""Section of the report on what outputs are like, whatever judges say.

Length, copying and repetition, the language of the outputs, and wins that came
with a change of it.
"""

from collections.abc import Iterator, Sequence
import itertools

from xlrm.analysis import findings
from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis.exhibits import markup
from xlrm.evaluation import fidelity
from xlrm.evaluation import language_changes
from xlrm.evaluation import language_id
from xlrm.evaluation import pairing
from xlrm.evaluation import records as records_lib
from xlrm.evaluation import win_rates

Record = records_lib.EvalRecord
Identifier = language_id.Identifier


def _group(record: Record) -> tuple:
  return (
    record.target,
    record.method != "sample",
    record.method != "greedy",
    record.method,
    record.source,
  )


def _statistics(
  records: Sequence[Record], identifier: Identifier | None
) -> Iterator[str]:
  for (target, _, _, method, source), group in itertools.groupby(
    sorted(records, key=_group), _group
  ):
    found = fidelity.fidelity(list(group), identifier)
    by = f", {names.language(source)} reward model" if source else ""
    shares = (found.empty, found.copied, found.repeated, found.duplicates)
    yield markup.row(
      names.method(method) + by,
      [
        markup.cell(names.language(target), kind="text"),
        markup.cell(str(found.n)),
        markup.cell(
          "\u2013"
          if found.in_language is None
          else findings.percent(found.in_language)
        ),
        markup.cell(f"{found.words:.1f}"),
        *(markup.cell(findings.percent(share)) for share in shares),
      ],
    )


def _in_language(pair: pairing.Pair, identifier: Identifier) -> bool:
  """Whether both outputs are in the language asked."""
  asked = language_id.primary(pair.ours.language)
  return all(
    identifier.identify(x.output) == asked for x in (pair.ours, pair.theirs)
  )


def _changes(
  records: Sequence[Record],
  matrix: transfer_matrices.Matrix,
  identifier: Identifier,
) -> Iterator[
  tuple[
    transfer_matrices.Cell,
    language_changes.LanguageChanges,
    win_rates.WinRate | None,
  ]
]:
  """Cell, its wins by what became of the language, and its win rate where
  both sides kept it."""
  if not matrix.cells:
    return
  pairs = pairing.pair(records, matrix.method, matrix.baseline).pairs
  for cell in matrix.cells.values():
    own = [x for x in pairs if x.cell == (cell.source, cell.target)]
    outcomes = [cell.outcomes.get(x.ours.prompt) for x in own]
    found = language_changes.of_wins(own, outcomes, identifier)
    if found is None:
      continue
    kept = {
      pair.ours.prompt: outcome
      for pair, outcome in zip(own, outcomes)
      if outcome is not None and _in_language(pair, identifier)
    }
    yield cell, found, transfer_matrices.win_rate(kept) if kept else None


def _line(matrix: transfer_matrices.Matrix, cell, found, kept) -> str:
  return markup.row(
    names.method(matrix.method),
    [
      markup.cell(names.pair(cell.source, cell.target), kind="text"),
      markup.cell(str(found.wins)),
      markup.cell(str(found.changed)),
      markup.cell(str(found.left), kind="bad" if found.left else ""),
      markup.cell(str(found.returned)),
      markup.cell(str(found.neither)),
      markup.cell(
        findings.percent(cell.win.rate),
        findings.interval(cell.win.low, cell.win.high),
      ),
      markup.cell(
        findings.percent(kept.rate), findings.interval(kept.low, kept.high)
      )
      if kept
      else markup.cell("\u2013"),
      markup.cell(str(kept.n if kept else 0)),
    ],
    "same" if cell.source == cell.target else "",
  )


def _total(
  judge: str, changes: Sequence[language_changes.LanguageChanges]
) -> str:
  wins = sum(x.wins for x in changes)
  changed = sum(x.changed for x in changes)
  by = names.by_judge(judge)
  if not changed:
    return f"{by} none of {wins} wins came with a change of language."
  left, returned = (
    sum(getattr(x, name) for x in changes) for name in ("left", "returned")
  )
  return (
    f"{by} {changed} of {wins} wins ({findings.percent(changed / wins)}) came "
    f"with a change of language: in {left} the winner is not in the language "
    f"asked and the sample is, in {returned} it is the other way round."
  )


def _language_part(
  inputs: report_inputs.ReportInputs, results: findings.Results
) -> list[str]:
  identifier, judges = inputs.identifier, results.judges
  if identifier is None:
    sentence = f"The language of the outputs is {language_id.NOT_MEASURED}."
    return [markup.paragraph(sentence)]
  by_judge = {
    judge: [
      (matrices[judge, "sample"], *change)
      for matrices in (results.matrices, results.ppo)
      for change in _changes(
        inputs.records, matrices[judge, "sample"], identifier
      )
    ]
    for judge in judges
  }
  found = by_judge[judges[0]] if judges else []
  known = ", ".join(names.language(x) for x in identifier.languages[:12])
  told = f"Languages are told apart by {identifier.name}, among {known}."
  if not found:
    return [markup.paragraph(told, "small")]
  head = markup.columns(
    "outputs",
    "reward model \u2192 policy",
    "wins",
    "changed",
    "left",
    "returned to",
    "otherwise",
    "win rate",
    "where kept",
    "n",
  )
  table = markup.table(
    f"Wins over one SFT sample by the {names.judge(judges[0])} that came with "
    "a change of language, and the win rate where both sides kept it; left: "
    "the winner is not in the language asked, the sample is",
    head,
    [_line(*x) for x in found],
  )
  totals = [
    markup.paragraph(_total(judge, [x[2] for x in rows]))
    for judge, rows in by_judge.items()
    if rows
  ]
  return [*totals, table, markup.paragraph(told, "small")]


def section(
  inputs: report_inputs.ReportInputs, results: findings.Results
) -> str:
  """What the outputs of every method are like."""
  head = markup.columns(
    "outputs",
    "policy",
    "n",
    "in its language",
    "words",
    "empty",
    "copied",
    "repeated",
    "duplicates",
  )
  caption = (
    "Share of outputs in the language asked; mean words; share of outputs "
    "without a word; of word triples that stand in the document; of word "
    "triples said before; of outputs that answer another prompt too"
  )
  rows = _statistics(inputs.records, inputs.identifier)
  return markup.section(
    "fidelity",
    "What the outputs are like",
    markup.table(caption, head, rows),
    *_language_part(inputs, results),
  )
