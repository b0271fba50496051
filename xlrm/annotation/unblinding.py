"""From answers and key to verdicts, and what they say together.

A skipped pair is an invalid verdict: counted, never a tie. Attention checks are
not verdicts; they say how far to trust an annotator.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
import statistics

import numpy as np

from xlrm.annotation import answers as answers_lib
from xlrm.annotation import design
from xlrm.annotation import study_key
from xlrm.evaluation import agreement as agreement_lib
from xlrm.evaluation import records
from xlrm.evaluation import win_rates

VALUES = {"first": 1.0, "second": 0.0, "tie": 0.5}
Answers = Mapping[str, answers_lib.Answer]  # item -> answer


@dataclasses.dataclass(frozen=True)
class Annotator:
  """The work of one person.

  Attributes:
    name: as in the study.
    tasks: given, attention checks included.
    answered: of them.
    skipped: of those answered.
    checks: attention checks answered.
    passed: of them.
    seconds: median per task; None where nothing was measured.
    left: share of the left among the judgments for a side; None without any.
  """

  name: str
  tasks: int
  answered: int
  skipped: int
  checks: int
  passed: int
  seconds: float | None
  left: float | None


def outcome(key: design.Key, choice: str) -> str:
  """The winner: `first`, `second`, `tie`, or `invalid` for what was skipped."""
  if choice not in design.SIDES:
    return "tie" if choice == "tie" else "invalid"
  sides = ("first", "second")
  on_left = sides.index(key.left)
  return sides[on_left if choice == "left" else 1 - on_left]


def _judge(annotator: str) -> str:
  return f"person/{annotator}"


def verdicts(
  key: study_key.StudyKey, answers: Answers
) -> list[records.Verdict]:
  """The judgments of pairs, by annotator and pair."""
  rows = []
  for entry in key.keys:
    answer = answers.get(entry.item)
    if answer is None or entry.attention:
      continue
    seconds = answer.seconds
    rows.append(
      records.Verdict(
        first=entry.first,
        second=entry.second,
        judge=_judge(entry.annotator),
        order=entry.left,
        outcome=outcome(entry, answer.choice),
        cost={} if seconds is None else {"seconds": seconds},
      )
    )
  return sorted(rows, key=lambda x: (x.judge, x.first, x.second))


def win_rate(
  key: study_key.StudyKey, answers: Answers
) -> win_rates.WinRate | None:
  """The win rate of the method over prompts; None if nobody judged one.

  The annotators of a prompt are averaged first, so that the interval is one
  over prompts; then datasets count equally.
  """
  by_prompt: dict[tuple[str, str], list[float]] = {}
  for entry in key.keys:
    answer = answers.get(entry.item)
    if answer is None or entry.attention or answer.choice == "skip":
      continue
    value = VALUES[outcome(entry, answer.choice)]
    by_prompt.setdefault((entry.dataset, entry.first), []).append(value)
  by_dataset: dict[str, list[float]] = {}
  for (dataset, _), values in by_prompt.items():
    by_dataset.setdefault(dataset, []).append(statistics.fmean(values))
  if not by_dataset:
    return None
  return win_rates.macro_average(
    [win_rates.win_rate(np.array(x)) for x in by_dataset.values()]
  )


def agreement(
  key: study_key.StudyKey, answers: Answers
) -> dict[tuple[str, str], agreement_lib.JudgeAgreement]:
  """The agreement of every two annotators, without what one of them skipped."""
  said: dict[str, dict[str, str]] = {}
  for entry in key.keys:
    answer = answers.get(entry.item)
    if answer and not entry.attention and answer.choice != "skip":
      mine = said.setdefault(entry.annotator, {})
      mine[entry.first] = outcome(entry, answer.choice)
  return agreement_lib.of_every_two(said)


def annotators(key: study_key.StudyKey, answers: Answers) -> list[Annotator]:
  """The work of each annotator, in the order of the key."""
  names = dict.fromkeys(entry.annotator for entry in key.keys)
  return [
    _annotator(name, [x for x in key.keys if x.annotator == name], answers)
    for name in names
  ]


def _annotator(
  name: str, keys: Sequence[design.Key], answers: Answers
) -> Annotator:
  done = [(x, answers[x.item]) for x in keys if x.item in answers]
  checks = [(x, answer) for x, answer in done if x.attention]
  sides = [
    answer.choice == "left"
    for x, answer in done
    if not x.attention and answer.choice in design.SIDES
  ]
  seconds = [x.seconds for _, x in done if x.seconds is not None]
  return Annotator(
    name=name,
    tasks=len(keys),
    answered=len(done),
    skipped=sum(answer.choice == "skip" for _, answer in done),
    checks=len(checks),
    passed=sum(outcome(x, answer.choice) == "first" for x, answer in checks),
    seconds=statistics.median(seconds) if seconds else None,
    left=statistics.fmean(sides) if sides else None,
  )


def summary(key: study_key.StudyKey, answers: Answers) -> str:
  """The words for the terminal of what people said."""
  settings = key.settings
  name = f"{settings.method} ({settings.source})".replace(" ()", "")
  win = win_rate(key, answers)
  lines = [
    f"{name} against {settings.baseline}, {settings.language}: "
    + (_win(win) if win else "nobody has judged a pair")
  ]
  if win and key.identical:
    same = key.identical / key.pairs
    with_ties = (1 - same) * win.rate + same / 2
    lines.append(
      f"{key.identical} of {key.pairs} prompts have identical outputs and were "
      f"not shown; with them as ties it wins {with_ties:.1%}"
    )
  found = agreement(key, answers)
  lines += [_agreement(*pair, x) for pair, x in found.items()]
  lines += map(_work, annotators(key, answers))
  return "\n".join(lines)


def _win(win: win_rates.WinRate) -> str:
  return (
    f"wins {win.rate:.1%} [{win.low:.1%}, {win.high:.1%}] of {win.n} prompts "
    f"({win.wins} won, {win.ties} tied, {win.losses} lost)"
  )


def _agreement(first: str, second: str, x: agreement_lib.JudgeAgreement) -> str:
  kappa = "undefined" if math.isnan(x.kappa) else f"{x.kappa:.2f}"
  return (
    f"{first} and {second} agree on {x.rate:.1%} [{x.low:.1%}, "
    f"{x.high:.1%}] of {x.n} prompts; chance {x.chance:.1%}, kappa {kappa}"
  )


def _work(x: Annotator) -> str:
  parts = [f"{x.name}: {x.answered} of {x.tasks} answered"]
  if x.skipped:
    parts.append(f"{x.skipped} skipped")
  if x.checks:
    parts.append(f"{x.passed} of {x.checks} attention checks passed")
  if x.seconds is not None:
    parts.append(f"{x.seconds:.1f} s per item")
  if x.left is not None:
    parts.append(f"left chosen {x.left:.0%}")
  return ", ".join(parts)
