"""What the numbers say, in sentences: did it transfer?"""

from collections.abc import Mapping, Sequence
import dataclasses

from xlrm.analysis import names
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis import verdict_judges
from xlrm.evaluation import accuracy
from xlrm.evaluation import win_rates

BASELINES = ("sample", "greedy")


@dataclasses.dataclass(frozen=True)
class Results:
  """Everything computed from the records, once.

  Attributes:
    judges: the deciding one first.
    matrices: (judge, baseline) -> matrix of best-of-n.
    ppo: (judge, baseline) -> matrix of PPO.
    averages: (judge, baseline) -> mean win rate of best-of-n over
      cross-lingual pairs.
    said: judge that compares two outputs, see `verdict_judges` -> its verdicts.
  """

  judges: tuple[str, ...]
  matrices: Mapping[tuple[str, str], transfer_matrices.Matrix]
  ppo: Mapping[tuple[str, str], transfer_matrices.Matrix]
  averages: Mapping[tuple[str, str], win_rates.WinRate | None]
  said: Mapping[str, verdict_judges.Said]

  @property
  def deciding(self) -> tuple[transfer_matrices.Matrix, ...]:
    """Best-of-n and PPO against one sample by the deciding judge, where they
    were run."""
    both = (self.matrices, self.ppo)
    found = [x[judge, "sample"] for judge in self.judges[:1] for x in both]
    return tuple(matrix for matrix in found if matrix.cells)


@dataclasses.dataclass(frozen=True)
class Verdict:
  """The answer to "did it transfer?" and the sentences behind it."""

  answer: str
  sentences: tuple[str, ...]


def _matrices(
  inputs: report_inputs.ReportInputs, judges: tuple[str, ...], method: str
) -> dict[tuple[str, str], transfer_matrices.Matrix]:
  return {
    (judge, baseline): transfer_matrices.transfer_matrix(
      inputs.records, judge=judge, method=method, baseline=baseline
    )
    for judge in judges
    for baseline in BASELINES
  }


def results(inputs: report_inputs.ReportInputs) -> Results:
  """Matrices of every judge against every baseline."""
  judges = report_inputs.judges_of(inputs)
  matrices = _matrices(inputs, judges, "best_of_n")
  ppo = _matrices(inputs, judges, "ppo")
  averages = {
    key: transfer_matrices.cross_lingual_average(matrix)
    for key, matrix in matrices.items()
  }
  said = verdict_judges.said_by(inputs.records, inputs.verdicts)
  return Results(judges, matrices, ppo, averages, said)


def percent(value: float) -> str:
  return f"{100 * value:.1f}%"


def interval(low: float, high: float) -> str:
  """[54.1, 60.4], in percent."""
  return f"[{100 * low:.1f}, {100 * high:.1f}]"


def intervals(cell: transfer_matrices.Cell) -> str:
  """Over prompts and, where there are several seeds, between them."""
  text = interval(cell.win.low, cell.win.high)
  between = cell.between_seeds
  return text if between is None else f"{text}; seeds {interval(*between)}"


def rate(win: win_rates.WinRate) -> str:
  return f"{percent(win.rate)} {interval(win.low, win.high)}"


def _count(part: int, whole: int, what: str) -> str:
  if part == whole:
    return f"the only {what}" if whole == 1 else f"all {whole} {what}s"
  return f"{part} of {whole} {what}{'s' if whole > 1 else ''}"


def _pool_size(inputs: report_inputs.ReportInputs) -> str:
  found = {r.pool["n"] for r in inputs.records if "n" in r.pool}
  return str(found.pop()) if len(found) == 1 else "n"


def transferred(
  inputs: report_inputs.ReportInputs,
) -> list[accuracy.AccuracyRow]:
  """Trained reward models on languages that they were not trained on."""
  untrained = inputs.expectations and inputs.expectations.baseline_model
  return [
    row
    for row in inputs.accuracy
    if row.language != row.reward_model != untrained
  ]


def _accuracy_sentence(inputs: report_inputs.ReportInputs) -> list[str]:
  rows = transferred(inputs)
  if not rows:
    return []
  low, high = (f(row.accuracy for row in rows) for f in (min, max))
  worst = min(rows, key=lambda row: row.gain)
  above = worst.gain >= 0
  return [
    f"On held-out ratings in languages they were not trained on, the reward "
    f"models are right {percent(low)} to {percent(high)} of the time; the "
    f"weakest stands {abs(100 * worst.gain):.1f} points "
    f"{'above' if above else 'BELOW'} the better of the majority and length "
    f"baselines."
  ]


