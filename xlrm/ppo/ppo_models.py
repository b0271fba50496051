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
class PPOModels:
  """Which models take part, and in which type they compute.

  Attributes:
    policy: the SFT model to start from.
    rewards: reward model or ensemble that is optimised, see
      `reward_models.load`.
    value: reward model that the value model starts from; None starts from the
      policy with a head of zeros. Advantages without values need neither.
    reference: model that the policy must stay near to; None is the policy as
      it starts.
    heldout: reward model that only watches.
    dtype: of the computation, 'float32' or 'bfloat16'.
    reward_dtype: of the reward models' computation; None is `dtype`.
    reference_dtype: likewise; with another one than `dtype` the KL divergence
      does not begin at exactly 0.
  """

  policy: str
  rewards: reward_models.Spec
  value: str | None = None
  reference: str | None = None
  heldout: reward_models.Spec | None = None
  dtype: str = "float32"
  reward_dtype: str | None = None
  reference_dtype: str | None = None

  @property
  def shares_reference(self) -> bool:
    """Whether the reference is, to the bit, what the policy starts as."""
    same_type = self.reference_dtype in (None, self.dtype)
    return self.reference is None and same_type


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
  named: PPOModels, config: objective.PPOConfig, mesh: jax.sharding.Mesh
) -> Models:
  """Reads descriptions, not parameters.

  Raises:
    ValueError: the reference or the value model has another vocabulary, or the
      value model no values.
  """
  dtype = named.dtype
  policy = pretrained.load_language_model(named.policy, dtype=dtype)
  reference = pretrained.load_language_model(
    named.reference or named.policy, dtype=named.reference_dtype or dtype
  )
  _check_vocabulary("reference", reference, policy)
  scorer, value = None, None
  if config.advantage.needs_values:
    scorer, value = _value_model(named, policy)

  def judge(spec):
    found = reward_models.load(spec, dtype=named.reward_dtype or dtype)
    return found.on(mesh)

  return Models(
    policy=policy,
    reference=reference,
    value=value,
    scorer=scorer,
    reward=judge(named.rewards),
    heldout=named.heldout and judge(named.heldout),
    value_member=_member(named.value, named.rewards),
  )


def _value_model(
  named: PPOModels, policy: pretrained.Pretrained
) -> tuple[response_scorer.ResponseScorer, pretrained.Pretrained | None]:
  """The value model, and what it starts from; None is the policy."""
  if named.value is None:
    description = dataclasses.replace(
      policy.description, kind=model_description.RESPONSE_SCORER
    )
    return pretrained.scorer_of(policy.model, None, description), None
  value = pretrained.load_scorer(named.value, dtype=named.dtype)
  if not isinstance(value.model, response_scorer.ResponseScorer):
    raise ValueError(
      f"the value model {named.value!r} has no head that could be read at "
      "every token; it must be a ResponseScorer, as reward.train writes it, or "
      "None (starts at 0)"
    )
  _check_vocabulary("value model", value, policy)
  return dataclasses.replace(value.model, tokenizer=None), value


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
