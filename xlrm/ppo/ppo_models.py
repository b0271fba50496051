"""The models of a run of PPO: what is loaded, and what must agree."""

import dataclasses

import jax
import numpy as np

from xlrm import types
from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.distributed import lazy_params
from xlrm.models import response_scorer
from xlrm.ppo import objective
from xlrm.ppo import reward_scale
from xlrm.rewards import reward_models
from xlrm.storage import files


def _check_vocabulary(name: str, found, policy: pretrained.Pretrained) -> None:
  """Models that read the policy's tokens must know them as it does."""
  ours, theirs = policy.tokenizer, found.tokenizer
  same = files.read_bytes(policy.vocabulary) == files.read_bytes(
    found.vocabulary
  ) or (
    ours.vocab_size == theirs.vocab_size
    and all(
      ours.decode([i]) == theirs.decode([i]) for i in range(ours.vocab_size)
    )
  )
  sizes = policy.model.config.vocab_size, found.description.config.vocab_size
  if not same or sizes[0] != sizes[1]:
    raise ValueError(
      f"the {name} reads the policy's tokens, but its vocabulary is another "
      f"one ({theirs.vocab_size} pieces, {sizes[1]} rows; the policy has "
      f"{ours.vocab_size} and {sizes[0]})"
    )


@dataclasses.dataclass(frozen=True)
class Models:
  """What a run starts from.

  Reward models are on the mesh of the run: whoever asks them reads the one copy
  that the plan counts.
  """

  policy: pretrained.Pretrained
  reference: pretrained.Pretrained
  value: pretrained.Pretrained | None
  scorer: response_scorer.ResponseScorer | None
  reward: reward_models.RewardModel
  heldout: reward_models.RewardModel | None
  value_member: int | None = None  # of `reward`, whose weights are `value`'s


def load(
  policy: str,
  *,
  reference: str | None,
  value: str | None,
  rewards: reward_models.Spec,
  heldout: reward_models.Spec | None,
  config: objective.PPOConfig,
  mesh: jax.sharding.Mesh,
  dtype: str,
  reward_dtype: str | None,
  reference_dtype: str | None,
) -> Models:
  """Reads descriptions, not parameters.

  Raises:
    ValueError: the reference or the value model has another vocabulary, or the
      value model no values.
  """
  loaded = pretrained.load_language_model(policy, dtype=dtype)
  other = pretrained.load_language_model(
    reference or policy, dtype=reference_dtype or dtype
  )
  _check_vocabulary("reference", other, loaded)
  scorer, initial = None, None
  if config.advantage.needs_values:
    if value is None:
      description = dataclasses.replace(
        loaded.description, kind=model_description.RESPONSE_SCORER
      )
      scorer = pretrained.scorer_of(loaded.model, None, description)
    else:
      initial = pretrained.load_scorer(value, dtype=dtype)
      if not isinstance(initial.model, response_scorer.ResponseScorer):
        raise ValueError(
          f"the value model {value!r} has no head that could be read at every "
          "token; it must be a ResponseScorer, as reward.train writes it, or "
          "None (starts at 0)"
        )
      _check_vocabulary("value model", initial, loaded)
      scorer = dataclasses.replace(initial.model, tokenizer=None)

  def judge(spec):
    return reward_models.load(spec, dtype=reward_dtype or dtype).on(mesh)

  return Models(
    policy=loaded,
    reference=other,
    value=initial,
    scorer=scorer,
    reward=judge(rewards),
    heldout=heldout and judge(heldout),
    value_member=_member(value, rewards),
  )


def _member(value: str | None, rewards: reward_models.Spec) -> int | None:
  """Which of the reward models is the value model's start."""
  paths = [str(path) for path in reward_models.paths_of(rewards)]
  return paths.index(str(value)) if str(value) in paths else None


def value_params(
  models: Models, scale: reward_scale.RewardScale, mesh: jax.sharding.Mesh
) -> types.Params:
  """From the reward model, in units of the scaled score; or exactly 0 (G15)."""
  if models.value is not None:
    params = models.value.lazy_params.on(mesh)
    return {**params, "head": scaled_head(params["head"], scale)}
  backbone = models.policy.model.without_output_matrix(
    models.policy.lazy_params.on(mesh)
  )
  return {"backbone": backbone, "head": zero_head(models)}


def scaled_head(
  head: types.Params, scale: reward_scale.RewardScale
) -> types.Params:
  """A reward model's head that says scaled scores."""
  return {
    "kernel": head["kernel"] * scale.gain,
    "bias": head["bias"] * scale.gain + scale.bias,
  }


def zero_head(models: Models) -> types.Params:
  """A head that says 0."""
  shapes = models.scorer.abstract()["head"]
  return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)


def taken(params: types.Params) -> lazy_params.LazyParams:
  """Arrays that a training state takes over."""
  abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params
  )
  return lazy_params.LazyParams(abstract, lambda there: params)
