"""Reward models for notebooks and jobs: texts in, scores out.

  reward = rewards.load("runs/rm_en")
  reward(["A fire destroyed 35 houses."], [["35 houses burned.", "No."]])

Several reward models are one, an ensemble (https://arxiv.org/abs/2310.02743):
each reads the texts with its own vocabulary, and their scores are combined.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import os

import jax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from xlrm import types
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.rewards import text_scoring

# Scores of M reward models -> of the ensemble; NumPy's arrays or JAX's.
Combine = Callable[
  [Float[np.ndarray, "M responses"]], Float[np.ndarray, " responses"]
]


def mean_score(
  scores: Float[np.ndarray, "M responses"],
) -> Float[np.ndarray, " responses"]:
  """The mean over reward models."""
  return scores.mean(axis=0)


def min_score(
  scores: Float[np.ndarray, "M responses"],
) -> Float[np.ndarray, " responses"]:
  """The score of the least pleased reward model."""
  return scores.min(axis=0)


@dataclasses.dataclass(frozen=True)
class MeanMinusDeviations:
  """The mean minus k standard deviations over reward models (divided by M).

  Attributes:
    k: how much their disagreement costs; 0 is the mean.
  """

  k: float = 1.0

  def __post_init__(self):
    if not 0 <= self.k < float("inf"):
      raise ValueError(f"k {self.k} is not a number from 0")

  def __call__(
    self, scores: Float[np.ndarray, "M responses"]
  ) -> Float[np.ndarray, " responses"]:
    return scores.mean(axis=0) - self.k * scores.std(axis=0)


@dataclasses.dataclass(frozen=True)
class Ensemble:
  """Reward models that judge together.

  Attributes:
    paths: of reward models, see `pretrained.load_scorer`.
    combine: their scores to one.
  """

  paths: Sequence[str]
  combine: Combine = mean_score

  def __post_init__(self):
    if isinstance(self.paths, str) or not self.paths:
      raise ValueError(
        f"paths {self.paths!r} of an Ensemble: a list of reward models was "
        "expected"
      )


Spec = str | os.PathLike | Sequence[str] | Ensemble


@dataclasses.dataclass(frozen=True)
class RewardModel:
  """One reward model, or several as one; call it with texts.

  Attributes:
    members: at least one.
    combine: their scores to one.
    mesh: where they are; None is one device.
  """

  members: tuple[pretrained.Pretrained, ...]
  combine: Combine = mean_score
  mesh: jax.sharding.Mesh | None = None

  def on(self, mesh: jax.sharding.Mesh | None) -> "RewardModel":
    """The same on a mesh: weights over 'model', prompts over 'data'."""
    return dataclasses.replace(self, mesh=mesh)

  @functools.cached_property
  def params(self) -> tuple[types.Params, ...]:
    """The parameters of the members, read at first use and then kept."""
    return tuple(
      member.params
      if self.mesh is None
      else member.lazy_params.on(self.mesh, sharding.split_over_model)
      for member in self.members
    )

  def read(self) -> None:
    """Reads the parameters now: processes do that together, or not at all."""
    self.params  # noqa: B018

  def __call__(
    self,
    prompts: Sequence[str],
    responses: Sequence[str] | Sequence[Sequence[str]],
    batch_size: int = 32,
  ) -> list[float] | list[list[float]]:
    """The scores of one response per prompt, or of a group per prompt.

    Raises:
      ValueError: another number of prompts than of responses.
    """
    if isinstance(prompts, str):
      raise ValueError(f"a list of prompts was expected, not {prompts!r}")
    if not all(isinstance(x, str) for x in responses):
      return self.score(prompts, responses, batch_size=batch_size)
    groups = self.score(
      prompts, [[x] for x in responses], batch_size=batch_size
    )
    return [group[0] for group in groups]

  def score(
    self,
    prompts: Sequence[str],
    responses: Sequence[Sequence[str]],
    *,
    batch_size: int = 32,
  ) -> list[list[float]]:
    """The scores of a group of responses per prompt, see `score_texts`.

    Args:
      prompts: what the reward models read, without instruction.
      responses: one group per prompt, of any sizes.
      batch_size: prompts scored together.
    """
    size = max(1, min(batch_size, len(prompts)))
    if self.mesh is not None:
      size = meshes.fitting_batch_size(batch_size, len(prompts), self.mesh)
    by_member = [
      text_scoring.score_texts(
        member.model,
        params,
        prompts,
        responses,
        batch_size=size,
        mesh=self.mesh,
      )
      for member, params in zip(self.members, self.params)
    ]
    if len(by_member) == 1:
      return by_member[0]
    flat = np.asarray([[x for g in groups for x in g] for groups in by_member])
    combined = iter(self.combine(flat).tolist())
    return [[next(combined) for _ in group] for group in responses]

  def device_scores(
    self, prompts: Sequence[str], responses: Sequence[Sequence[str]]
  ) -> jax.Array:
    """The scores [B N] on the device, not waited for; groups of one size.

    For loops that go on meanwhile: every text is padded to the lengths of the
    reward model, so that all batches have one shape.
    """
    by_member = [
      text_scoring.score_batch(
        member.model,
        params,
        member.model.prepare(prompts, responses),
        self.mesh,
      )
      for member, params in zip(self.members, self.params)
    ]
    if len(by_member) == 1:
      return by_member[0]
    shape = by_member[0].shape
    flat = jnp.stack([scores.reshape(-1) for scores in by_member])
    return jnp.asarray(self.combine(flat)).reshape(shape)


def paths_of(spec: Spec) -> Sequence[str | os.PathLike]:
  """The paths of the reward models that a specification names."""
  if isinstance(spec, Ensemble):
    return spec.paths
  return [spec] if isinstance(spec, str | os.PathLike) else spec


def identity(spec: Spec) -> str:
  """A text that changes when the scores of a reward model would."""
  combine = ""
  if isinstance(spec, Ensemble):
    combine = getattr(spec.combine, "__qualname__", repr(spec.combine))
  models = [
    model_files.fingerprint(str(path).removeprefix(pretrained.VERDICT))
    for path in paths_of(spec)
  ]
  return repr((models, combine))


def load(spec: Spec, dtype: str = "float32") -> RewardModel:
  """Loads a reward model, or an ensemble of several.

  Args:
    spec: a path (see `pretrained.load_scorer`), several paths (scored as their
      mean), or an `Ensemble`.
    dtype: of the computation, 'float32' or 'bfloat16'.
  """
  if isinstance(spec, str | os.PathLike):
    return RewardModel((pretrained.load_scorer(spec, dtype=dtype),))
  ensemble = spec if isinstance(spec, Ensemble) else Ensemble(tuple(spec))
  members = tuple(
    pretrained.load_scorer(path, dtype=dtype) for path in ensemble.paths
  )
  return RewardModel(members, ensemble.combine)
