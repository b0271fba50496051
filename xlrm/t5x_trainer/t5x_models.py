"""Reward models and SFT as model classes of T5X's own trainer.

For those who have T5X (https://github.com/google-research/t5x); nothing else
imports this module, and gin/t5x has the files that launch it. Losses, batches
and parameters are those of `jobs.reward` and `jobs.sft`: what T5X's trainer
has trained continues in ours, and the reverse (docs/compatibility.md).
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

from clu import metrics as clu_metrics
from flax import core as flax_core
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int
import seqio
from t5x import metrics as t5x_metrics
from t5x import models

from xlrm import types
from xlrm.checkpoints import model_description
from xlrm.data import feature_converter
from xlrm.jobs import reward
from xlrm.jobs import sft
from xlrm.losses import token_losses
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config
from xlrm.t5x_trainer import t5x_settings
from xlrm.training import train_step

Arrays = Mapping[str, Any]  # a batch as T5X knows it: name -> [B ..]


def _text_batch(arrays: Arrays) -> types.Batch:
  return types.Batch(arrays["inputs"], arrays["targets"], arrays["weights"])


class _Model(models.BaseTransformerModel):
  """A model as T5X's trainer knows it: what the three have in common."""

  KIND: str  # of the task

  def __init__(
    self,
    config: t5.T5Config,
    vocabulary: seqio.SentencePieceVocabulary,
    optimizer_def: Any,
    lengths: Mapping[str, int],
    truncate_inputs_from_left: bool = False,
  ):
    """
    Args:
      config: of the backbone, dropout included.
      vocabulary: must be that of the task; T5X's trainer compares them.
      optimizer_def: T5X's.
      lengths: tokens of `inputs` and `targets`, as in TASK_FEATURE_LENGTHS.
      truncate_inputs_from_left: long inputs lose their beginning.

    Raises:
      ValueError: the vocabulary has more ids than the model has rows.
    """
    if vocabulary.vocab_size > config.vocab_size:
      raise ValueError(
        f"the vocabulary has {vocabulary.vocab_size} ids, the model only "
        f"{config.vocab_size} rows: it is another model's"
      )
    super().__init__(
      t5.Transformer(config), vocabulary, vocabulary, optimizer_def
    )
    self.FEATURE_CONVERTER_CLS = functools.partial(
      feature_converter.FeatureConverter,
      kind=self.KIND,
      vocabulary=vocabulary,
      from_left=truncate_inputs_from_left,
    )
    self._backbone = language_model.EncoderDecoder(config)
    self._lengths = dict(lengths)
    self._from_left = truncate_inputs_from_left

  def _init(self, key: jax.Array) -> types.Params:
    raise NotImplementedError

  def _loss(self, params, arrays: Arrays, key) -> token_losses.Loss:
    raise NotImplementedError

  def get_initial_variables(
    self,
    rng: jax.Array,
    input_shapes: Mapping[str, Sequence[int]],
    input_types: Mapping[str, Any] | None = None,
  ) -> flax_core.FrozenDict:
    """The fresh parameters and the names of their axes; no shape matters."""
    del input_shapes, input_types
    params = flax_core.unfreeze(self._init(rng))
    axes = t5x_settings.parameter_axes(params)
    return flax_core.freeze({"params": params, "params_axes": axes})

  def loss_fn(
    self, params: types.Params, batch: Arrays, dropout_rng: jax.Array | None
  ) -> tuple[jax.Array, dict[str, Any]]:
    """The batch's sum of losses by the sum of weights, and T5X's metrics.

    T5X adds up the gradients of microbatches, so with several of them the
    gradient is that of a sum of means, and not the one of xlrm's trainer.
    """
    loss = self._loss(flax_core.unfreeze(params), batch, dropout_rng)
    sums = {"loss": (loss.total, loss.weight), **loss.metrics}
    metrics = {
      name: clu_metrics.Average(total=total, count=weight)
      for name, (total, weight) in sums.items()
    }
    rows = jnp.asarray(batch["inputs"].shape[0])
    metrics |= {
      "timing/steps_per_second": t5x_metrics.StepsPerTime.from_model_output(),
      "timing/seqs_per_second": t5x_metrics.TimeRate.from_model_output(
        numerator=rows
      ),
      "timing/seconds": t5x_metrics.Time(),
    }
    return loss.total / jnp.maximum(loss.weight, train_step.TINY), metrics

  @property
  def truncates_from_left(self) -> bool:
    """Whether long inputs lose their beginning."""
    return self._from_left

  @property
  def description(self) -> model_description.Description:
    """The content of `model.json`."""
    return model_description.Description(
      kind=model_description.LANGUAGE_MODEL,
      config=self._backbone.config,
      max_input_length=self._lengths["inputs"],
      max_response_length=self._lengths["targets"],
      extra_ids=self.output_vocabulary.extra_ids,
      history=("trained by T5X's trainer",),
      truncate_inputs_from_left=self._from_left,
    )


