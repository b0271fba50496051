"""Judges: who gives a response its score.

A judge reads records and returns one score per record, the higher the better;
`judged` writes them into `record.scores[judge.name]`. The gold judge of
miniworld is another one.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any, Protocol, runtime_checkable

import numpy as np

from xlrm.evaluation import records as records_lib
from xlrm.evaluation import text_metrics


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
class RougeJudge:
  """ROUGE-L against the reference.

  Attributes:
    name: of its scores.
  """

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
  """chrF against the reference.

  Attributes:
    name: of its scores.
  """

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


def records_of(
  rows: Sequence[Mapping[str, Any]], texts: Sequence[str]
) -> list[records_lib.EvalRecord]:
  """Responses as records that are judged, not kept.

  Args:
    rows: of the prompts, as sources give them.
    texts: a response to each.
  """
  return [
    records_lib.EvalRecord(
      study="",
      method="sample",
      source="",
      target=row["language"],
      seed=0,
      task=row.get("task", ""),
      dataset=row.get("dataset", ""),
      language=row["language"],
      example_id=row["id"],
      sample=0,
      input=row["reward_inputs"],
      reference=row["targets_pretokenized"],
      output=text,
      policy="",
    )
    for row, text in zip(rows, texts, strict=True)
  ]


def validation_means(
  judges: Sequence[Judge],
  rows: Sequence[Mapping[str, Any]],
  texts: Sequence[str],
) -> dict[str, float]:
  """'validation/NAME' -> mean score by the judge of that name.

  Args:
    rows: of the prompts.
    texts: a response to each.
  """
  records = records_of(rows, texts)
  return {
    f"validation/{judge.name}": float(np.mean(judge.scores(records)))
    for judge in judges
  }
