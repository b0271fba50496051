"""Gain and bias of a reward model for the policy that it is to judge.

A reward model from another language has another offset and another scale: its
scores of the reference policy's own samples, in the TARGET language, are taken
to mean 0 and standard deviation 1 (https://arxiv.org/abs/1909.08593, 2.1), so
that one KL coefficient means the same for every source language.
"""

from collections.abc import Sequence
import dataclasses
import json
import math

import numpy as np

from xlrm.storage import files

FILE = "reward_scale.json"


@dataclasses.dataclass(frozen=True)
class RewardScale:
  """gain * score + bias.

  Attributes:
    gain: > 0.
    bias: in units of the scaled score.
    mean: of the scores that it was fitted on, before.
    std: likewise.
    n: how many they were; 0: not fitted.
  """

  gain: float = 1.0
  bias: float = 0.0
  mean: float = 0.0
  std: float = 1.0
  n: int = 0

  def __post_init__(self):
    if not 0 < self.gain < math.inf:
      raise ValueError(f"gain {self.gain} is not a positive number")
    if not math.isfinite(self.bias):
      raise ValueError(f"bias {self.bias} is not a number")

  @classmethod
  def fit(cls, scores: Sequence[float]) -> "RewardScale":
    """To mean 0 and standard deviation 1.

    Raises:
      ValueError: fewer than two scores, one that is not finite, or all equal.
    """
    values = np.asarray(scores, np.float64)
    if values.size < 2:
      raise ValueError(f"{values.size} scores are too few to fit a scale to")
    if not np.isfinite(values).all():
      wrong = int((~np.isfinite(values)).sum())
      raise ValueError(
        f"the reward model gives {wrong} of {values.size} samples of the "
        "reference policy a score that is not finite"
      )
    mean, std = float(values.mean()), float(values.std())
    if not std > 1e-8 * max(1.0, abs(mean)):
      raise ValueError(
        f"the reward model gives all {values.size} samples of the reference "
        f"policy the same score, {mean:.6g}: it cannot tell them apart"
      )
    return cls(1 / std, -mean / std, mean, std, values.size)

  def write(self, directory: files.Name) -> None:
    """Into a run's folder."""
    text = json.dumps(dataclasses.asdict(self), indent=1)
    files.write_text(files.path(directory) / FILE, f"{text}\n")

  @classmethod
  def read(cls, directory: files.Name) -> "RewardScale | None":
    """That of a run that began before; None if there is none."""
    path = files.path(directory) / FILE
    if not path.exists():
      return None
    try:
      return cls(**json.loads(files.read_text(path)))
    except (TypeError, ValueError) as error:
      raise ValueError(f"{path} is no reward scale: {error}") from error
