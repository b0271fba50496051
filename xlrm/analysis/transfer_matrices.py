"""The transfer matrix: how well each source language aligns each target.

A cell is keyed by (method, source, target, judge) and compares a method with a
baseline of the same policy on the same prompts. What was not run is None.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses

import numpy as np

from xlrm.evaluation import records as records_lib
from xlrm.evaluation import win_rates

Records = Sequence[records_lib.EvalRecord]
Prompt = tuple[int, str, str, str]  # see `EvalRecord.prompt`
Outcomes = Mapping[Prompt, float]  # 1 a win, 1/2 a tie, 0 a loss
# In a judge's name: the target-language reward model is "reward/{target}".
TARGET = "{target}"


@dataclasses.dataclass(frozen=True)
class Cell:
  """One pair of languages under one judge.

  Attributes:
    source: language of the reward model.
    target: language of the policy.
    win: win rate of the method, macro-averaged over datasets. Of several seeds
      a prompt's outcomes are averaged first, so n counts prompts.
    mean: mean score of the method's outputs.
    baseline_mean: mean score of the baseline's outputs.
    unpaired: prompts left out because one side lacks an output or a score.
    outcomes: prompt -> outcome, what `win` is made of.
    by_seed: seed -> win rate with it.
  """

  source: str
  target: str
  win: win_rates.WinRate
  mean: float
  baseline_mean: float
  unpaired: int
  outcomes: Outcomes = dataclasses.field(repr=False)
  by_seed: dict[int, float] = dataclasses.field(default_factory=dict)

  @property
  def cross_lingual(self) -> bool:
    return self.source != self.target

  @property
  def between_seeds(self) -> tuple[float, float] | None:
    """95% interval between seeds; None with one seed."""
    if len(self.by_seed) < 2:
      return None
    return win_rates.between_runs(list(self.by_seed.values()))


@dataclasses.dataclass(frozen=True)
class Matrix:
  """Cells of one method, one baseline and one judge.

  Attributes:
    judge: as in the records, with TARGET where it differs by target.
    method: whose outputs win.
    baseline: against whose outputs.
    sources: rows.
    targets: columns.
    cells: (source, target) -> cell, for what was run.
  """

  judge: str
  method: str
  baseline: str
  sources: tuple[str, ...]
  targets: tuple[str, ...]
  cells: dict[tuple[str, str], Cell]

  def get(self, source: str, target: str) -> Cell | None:
    return self.cells.get((source, target))

  @property
  def cross_lingual(self) -> tuple[Cell, ...]:
    """The cells off the diagonal."""
    return tuple(cell for cell in self.cells.values() if cell.cross_lingual)


@dataclasses.dataclass(frozen=True)
class _Paired:
  """Scores of both sides on the prompts that both answered."""

  prompts: tuple[Prompt, ...]
  ours: np.ndarray
  theirs: np.ndarray
  unpaired: int

  @property
  def outcomes(self) -> Outcomes:
    found = win_rates.hard(self.ours, self.theirs)
    return dict(zip(self.prompts, found.tolist(), strict=True))


def ordered(languages: Iterable[str], first: Iterable[str] = ()) -> list[str]:
  """Each once: those of `first` in their order, then the rest by name."""
  present = set(languages)
  head = [name for name in dict.fromkeys(first) if name in present]
  return head + sorted(present - set(head))


def by_prompt(
  records: Records, method: str, source: str, target: str
) -> dict[Prompt, records_lib.EvalRecord]:
  """Prompt -> the record with which the method answers it.

  Raises:
    ValueError: two records answer one prompt.
  """
  chosen = {}
  for record in records:
    if (record.method, record.source, record.target) == (
      method,
      source,
      target,
    ):
      if record.prompt in chosen:
        raise ValueError(f"two records answer one prompt: {record.id}")
      chosen[record.prompt] = record
  return chosen


def _paired(
  records: Records,
  key: tuple[str, str, str],
  baseline: str,
  judge: str,
) -> _Paired | None:
  """Both sides of a cell; None if no prompt has both."""
  method, source, target = key
  name = judge.replace(TARGET, target)
  ours = by_prompt(records, method, source, target)
  theirs = by_prompt(records, baseline, "", target)
  prompts = tuple(
    prompt
    for prompt in ours
    if prompt in theirs
    and name in ours[prompt].scores
    and name in theirs[prompt].scores
  )
  if not prompts:
    return None
  return _Paired(
    prompts,
    np.array([ours[prompt].scores[name] for prompt in prompts]),
    np.array([theirs[prompt].scores[name] for prompt in prompts]),
    len(ours.keys() | theirs.keys()) - len(prompts),
  )


def over_seeds(outcomes: Outcomes) -> dict[tuple[str, str, str], float]:
  """(task, dataset, example) -> mean outcome: the same prompt under several
  seeds is one observation."""
  found: dict[tuple[str, str, str], list[float]] = {}
  for prompt, outcome in outcomes.items():
    found.setdefault(prompt[1:], []).append(outcome)
  return {prompt: float(np.mean(values)) for prompt, values in found.items()}


def win_rate(outcomes: Outcomes) -> win_rates.WinRate:
  """Macro-averaged over (task, dataset)."""
  parts: dict[tuple[str, str], list[float]] = {}
  for prompt, outcome in over_seeds(outcomes).items():
    parts.setdefault(prompt[:2], []).append(outcome)
  return win_rates.macro_average(
    [win_rates.win_rate(np.array(values)) for values in parts.values()]
  )


def _by_seed(outcomes: Outcomes) -> dict[int, float]:
  """Seed -> win rate of its outcomes alone."""
  return {
    seed: win_rate({x: y for x, y in outcomes.items() if x[0] == seed}).rate
    for seed in sorted({prompt[0] for prompt in outcomes})
  }


def check_one_study(records: Records) -> None:
  """Raises ValueError if the records are of several studies."""
  studies = sorted({record.study for record in records})
  if len(studies) > 1:
    raise ValueError(f"records of {len(studies)} studies: {studies}; use one")


def transfer_matrix(
  records: Records,
  *,
  judge: str,
  method: str = "best_of_n",
  baseline: str = "sample",
) -> Matrix:
  """Win rates of a method over a baseline for every pair that was run.

  Args:
    records: of one study. The same prompt under several seeds is paired seed
      by seed and counts once, so an interval is one over prompts.
    judge: name in `scores`, e.g. "gold" or "reward/{target}".
    method: method whose records carry a source language.
    baseline: method without a source, e.g. one sample of the SFT model.

  Raises:
    ValueError: records of two studies, or two for one prompt of a cell.
  """
  check_one_study(records)
  pairs = dict.fromkeys(
    (record.source, record.target)
    for record in records
    if record.method == method and record.source
  )
  cells = {}
  for source, target in pairs:
    paired = _paired(records, (method, source, target), baseline, judge)
    if paired is None:
      continue
    cells[source, target] = Cell(
      source,
      target,
      win_rate(paired.outcomes),
      float(paired.ours.mean()),
      float(paired.theirs.mean()),
      paired.unpaired,
      paired.outcomes,
      _by_seed(paired.outcomes),
    )
  targets = tuple(dict.fromkeys(target for _, target in pairs))
  sources = ordered(
    (source for source, _ in pairs),
    [*(source for source, _ in pairs if source not in targets), *targets],
  )
  return Matrix(judge, method, baseline, tuple(sources), targets, cells)


def cross_lingual_average(matrix: Matrix) -> win_rates.WinRate | None:
  """Mean win rate off the diagonal; None if nothing is there.

  The sources of one target answer the same prompts, so each prompt's outcomes
  are averaged over sources first; then targets count equally.
  """
  parts = []
  for target in matrix.targets:
    outcomes: dict[Prompt, list[float]] = {}
    for cell in matrix.cross_lingual:
      if cell.target == target:
        for prompt, outcome in cell.outcomes.items():
          outcomes.setdefault(prompt, []).append(outcome)
    if outcomes:
      means = {x: float(np.mean(values)) for x, values in outcomes.items()}
      parts.append(win_rate(means))
  return win_rates.macro_average(parts) if parts else None


def mean_scores(
  records: Records, *, judge: str, method: str
) -> dict[str, tuple[float, int]]:
  """Target -> mean score of a method without source, and its n."""
  values: dict[str, list[float]] = {}
  for record in records:
    name = judge.replace(TARGET, record.target)
    if record.method == method and name in record.scores:
      values.setdefault(record.target, []).append(record.scores[name])
  return {
    target: (float(np.mean(scores)), len(scores))
    for target, scores in values.items()
  }
