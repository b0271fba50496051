"""Pools of samples, and the scores that reward models gave them.

A pool is the n samples drawn for one prompt. It serves every k <= n, see
`best_of_k`.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
from typing import Any

import numpy as np

from xlrm.storage import files
from xlrm.storage import row_files

FILE = "pools.jsonl"  # in the MODEL_DIR of a best-of-n run
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Pool:
  """All texts drawn for one prompt, and all scores of them.

  Attributes:
    example_id: of the prompt.
    language: asked of the responses.
    dataset: part of the task.
    task: of the prompt.
    inputs: what the policy read.
    reward_inputs: what the reward models read.
    reference: a person's response, or empty.
    texts: the n samples and one more, the baseline of win rates.
    logprobs: of each of them, in nats.
    scores: 'reward/NAME' -> score of each of them.
    greedy: the policy's greedy output: text, logprob and scores.
  """

  example_id: str
  language: str
  dataset: str
  task: str
  inputs: str
  reward_inputs: str
  reference: str
  texts: Sequence[str]
  logprobs: Sequence[float]
  scores: Mapping[str, Sequence[float]]
  greedy: Mapping[str, Any]

  @classmethod
  def of(
    cls, row: Row, samples: Row, greedy: Row, scores: Mapping[str, Sequence]
  ) -> "Pool":
    """From a prompt, what was drawn for it, and the scores of all texts, the
    greedy output's last."""
    for drawn in (samples, greedy):
      if drawn["example_id"] != row["id"]:
        raise ValueError(
          f"texts of {drawn['example_id']!r} stand where those of "
          f"{row['id']!r} were expected"
        )
    return cls(
      example_id=row["id"],
      language=row["language"],
      dataset=row["dataset"],
      task=row.get("task", ""),
      inputs=row["inputs_pretokenized"],
      reward_inputs=row["reward_inputs"],
      reference=row["targets_pretokenized"],
      texts=samples["texts"],
      logprobs=samples["logprobs"],
      scores={f"reward/{name}": x[:-1] for name, x in scores.items()},
      greedy={
        "text": greedy["texts"][0],
        "logprob": greedy["logprobs"][0],
        "scores": {f"reward/{name}": x[-1] for name, x in scores.items()},
      },
    )

  @property
  def num_samples(self) -> int:
    """n: the baseline is not chosen from."""
    return len(self.texts) - 1

  @property
  def rewards(self) -> list[str]:
    """The names of the reward models that scored the pool."""
    return [name.removeprefix("reward/") for name in self.scores]

  def scores_by(self, reward: str) -> np.ndarray:
    """[n] scores of the samples.

    Raises:
      ValueError: the pool was not scored by it; names those that did.
    """
    name = f"reward/{reward}"
    if name not in self.scores:
      raise ValueError(
        f"the pool of {self.example_id!r} has no scores of a reward model "
        f"{reward!r}; it has {', '.join(self.rewards)}"
      )
    return np.asarray(self.scores[name][: self.num_samples], np.float64)


def write(path: files.Name, pools: Sequence[Pool]) -> None:
  """Writes one JSON object per pool."""
  row_files.write(
    path,
    (
      json.dumps(dataclasses.asdict(pool), ensure_ascii=False, sort_keys=True)
      for pool in pools
    ),
  )


def read(path: files.Name) -> list[Pool]:
  """Reads what `write` wrote.

  Raises:
    ValueError: a line is no pool; names file, line and field.
  """
  names = {field.name for field in dataclasses.fields(Pool)}
  pools = []
  for place, row in row_files.read(path):
    for name in sorted(names - row.keys()):
      raise row_files.missing(place, name, list(row))
    pools.append(Pool(**{name: row[name] for name in names}))
  return pools
