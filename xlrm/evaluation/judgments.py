"""The judgments of a split, ratings or rankings, apart from who scores them."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from xlrm.evaluation import accuracy
from xlrm.evaluation import diagnosis
from xlrm.evaluation import trials as trials_lib


@dataclasses.dataclass(frozen=True)
class Judgments:
  """The judgments of a split: N responses per prompt, N=1 for ratings.

  Attributes:
    ratings: of each response; empty for rankings.
    ranks: of each response, see `types.Preferences`; empty for ratings.
    faults: of rated responses, "" where nothing is known.
    keys: what two ratings of the same response have in common.
  """

  ids: Sequence[str]
  prompts: Sequence[str]
  texts: Sequence[Sequence[str]]
  ratings: Sequence[float]
  ranks: Sequence[Sequence[int]]
  faults: Sequence[str]
  keys: Sequence[tuple[str, ...]]

  @classmethod
  def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "Judgments":
    """The judgments in the rows of a rating or a preference task."""
    ranked = bool(rows) and "ranks" in rows[0]
    return cls(
      ids=[row["id"] for row in rows],
      prompts=[row["reward_inputs"] for row in rows],
      texts=[
        row["responses"] if ranked else [row["targets_pretokenized"]]
        for row in rows
      ],
      ratings=[] if ranked else [row["rating"] for row in rows],
      ranks=[row["ranks"] for row in rows] if ranked else [],
      faults=[row.get("fault", "") for row in rows],
      keys=[
        (
          row.get("gem_id") or row["reward_inputs"],
          row["targets_pretokenized"],
        )
        for row in rows
      ],
    )

  def __len__(self) -> int:
    return len(self.prompts)

  def scored(self, scores: Sequence[Sequence[float]]) -> diagnosis.Scored:
    """The judgments with the scores of every response."""
    flat = [x for group in scores for x in group]
    texts = [x for group in self.texts for x in group]
    if self.ranks:
      trials = trials_lib.from_rankings(scores, self.ranks, self.texts)
    else:
      trials = trials_lib.from_ratings(flat, self.ratings, texts)
    return diagnosis.Scored(trials, texts, flat)


@dataclasses.dataclass(frozen=True)
class Baselines:
  """What training judgments say without a model."""

  length: accuracy.LengthBaseline
  majority_good: bool | None

  @classmethod
  def fit(cls, judgments: Judgments) -> "Baselines":
    """The threshold, direction and class with the highest accuracy."""
    blank = judgments.scored([[0.0] * len(x) for x in judgments.texts]).trials
    pairs = bool(judgments.ranks)
    return cls(
      accuracy.fit_length_baseline(blank.lengths, blank.ratings, pairs=pairs),
      None if pairs else accuracy.majority_class(blank.ratings),
    )
