"""Judges that say which of two outputs is better: prompted models and people.

They give `records.Verdict` lines and no scores, perhaps of some prompts only.
What they say is put beside the judges that score every output.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import statistics

from xlrm.analysis import transfer_matrices
from xlrm.evaluation import pair_verdicts
from xlrm.evaluation import records as records_lib
from xlrm.evaluation import win_rates

PERSON = "person/"  # before the name of an annotator
PEOPLE = "people"  # all annotators together
Ids = tuple[str, str]  # of the method's record and of the baseline's
Kinds = Mapping[Ids, str]  # one of `pair_verdicts.KINDS`
By = Mapping[str, records_lib.EvalRecord]


@dataclasses.dataclass(frozen=True)
class Said:
  """What one judge said.

  Attributes:
    kinds: comparison -> one of `pair_verdicts.KINDS`, for its first record. Of
      people, where as many prefer one output as the other: `inconsistent`.
    outcomes: comparison -> 1, 1/2 or 0; of people their mean. Without those
      that are invalid.
  """

  kinds: Kinds
  outcomes: Mapping[Ids, float]


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Whose outputs are compared; `baseline_source` is empty for SFT's."""

  method: str
  source: str
  target: str
  baseline: str
  baseline_source: str = ""


@dataclasses.dataclass(frozen=True)
class Line:
  """One judge on one comparison.

  Attributes:
    comparison: whose outputs.
    judge: name.
    win: win rate of the method; None if no verdict is valid.
    kinds: how often each of `pair_verdicts.KINDS`, over prompts and seeds.
    deciding: win rate by the report's deciding judge on the same prompts.
  """

  comparison: Comparison
  judge: str
  win: win_rates.WinRate | None
  kinds: Mapping[str, int]
  deciding: win_rates.WinRate | None


def _kinds(verdicts: Sequence[records_lib.Verdict], by_id: By) -> Kinds:
  """Of one judge, one order or both of each comparison."""
  told: dict[Ids, list[str]] = {}
  for x in verdicts:
    ids, outcome = (x.first, x.second), x.outcome
    if not by_id[x.first].source and by_id[x.second].source:
      ids = ids[::-1]  # the baseline was named first
      outcome = {"first": "second", "second": "first"}.get(outcome, outcome)
    told.setdefault(ids, []).append(outcome)
  return {ids: pair_verdicts.kind_of(x) for ids, x in told.items()}


def _said(kinds: Kinds) -> Said:
  hard = {
    ids: pair_verdicts.PairVerdict(kind, None, None).hard
    for ids, kind in kinds.items()
  }
  return Said(kinds, {ids: x for ids, x in hard.items() if x is not None})


def _together(people: Sequence[Said]) -> Said:
  """The mean of all who judged a comparison."""
  asked = dict.fromkeys(ids for person in people for ids in person.kinds)
  kinds, means = {}, {}
  for ids in asked:
    outcomes = [x.outcomes[ids] for x in people if ids in x.outcomes]
    kinds[ids] = pair_verdicts.INVALID
    if outcomes:
      means[ids] = mean = statistics.fmean(outcomes)
      split = len(set(outcomes)) > 1
      kinds[ids] = (
        pair_verdicts.WIN
        if mean > 0.5
        else pair_verdicts.LOSS
        if mean < 0.5
        else pair_verdicts.INCONSISTENT
        if split
        else pair_verdicts.TIE
      )
  return Said(kinds, means)


def said_by(
  records: Sequence[records_lib.EvalRecord],
  verdicts: Sequence[records_lib.Verdict],
) -> dict[str, Said]:
  """Judge -> what it said: prompted ones by name, PEOPLE, and each of several.

  Args:
    records: all that the verdicts name.
    verdicts: of all judges, one for an order of a comparison.
  """
  by_id = {record.id: record for record in records}
  own: dict[str, list[records_lib.Verdict]] = {}
  for x in sorted(verdicts, key=lambda x: x.judge):
    own.setdefault(x.judge, []).append(x)
  found = {judge: _said(_kinds(x, by_id)) for judge, x in own.items()}
  people = [name for name in found if name.startswith(PERSON)]
  prompted = {x: found[x] for x in found if x not in people}
  if not people:
    return prompted
  persons = {name: found[name] for name in people}
  together = {PEOPLE: _together(list(persons.values()))}
  return prompted | together | (persons if len(people) > 1 else {})


def shown(said: Mapping[str, Said]) -> list[str]:
  """Judges without single persons."""
  return [name for name in said if not name.startswith(PERSON)]


def by_text(
  records: Sequence[records_lib.EvalRecord], said: Said
) -> dict[tuple, float | None]:
  """(prompt, output, the other output) -> outcome, None where invalid: records
  of two sources with the same outputs share a verdict."""
  by_id = {record.id: record for record in records}
  found = {}
  for first, second in said.kinds:
    ours, theirs = by_id[first], by_id[second]
    outcome = said.outcomes.get((first, second))
    found[ours.prompt, ours.output, theirs.output] = outcome
  return found


def _comparison(ours, theirs) -> Comparison:
  return Comparison(
    ours.method, ours.source, ours.target, theirs.method, theirs.source
  )


def _grouped(
  said: Said, by_id: By
) -> dict[Comparison, dict[Ids, transfer_matrices.Prompt]]:
  found: dict[Comparison, dict[Ids, transfer_matrices.Prompt]] = {}
  for ids in said.kinds:
    ours, theirs = (by_id[x] for x in ids)
    found.setdefault(_comparison(ours, theirs), {})[ids] = ours.prompt
  return found