def _asked_about(
  inputs: report_inputs.ReportInputs, matrix: transfer_matrices.Matrix
) -> str:
  """How many prompts a judge compared two outputs of: it is not asked where
  they are equal."""
  prompts, equal, pairs = set(), 0, 0
  for cell in matrix.cross_lingual:
    ours, theirs = (
      transfer_matrices.by_prompt(inputs.records, method, source, cell.target)
      for method, source in (
        (matrix.method, cell.source),
        (matrix.baseline, ""),
      )
    )
    for prompt in cell.outcomes:
      pairs += 1
      if ours[prompt].output == theirs[prompt].output:
        equal += 1
      else:
        prompts.add((cell.target, *prompt[1:]))
  text = f"asked about {len(prompts)} prompts"
  if equal:
    text += (
      f" ({equal} of {pairs} pairs of outputs are equal and count as ties)"
    )
  return text


def _also(found: Results, inputs: report_inputs.ReportInputs) -> list[str]:
  judge = found.judges[0]
  sentences = []
  greedy = found.averages[judge, "greedy"]
  if greedy:
    verb = (
      "beats it"
      if greedy.low > 0.5
      else "loses to it"
      if greedy.high < 0.5
      else "cannot be told apart from it"
    )
    sentences.append(
      f"Against greedy decoding, which costs one pass instead of "
      f"{_pool_size(inputs)}, the same choice wins {rate(greedy)}: it {verb}."
    )
  for other in found.judges[1:]:
    win = found.averages[other, "sample"]
    if win:
      sentences.append(
        f"{names.by_judge(other)} the win rate over one sample is {rate(win)}."
      )
  for other in verdict_judges.shown(found.said):
    matrix = verdict_judges.matrix(inputs.records, other, found.said[other])
    win = transfer_matrices.cross_lingual_average(matrix)
    if win:
      sentences.append(
        f"{names.by_judge(other)}, {_asked_about(inputs, matrix)}, the win "
        f"rate over one sample is {rate(win)}."
      )
  return sentences


def _between_seeds(pairs: Sequence[transfer_matrices.Cell]) -> list[str]:
  """What other seeds would give; the other intervals do not say it."""
  several = [x for x in pairs if x.between_seeds]
  if not several:
    return []
  sizes = sorted({len(x.by_seed) for x in several})
  seeds = " to ".join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))
  lowest = min(several, key=lambda x: x.between_seeds[0])
  text = f"{percent(lowest.win.rate)} {interval(*lowest.between_seeds)}"
  if len(several) == 1:
    text = f"Between {seeds} seeds the win rate varies: {text}"
  else:
    above = sum(x.between_seeds[0] > 0.5 for x in several)
    count = _count(above, len(several), "pair") if above else "no pair"
    text = (
      f"Between {seeds} seeds the win rates vary: the interval is above 50% in "
      f"{count} and reaches lowest in "
      f"{names.pair(lowest.source, lowest.target)}, {text}"
    )
  return [text + ("; two seeds say little." if sizes[0] == 2 else ".")]


def verdict(inputs: report_inputs.ReportInputs, found: Results) -> Verdict:
  """Did it transfer? By the deciding judge, against one sample."""
  pairs = ()
  if found.judges:
    pairs = found.matrices[found.judges[0], "sample"].cross_lingual
  if not pairs:
    return Verdict(
      "Not measured.", ("The records hold no cross-lingual pair with scores.",)
    )
  judge = found.judges[0]
  better = sum(cell.win.low > 0.5 for cell in pairs)
  worse = sum(cell.win.high < 0.5 for cell in pairs)
  if better == len(pairs):
    answer = "Yes."
  elif better:
    answer = "Partly."
  else:
    answer = "No." if worse else "Not shown."
  n = _pool_size(inputs)
  average = found.averages[judge, "sample"]
  first = (
    f"In {_count(better, len(pairs), 'cross-lingual pair')}, the best of {n} "
    f"samples by a reward model that was trained on another language beats "
    f"one sample of the target language\u2019s own SFT model at the same "
    f"temperature, by the {names.judge(judge)}: mean win rate {rate(average)} "
    f"(95% interval over prompts, ties count one half)."
  )
  if not better:
    first = first.replace("In 0 of", "In none of", 1)
  sentences = [
    first,
    *_between_seeds(pairs),
    *_also(found, inputs),
    *_accuracy_sentence(inputs),
  ]
  if worse:
    sentences.insert(
      1, f"In {_count(worse, len(pairs), 'pair')} it is worse than the sample."
    )
  return Verdict(answer, tuple(sentences))
