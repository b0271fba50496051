"""Reward models and SFT as model classes of T5X's own trainer.

For those who have T5X (https://github.com/google-research/t5x); nothing else
imports this module, and gin/t5x has the files that launch it. Losses, batches
and parameters are those of `jobs.reward` and `jobs.sft`: what T5X's trainer
has trained continues in ours, and the reverse (docs/compatibility.md).
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import os
import re
from typing import Any

from clu import metrics as clu_metrics
from flax import core as flax_core
from flax.linen import partitioning
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np
import seqio
from t5x import adafactor
from t5x import gin_utils
from t5x import metrics as t5x_metrics
from t5x import models
from t5x import utils
import tensorflow as tf

from xlrm import converters
from xlrm import decoding
from xlrm import losses
from xlrm import model_files
from xlrm import optimizers
from xlrm import sampling_config
from xlrm import train_step
from xlrm import types
from xlrm.jobs import reward
from xlrm.jobs import sft
from xlrm.models import language_model
from xlrm.models import scorer as scorer_lib
from xlrm.models import t5

SCORE = "score"  # logical axis of the head's one output
# (regular expression of the path, T5X's names of its axes); first match.
LOGICAL_AXES = (
  (r"token_embedder/embedding$", ("vocab", "embed")),
  (r"logits_dense/kernel$", ("embed", "vocab")),
  (r"/(query|key|value)/kernel$", ("embed", "joined_kv")),
  (r"/out/kernel$", ("joined_kv", "embed")),
  (r"/wi(_\d+)?/kernel$", ("embed", "mlp")),
  (r"/wo/kernel$", ("mlp", "embed")),
  (r"/rel_embedding$", ("heads", "relpos_buckets")),
  (r"/scale$", ("embed",)),
  (r"^head/kernel$", ("embed", SCORE)),
  (r"^head/bias$", (SCORE,)),
)
Arrays = Mapping[str, Any]  # a batch as T5X knows it: name -> [B ..]


def backbone_config(
  path: str | os.PathLike, dropout_rate: float, dtype: str = "float32"
) -> t5.T5Config:
  """Sizes and flags of a model, whatever kind of directory it is.

  Args:
    path: see `model_files.find`.
    dropout_rate: of training.
    dtype: of the computation, 'float32' or 'bfloat16'.
  """
  config = model_files.read_description(path).config
  return dataclasses.replace(config, dropout_rate=dropout_rate, dtype=dtype)


def vocabulary_of(path: str | os.PathLike) -> seqio.SentencePieceVocabulary:
  """The vocabulary of a model, sentinels included."""
  return seqio.SentencePieceVocabulary(
    model_files.vocabulary_path(path),
    extra_ids=model_files.read_description(path).extra_ids,
  )


def parameter_axes(params: types.Params) -> types.Params:
  """T5X's tree `params_axes`: the names of the axes of every parameter."""

  def named(path, leaf):
    name = optimizers.path_name(path)
    for pattern, axes in LOGICAL_AXES:
      if re.search(pattern, name) and len(axes) == len(leaf.shape):
        return partitioning.AxisMetadata(names=axes)
    raise ValueError(f"no logical axes are known for the parameter {name!r}")

  def suffixed(tree):
    return {
      name: suffixed(x) if isinstance(x, dict) else x
      for name, x in ((_axes_name(k, v), v) for k, v in tree.items())
    }

  return suffixed(jax.tree_util.tree_map_with_path(named, params))


def _axes_name(name: str, value: Any) -> str:
  return name if isinstance(value, dict) else f"{name}_axes"


def logical_factor_rules() -> Mapping[str, adafactor.FactorDim]:
  """T5X's rules of what Adafactor factors; the head's output is not."""
  rules = dict(adafactor.standard_logical_factor_rules())
  return flax_core.freeze({**rules, SCORE: adafactor.FactorDim.NONE})


def to_arrays(batch: Any) -> dict[str, Any]:
  """A batch of `types` as one flat dict; fields that are None are left out.

  Ratings(Batch(inputs, ..), ratings) -> {"inputs": .., "ratings": ..}
  """
  arrays = {}
  for field in dataclasses.fields(batch):
    value = getattr(batch, field.name)
    if dataclasses.is_dataclass(value):
      arrays |= to_arrays(value)
    elif value is not None:
      arrays[field.name] = value
  return arrays


def _text_batch(arrays: Arrays) -> types.Batch:
  return types.Batch(arrays["inputs"], arrays["targets"], arrays["weights"])