def _outcomes(
  said: Said, prompts: Mapping[Ids, transfer_matrices.Prompt]
) -> dict[transfer_matrices.Prompt, float]:
  return {
    prompt: said.outcomes[ids]
    for ids, prompt in prompts.items()
    if ids in said.outcomes
  }


def matrix(
  records: Sequence[records_lib.EvalRecord],
  judge: str,
  said: Said,
  method: str = "best_of_n",
) -> transfer_matrices.Matrix:
  """As `cells.transfer_matrix` against one SFT sample; means are the shares of
  wins of either side."""
  by_id = {record.id: record for record in records}
  made = {}
  for x, prompts in _grouped(said, by_id).items():
    outcomes = _outcomes(said, prompts)
    wanted = (x.method, x.baseline, x.baseline_source)
    if outcomes and x.source and wanted == (method, "sample", ""):
      win = transfer_matrices.win_rate(outcomes)
      left_out = len(prompts) - len(outcomes)
      made[x.source, x.target] = transfer_matrices.Cell(
        x.source, x.target, win, win.rate, 1 - win.rate, left_out, outcomes
      )
  sources, targets = (dict.fromkeys(pair[i] for pair in made) for i in (0, 1))
  return transfer_matrices.Matrix(
    judge, method, "sample", tuple(sources), tuple(targets), made
  )


Sides = tuple[dict, dict]  # prompt -> record, of the method and the baseline


def _sides(records: Sequence[records_lib.EvalRecord], x: Comparison) -> Sides:
  """Both outputs of every prompt that both answered."""
  ours = transfer_matrices.by_prompt(records, x.method, x.source, x.target)
  theirs = transfer_matrices.by_prompt(
    records, x.baseline, x.baseline_source, x.target
  )
  prompts = [prompt for prompt in ours if prompt in theirs]
  return {p: ours[p] for p in prompts}, {p: theirs[p] for p in prompts}


def _scored(
  sides: Sides, x: Comparison, judge: str
) -> transfer_matrices.Outcomes:
  """Outcomes by a judge that scores; none where it judges its own choice."""
  name = judge.replace(transfer_matrices.TARGET, x.target)
  if name in (f"reward/{x.source}", f"reward/{x.baseline_source}"):
    return {}
  prompts = [
    prompt
    for prompt in sides[0]
    if all(name in side[prompt].scores for side in sides)
  ]
  if not prompts:
    return {}
  scores = [[side[p].scores[name] for p in prompts] for side in sides]
  found = win_rates.hard(*scores)
  return dict(zip(prompts, found.tolist(), strict=True))


def _win(outcomes: transfer_matrices.Outcomes) -> win_rates.WinRate | None:
  return transfer_matrices.win_rate(outcomes) if outcomes else None


def _among(
  outcomes: transfer_matrices.Outcomes, prompts
) -> transfer_matrices.Outcomes:
  return {x: outcomes[x] for x in prompts if x in outcomes}


_SIGN = {
  1.0: pair_verdicts.WIN,
  0.5: pair_verdicts.TIE,
  0.0: pair_verdicts.LOSS,
}


def lines(
  records: Sequence[records_lib.EvalRecord],
  said: Mapping[str, Said],
  judges: Sequence[str],
) -> Iterator[Line]:
  """Every comparison that a judge of `said` was asked about, by every judge.

  Args:
    said: of `said_by`.
    judges: that score outputs, the deciding one first.
  """
  by_id = {record.id: record for record in records}
  asked = {name: _grouped(said[name], by_id) for name in shown(said)}
  order = {x: i for i, x in enumerate(dict.fromkeys(r.target for r in records))}
  comparisons = dict.fromkeys(x for found in asked.values() for x in found)
  for x in sorted(
    comparisons, key=lambda x: (x.method, x.baseline, order[x.target])
  ):
    sides = _sides(records, x)
    scored = {judge: _scored(sides, x, judge) for judge in judges}
    deciding = scored[judges[0]] if judges else {}
    for judge, outcomes in scored.items():
      if outcomes:
        kinds = Counter(_SIGN[value] for value in outcomes.values())
        same = _win(_among(deciding, outcomes))
        yield Line(x, judge, _win(outcomes), kinds, same)
    for judge, found in asked.items():
      if x in found:
        outcomes = _outcomes(said[judge], found[x])
        kinds = Counter(said[judge].kinds[ids] for ids in found[x])
        same = _win(_among(deciding, outcomes))
        yield Line(x, judge, _win(outcomes), kinds, same)


def asked(
  records: Sequence[records_lib.EvalRecord],
  verdicts: Sequence[records_lib.Verdict],
) -> list[records_lib.Verdict]:
  """Without pairs of equal outputs, ties that no judge was asked about."""
  outputs = {record.id: record.output for record in records}
  return [x for x in verdicts if outputs[x.first] != outputs[x.second]]


def unasked(
  records: Sequence[records_lib.EvalRecord], x: Comparison
) -> tuple[int, int]:
  """Pairs of equal outputs, which people are not shown, and all pairs."""
  ours, theirs = _sides(records, x)
  same = [ours[p].output.split() == theirs[p].output.split() for p in ours]
  return sum(same), len(same)
