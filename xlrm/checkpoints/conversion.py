"""From any kind of checkpoint to any other, array by array.

Nothing but one array (or a part of a large one) is in memory at a time, and
the destination appears under its name when it is whole.
"""

from collections.abc import Callable
import dataclasses
import math

from etils import epath
import numpy as np

from xlrm import types
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import huggingface_config
from xlrm.checkpoints import huggingface_writer
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x_writer
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.storage import files as files_lib

KINDS = (model_files.T5X, model_files.HUGGING_FACE, model_files.XLRM)
NAMES = {
  model_files.T5X: "T5X checkpoint",
  model_files.HUGGING_FACE: "Hugging Face directory",
  model_files.XLRM: "xlrm model directory",
}
SCORER_CLASS = "XlrmResponseScorer"  # in config.json: no class of transformers
Progress = Callable[[int], None]


def summary(files: model_files.ModelFiles) -> str:
  """What was recognised, in one line."""
  config = files.description.config
  shape = (
    config.emb_dim,
    config.num_heads,
    config.head_dim,
    config.mlp_dim,
    config.num_encoder_layers,
    config.num_decoder_layers,
  )
  size = next((name for name, x in t5.SIZES.items() if x[1:] == shape), "")
  flags = ["tied output matrix" if config.tie_embeddings else "untied"]
  gate = "gated " if len(config.mlp_activations) > 1 else ""
  flags.append(gate + config.mlp_activations[0])
  if config.rel_bias_per_layer:
    flags.append("relative bias per layer")
  count = sum(math.prod(x.shape) for x in files.read().values())
  return (
    f"{NAMES[files.source]}, {files.description.kind.replace('_', ' ')}"
    f"{f' of size {size}' if size else ''}: {count:,} parameters, width "
    f"{config.emb_dim}, {config.num_encoder_layers} + "
    f"{config.num_decoder_layers} layers, {config.vocab_size:,} rows, "
    f"{', '.join(flags)}; vocabulary {files.vocabulary or 'not found'}"
  )


def abstract_params(
  description: model_description.Description,
) -> types.Params:
  """The shapes and dtypes of a described model's parameters."""
  model = language_model.EncoderDecoder(description.config)
  if description.kind == model_description.LANGUAGE_MODEL:
    return model.abstract()
  return response_scorer.ResponseScorer(
    model,
    None,
    description.max_input_length,
    description.max_response_length,
    description.scorer_layer,
  ).abstract()


def convert(
  source: files_lib.Name,
  destination: files_lib.Name,
  to: str,
  *,
  dtype: str | None = None,
  vocabulary: str | None = None,
  step: int | None = None,
  shard_size: int = huggingface_writer.SHARD,
  progress: Progress | None = None,
) -> epath.Path:
  """Writes a model as another kind of checkpoint.

  A T5X checkpoint gets Adafactor's moments, too, where the source has them.

  Args:
    source: see `model_files.find`.
    destination: a folder that does not exist; of T5X the model directory that
      gets a `checkpoint_<step>`.
    to: 't5x', 'hf' or 'xlrm'.
    dtype: of the parameters; None keeps them. xlrm's own are float32.
    vocabulary: sentencepiece file, where the source has none beside it.
    step: in the name of a T5X checkpoint; None is that of the source's
      training, else 0.
    shard_size: bytes of one Hugging Face file.
    progress: called with the bytes of every array.

  Raises:
    ValueError: `to` or `dtype` cannot be had, the destination exists, or the
      source is no whole model: names what is wrong.
  """
  if to not in KINDS:
    raise ValueError(f"to {to!r} is not one of {', '.join(KINDS)}")
  final = files_lib.path(destination)
  if final.exists():
    raise ValueError(f"{final} exists already; choose another place")
  if to == model_files.XLRM and dtype not in (None, "float32"):
    raise ValueError(
      f"dtype {dtype!r}: xlrm keeps parameters in float32; set the dtype of "
      "the computation where the model is loaded"
    )
  files = model_files.find(source, vocabulary)
  arrays = files.read()
  stored.check(arrays, abstract_params(files.description), source)
  if to == model_files.HUGGING_FACE:
    return _to_hub(files, final, dtype, shard_size, progress)
  bare = (
    to == model_files.T5X
    and not files.vocabulary
    and files.description.kind == model_description.LANGUAGE_MODEL
  )
  if not bare:
    vocabulary = model_files.require_vocabulary(files)
  with files_lib.writing_folder(final) as folder:
    if not bare:  # what T5X's own checkpoints do not hold
      model_description.write(folder, files.description, vocabulary)
    if to == model_files.T5X:
      trained, moments = model_files.training_state(files) or (0, None)
      t5x_writer.write(
        folder,
        arrays,
        step=trained if step is None else step,
        moments=moments,
        dtype=dtype,
        progress=progress,
      )
    else:
      arrays = {x: stored.as_type(y, np.float32) for x, y in arrays.items()}
      stored.write_archive(folder / model_files.ARCHIVE, arrays, progress)
  return final


def _to_hub(files, final, dtype, shard_size, progress) -> epath.Path:
  extra = {model_files.HUB_FIELD: dataclasses.asdict(files.description)}
  copied = [files.vocabulary] if files.vocabulary else []
  if files.description.kind != model_description.LANGUAGE_MODEL:
    extra["architectures"] = [SCORER_CLASS]
  elif files.source == model_files.HUGGING_FACE:
    theirs = huggingface_config.read(files.path)
    for name in ("model_type", "architectures"):
      if name in theirs:
        extra[name] = theirs[name]
    copied = huggingface.tokenizer_files(files.path) or copied
  return huggingface_writer.write(
    final,
    files.read(),
    files.description.config,
    tokenizer_files=copied,
    extra=extra,
    dtype=dtype,
    shard_size=shard_size,
    progress=progress,
  )