class FeatureConverter(seqio.FeatureConverter):
  """Rows of a task as rows of the batches that xlrm's own jobs train on.

  `converters.CONVERTERS` does the work, row by row, so that rows are clipped
  and padded alike: EOS stays at the end. For that SeqIO must not have trimmed
  them (`utils.DatasetConfig.trim_output_features = False`).
  """

  def __init__(
    self,
    pack: bool = False,
    use_custom_packing_ops: bool = False,
    *,
    kind: str,
    vocabulary: seqio.Vocabulary,
    from_left: bool = False,
  ):
    """
    Args:
      pack: T5X's switch; must be off.
      use_custom_packing_ops: T5X's; without packing nothing to say.
      kind: of the task, a key of `converters.CONVERTERS`.
      vocabulary: of the task; ranked responses are tokenized here.
      from_left: long inputs lose their beginning.

    Raises:
      ValueError: rows are to be packed.
    """
    del use_custom_packing_ops
    if pack:
      raise ValueError(
        "xlrm's batches are not packed by T5X's trainer: set pack = False in "
        "train/utils.DatasetConfig and train_eval/utils.DatasetConfig"
      )
    self._kind = kind
    self._vocabulary = vocabulary
    self._from_left = from_left

  def __call__(
    self, ds: tf.data.Dataset, task_feature_lengths: Mapping[str, int]
  ) -> tf.data.Dataset:
    """One row of the batch per row of the task.

    Args:
      ds: tokenized rows of a task of the converter's kind.
      task_feature_lengths: tokens of `inputs` and `targets`, EOS included; of
        rankings also `responses`, how many a prompt has at most (default 2).

    Raises:
      ValueError: the rows are of another kind, or a length is missing.
    """
    lengths = dict(task_feature_lengths or {})
    if self._kind == "preference":
      lengths.setdefault("responses", 2)
    columns = self._columns(ds.element_spec)
    for name in converters.FEATURES:
      if lengths.get(name, 0) < 1:
        raise ValueError(
          f"TASK_FEATURE_LENGTHS {lengths} have no {name!r} of at least 1"
        )
    arrays = self._row(lengths, self._example({}))
    names, dtypes = list(arrays), [x.dtype for x in arrays.values()]

    def convert(*values):
      example = self._example(dict(zip(columns, values)))
      return list(self._row(lengths, example).values())

    def row(given):
      values = [_dense(given[name]) for name in columns]
      made = tf.numpy_function(convert, values, dtypes)
      return {
        name: tf.ensure_shape(x, arrays[name].shape)
        for name, x in zip(names, made)
      }

    return ds.map(row, num_parallel_calls=tf.data.AUTOTUNE)

  def _columns(self, spec: Mapping[str, Any]) -> list[str]:
    needed = {
      "summary": ["inputs", "targets"],
      "rating": ["inputs", "targets", "rating"],
      "preference": ["inputs", "responses", "ranks"],
    }[self._kind]
    missing = [name for name in needed if name not in spec]
    if missing:
      raise ValueError(
        f"a task of the kind {self._kind!r} has rows with {needed}; these have "
        f"no {', '.join(missing)} but {sorted(spec)}"
      )
    optional = ["margin"] if self._kind == "preference" else []
    return [*needed, *(name for name in optional if name in spec)]

  def _example(self, row: Mapping[str, Any]) -> converters.Example:
    """A row as `converters` wants it; missing columns get fillers."""
    eos = np.asarray([types.EOS_ID], np.int32)
    inputs = _ended(row.get("inputs", eos))
    if self._kind != "preference":
      targets = _ended(row.get("targets", eos))
      rating = np.float32(row.get("rating", 0.0))
      return {"inputs": inputs, "targets": targets, "rating": rating}
    return {
      "inputs": inputs,
      "targets": [self._ids(x) for x in row.get("responses", [b"", b""])],
      "ranks": list(row.get("ranks", [0, 1])),
      "margin": np.float32(row.get("margin", 0.0)),
    }

  def _ids(self, text: bytes) -> np.ndarray:
    ids = self._vocabulary.encode(text.decode("utf-8"))
    return np.asarray([*ids, types.EOS_ID], np.int32)

  def _row(self, lengths, example) -> dict[str, np.ndarray]:
    inputs = converters.clip(
      example["inputs"], lengths["inputs"], from_left=self._from_left
    )
    convert = converters.CONVERTERS[self._kind]
    arrays = to_arrays(convert([{**example, "inputs": inputs}], lengths))
    return {name: np.asarray(x)[0] for name, x in arrays.items()}

  def _convert_features(self, ds, task_feature_lengths):
    return self(ds, task_feature_lengths)

  def get_model_feature_lengths(self, task_feature_lengths):
    """Those of the task: the converter checks lengths itself."""
    return task_feature_lengths


