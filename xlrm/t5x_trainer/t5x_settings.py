"""What gin files of T5X's trainer name beside the models."""

from collections.abc import Mapping
import dataclasses
import os
import re
from typing import Any, Protocol

from flax import core as flax_core
from flax.linen import partitioning
import jax
import seqio
from t5x import adafactor
from t5x import gin_utils
from t5x import utils

from xlrm import types
from xlrm.batches import converters
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.data import registry
from xlrm.distributed import sharding
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


class TrainedModel(Protocol):
  """What these functions ask of one of `t5x_models`."""

  output_vocabulary: seqio.SentencePieceVocabulary

  @property
  def truncates_from_left(self) -> bool:
    """Whether long inputs lose their beginning."""
    ...

  @property
  def description(self) -> model_description.Description:
    """The content of its `model.json`."""
    ...


def backbone_config(
  path: str | os.PathLike, dropout_rate: float, dtype: str = "float32"
) -> t5.T5Config:
  """The sizes and flags of a model, whatever kind of directory it is.

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
  """The tree `params_axes` of T5X: the names of every parameter's axes."""

  def named(path, leaf):
    name = sharding.path_name(path)
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
  """The rules of what T5X's Adafactor factors; the head's output is not."""
  rules = dict(adafactor.standard_logical_factor_rules())
  return flax_core.freeze({**rules, SCORE: adafactor.FactorDim.NONE})


def verify_task(cfg: utils.DatasetConfig, model: TrainedModel) -> None:
  """Checks a task as T5X's `verify_matching_vocabs` does, without paths.

  Raises:
    ValueError: the task was registered with another vocabulary, or loses the
      beginning of long inputs where the model does not.
  """
  name = cfg.mixture_or_task_name
  own = model.output_vocabulary
  for feature, theirs in zip(converters.FEATURES, utils.get_vocabulary(cfg)):
    if (theirs.sp_model, theirs.extra_ids) != (own.sp_model, own.extra_ids):
      raise ValueError(
        f"{name!r} has the vocabulary {theirs} for {feature!r}, the model "
        f"{own}: register the task with registry.register(.., vocabulary=, "
        "extra_ids=)"
      )
  if registry.from_left(name) and not model.truncates_from_left:
    raise ValueError(
      f"long inputs of {name!r} lose their beginning, those of the model their "
      "end: set FROM_LEFT = True"
    )


def summarize_config(
  model_dir: str | os.PathLike,
  summary_writer: Any,
  step: int,
  *,
  model: TrainedModel,
) -> None:
  """Writes T5X's summary of a run's configuration, and our `model.json`.

  With `model.json` and `spiece.model` beside T5X's checkpoints MODEL_DIR is a
  model directory of xlrm, too. MODEL_DIR must be a local path for that.

  Args:
    model_dir: of the run.
    summary_writer: T5X's.
    step: at which the run begins.
    model: `%MODEL`.
  """
  gin_utils.summarize_gin_config(model_dir, summary_writer, step)
  model_description.write(
    model_dir,
    model.description,
    model.output_vocabulary.sentencepiece_model_file,
  )
