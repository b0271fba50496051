"""Judges: who gives a response its score.

A judge reads records and returns one score per record, the higher the better;
`judged` writes them into `record.scores[judge.name]`.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Protocol, runtime_checkable

from xlrm.evaluation import records as records_lib
from xlrm.evaluation import text_metrics
from xlrm.miniworld import gold


@runtime_checkable
class Judge(Protocol):
  """A judge that scores responses."""

  @property
  def name(self) -> str:
    """The key of its scores in a record."""
    ...

  def scores(
    self, records: Sequence[records_lib.EvalRecord]
  ) -> Sequence[float]:
    """One score per record, the higher the better."""
    ...


@dataclasses.dataclass(frozen=True)
class GoldJudge:
  """The true quality of miniworld summaries: for evaluation only."""

  name: str = "gold"

  def scores(
    self, records: Sequence[records_lib.EvalRecord]
  ) -> Sequence[float]:
    """The true quality of each output, in [0, 1]."""
    return [
      gold.judge_example(record.example_id, record.output).quality
      for record in records
    ]


@dataclasses.dataclass(frozen=True)
class RougeJudge:
  """ROUGE-L against the reference."""

  name: str = "rouge_l"

  def scores(
    self, records: Sequence[records_lib.EvalRecord]
  ) -> Sequence[float]:
    """ROUGE-L of each output, in [0, 1]."""
    return [
      text_metrics.rouge_l(record.output, record.reference, record.language)
      for record in records
    ]


@dataclasses.dataclass(frozen=True)
class ChrfJudge:
  """chrF against the reference."""

  name: str = "chrf"

  def scores(
    self, records: Sequence[records_lib.EvalRecord]
  ) -> Sequence[float]:
    """chrF of each output, in [0, 1]."""
    return [
      text_metrics.chrf(record.output, record.reference) for record in records
    ]


def judged(
  records: Sequence[records_lib.EvalRecord], judges: Sequence[Judge]
) -> list[records_lib.EvalRecord]:
  """The records with the scores of these judges added.

  Raises:
    ValueError: a judge gave a score that is not finite, or too few.
  """
  columns = {}
  for judge in judges:
    scores = [float(x) for x in judge.scores(records)]
    if len(scores) != len(records):
      raise ValueError(
        f"{judge.name} gave {len(scores)} scores for {len(records)} records"
      )
    for record, score in zip(records, scores, strict=True):
      if not math.isfinite(score):
        raise ValueError(f"{judge.name} gave {record.id} the score {score}")
    columns[judge.name] = scores
  return [
    dataclasses.replace(
      record,
      scores={
        **record.scores,
        **{name: scores[i] for name, scores in columns.items()},
      },
    )
    for i, record in enumerate(records)
  ]