def _dense(value):
  return value.to_tensor() if isinstance(value, tf.RaggedTensor) else value


def _ended(ids: np.ndarray) -> np.ndarray:
  """[5, 7, 0] -> [5, 7, 1]; [5, 1] stays."""
  ids = np.asarray(ids, np.int32)
  ids = ids[ids != types.PAD_ID]
  if len(ids) and ids[-1] == types.EOS_ID:
    return ids
  return np.append(ids, np.int32(types.EOS_ID))


class _Model(models.BaseTransformerModel):
  """What the three have in common; T5X's trainer knows no more of a model."""

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
      FeatureConverter,
      kind=self.KIND,
      vocabulary=vocabulary,
      from_left=truncate_inputs_from_left,
    )
    self._backbone = language_model.EncoderDecoder(config)
    self._lengths = dict(lengths)
    self._from_left = truncate_inputs_from_left

  def _init(self, key: jax.Array) -> types.Params:
    raise NotImplementedError

  def _loss(self, params, arrays: Arrays, key) -> losses.Loss:
    raise NotImplementedError

  def get_initial_variables(
    self,
    rng: jax.Array,
    input_shapes: Mapping[str, Sequence[int]],
    input_types: Mapping[str, Any] | None = None,
  ) -> flax_core.FrozenDict:
    """Fresh parameters and the names of their axes; no shape matters."""
    del input_shapes, input_types
    params = flax_core.unfreeze(self._init(rng))
    axes = parameter_axes(params)
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
  def description(self) -> model_files.Description:
    """What `model.json` says of the model."""
    return model_files.Description(
      kind=model_files.LANGUAGE_MODEL,
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
    """Log-probability of each row's targets."""
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
    """Greedy outputs, and their log-probabilities as `scores`."""
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
  """`scorer.ResponseScorer` with the loss of the job `reward.train`."""

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
      optimizer_def: T5X's, with `logical_factor_rules` of this module.
      lengths: tokens of `inputs` and `targets`.
      truncate_inputs_from_left: long inputs lose their beginning.
      layer: decoder layer that the head reads; None is the last.
      loss: margin and centring, of rankings.
    """
    super().__init__(
      config, vocabulary, optimizer_def, lengths, truncate_inputs_from_left
    )
    self._scorer = scorer_lib.ResponseScorer(
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
    """The same: a reward model predicts scores."""
    del rng
    return self._scores(params, batch), {}

  @property
  def description(self) -> model_files.Description:
    return dataclasses.replace(
      super().description,
      kind=model_files.RESPONSE_SCORER,
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


def verify_vocabulary(cfg: utils.DatasetConfig, model: _Model) -> None:
  """T5X's comparison of vocabularies, by content and not by path.

  Raises:
    ValueError: the task was registered with another vocabulary.
  """
  for feature, theirs in zip(converters.FEATURES, utils.get_vocabulary(cfg)):
    own = model.output_vocabulary
    if (theirs.sp_model, theirs.extra_ids) != (own.sp_model, own.extra_ids):
      raise ValueError(
        f"{cfg.mixture_or_task_name!r} has the vocabulary {theirs} for "
        f"{feature!r}, the model {own}: register the task with "
        "registry.register(.., vocabulary=, extra_ids=)"
      )


def summarize_config(
  model_dir: str | os.PathLike,
  summary_writer: Any,
  step: int,
  *,
  model: _Model,
) -> None:
  """T5X's summary of a run's configuration, and xlrm's `model.json`.

  With `model.json` and `spiece.model` beside T5X's checkpoints MODEL_DIR is a
  model directory of xlrm, too. MODEL_DIR must be a local path for that.

  Args:
    model_dir: of the run.
    summary_writer: T5X's.
    step: at which the run begins.
    model: `%MODEL`.
  """
  gin_utils.summarize_gin_config(model_dir, summary_writer, step)
  model_files.write_description(
    model_dir,
    model.description,
    model.output_vocabulary.sentencepiece_model_file,
  )