class SupervisedModel(_Model):
  """SFT of (inputs, targets): a language model with T5X's parameters.

  Cross-entropy of the targets with T5X's z-loss of 1e-4, without logits of a
  whole batch.
  """

  KIND = "summary"
  Z_LOSS = 1e-4

  def _init(self, key):
    return self._backbone.init(key)

  def _loss(self, params, arrays, key):
    loss_fn = sft.sft_loss(self._backbone, self.Z_LOSS)
    return loss_fn(params, _text_batch(arrays), key)

  def _compute_logits(self, params, batch, dropout_rng=None):
    raise NotImplementedError("the loss is computed without [T V] logits")

  def score_batch(
    self,
    params: types.Params,
    batch: Arrays,
    return_intermediates: bool = False,
  ) -> Float[types.Array, " B"]:
    """The log-probability of each row's targets."""
    del return_intermediates
    logprobs = decoding.token_logprobs(
      self._backbone,
      flax_core.unfreeze(params),
      batch["inputs"],
      batch["targets"],
    )
    return jnp.sum(logprobs * batch["weights"], axis=-1)[:, 0]

  def predict_batch_with_aux(
    self, params: types.Params, batch: Arrays, rng: jax.Array | None = None
  ) -> tuple[Int[types.Array, "B T"], dict[str, Any]]:
    """The greedy outputs, and their log-probabilities as `scores`."""
    del rng
    config = sampling_config.SamplingConfig(
      max_tokens=batch["targets"].shape[-1], greedy=True
    )
    keys = jax.random.split(jax.random.key(0), batch["inputs"].shape[0])
    params = flax_core.unfreeze(params)
    drawn = decoding.sample(
      self._backbone, params, batch["inputs"], keys, config, 1, None
    )
    scores = jnp.sum(drawn.logprobs, axis=-1)[:, 0]
    return drawn.tokens[:, 0], {"scores": scores}


class _RewardModel(_Model):
  """`ResponseScorer` with the loss of the job `reward.train`."""

  def __init__(
    self,
    config: t5.T5Config,
    vocabulary: seqio.SentencePieceVocabulary,
    optimizer_def: Any,
    lengths: Mapping[str, int],
    truncate_inputs_from_left: bool = False,
    layer: int | None = None,
    loss: reward.RewardLossConfig = reward.RewardLossConfig(),
  ):
    """
    Args:
      config: see `SupervisedModel`, as what is not named here.
      vocabulary: of the task.
      optimizer_def: T5X's, with `t5x_settings.logical_factor_rules`.
      lengths: tokens of `inputs` and `targets`.
      truncate_inputs_from_left: long inputs lose their beginning.
      layer: decoder layer that the head reads; None is the last.
      loss: margin and centring, of rankings.
    """
    super().__init__(
      config, vocabulary, optimizer_def, lengths, truncate_inputs_from_left
    )
    self._scorer = response_scorer.ResponseScorer(
      self._backbone,
      None,
      lengths["inputs"],
      lengths["targets"],
      layer,
      truncate_inputs_from_left,
    )
    self._loss_fn = reward.reward_loss(self._scorer, loss)

  def _init(self, key):
    return self._scorer.init(key)

  def _judged(self, arrays: Arrays) -> types.Ratings | types.Preferences:
    raise NotImplementedError

  def _loss(self, params, arrays, key):
    return self._loss_fn(params, self._judged(arrays), key)

  def _compute_logits(self, params, batch, dropout_rng=None):
    return self._scores(params, batch, dropout_rng)

  def _scores(self, params, batch, key=None) -> Float[types.Array, "B N"]:
    return self._scorer.scores(
      flax_core.unfreeze(params), _text_batch(batch), dropout_key=key
    )

  def score_batch(
    self,
    params: types.Params,
    batch: Arrays,
    return_intermediates: bool = False,
  ) -> Float[types.Array, "B N"]:
    """One score per response."""
    del return_intermediates
    return self._scores(params, batch)

  def predict_batch_with_aux(
    self, params: types.Params, batch: Arrays, rng: jax.Array | None = None
  ) -> tuple[Float[types.Array, "B N"], dict[str, Any]]:
    """The scores: a reward model predicts nothing else."""
    del rng
    return self._scores(params, batch), {}

  @property
  def description(self) -> model_description.Description:
    """The content of `model.json`, with the layer that the head reads."""
    return dataclasses.replace(
      super().description,
      kind=model_description.RESPONSE_SCORER,
      scorer_layer=self._scorer.layer,
    )


class PointwiseRewardModel(_RewardModel):
  """One rated response per prompt: binary cross-entropy."""

  KIND = "rating"

  def _judged(self, arrays):
    return types.Ratings(_text_batch(arrays), arrays["ratings"])


class PairwiseRewardModel(_RewardModel):
  """Ranked responses: Plackett-Luce; of a pair Bradley-Terry."""

  KIND = "preference"

  def _judged(self, arrays):
    return types.Preferences(
      _text_batch(arrays), arrays["ranks"], arrays["margins"]
    )
