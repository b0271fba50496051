"""Models loaded from files: what the next job starts from.

Directories of ours, of T5X and of Hugging Face alike, see `model_files`.
"""

import dataclasses
import functools
from typing import Any

import jax

from xlrm import types
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import stored
from xlrm.distributed import lazy_params as lazy_params_lib
from xlrm.distributed import processes
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.models import verdict_scorer
from xlrm.storage import files as files_lib
from xlrm.text import tokenizer as tokenizer_lib

VERDICT = "verdict:"


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A model, its parameters, its tokenizer, its description.

  Attributes:
    lazy_params: for a mesh: `lazy_params.on(mesh)`.
    vocabulary: path of the sentencepiece file.
  """

  model: (
    language_model.EncoderDecoder
    | response_scorer.ResponseScorer
    | verdict_scorer.VerdictScorer
  )
  lazy_params: lazy_params_lib.LazyParams
  tokenizer: tokenizer_lib.Tokenizer
  description: model_description.Description
  vocabulary: str

  @functools.cached_property
  def params(self) -> types.Params:
    """The parameters on one device, read at first use and then kept."""
    return self.lazy_params.on(None)


def load_tokenizer(
  path: files_lib.Name, vocabulary: str | None = None
) -> tokenizer_lib.Tokenizer:
  """The tokenizer of a model.

  Args:
    path: see `load_language_model`.
    vocabulary: sentencepiece file, where the checkpoint has none beside it.
  """
  return _tokenizer(model_files.find(path, vocabulary))


def _tokenizer(files: model_files.ModelFiles) -> tokenizer_lib.Tokenizer:
  return tokenizer_lib.Tokenizer.load(
    model_files.require_vocabulary(files),
    extra_ids=files.description.extra_ids,
  )


def _backbone(description: model_description.Description, **overrides: Any):
  config = dataclasses.replace(description.config, **overrides)
  return language_model.EncoderDecoder(config)


def load_language_model(
  path: files_lib.Name,
  dropout_rate: float = 0.0,
  dtype: str = "float32",
  remat: bool = False,
  vocabulary: str | None = None,
) -> Pretrained:
  """Loads a language model.

  Args:
    path: MODEL_DIR (its best checkpoint), one of its checkpoints, a T5X model
      directory or checkpoint (local or gs://), a Hugging Face directory, or
      the name of a shipped model.
    dropout_rate: of training; the same model without a key has none.
    dtype: of the computation, 'float32' or 'bfloat16'; parameters stay
      float32.
    remat: recompute each layer in the backward pass.
    vocabulary: sentencepiece file, where the checkpoint has none beside it.
  """
  files = model_files.find(path, vocabulary)
  if files.description.kind != model_description.LANGUAGE_MODEL:
    raise ValueError(
      f"{path} holds a {files.description.kind}, not a "
      f"{model_description.LANGUAGE_MODEL}; a policy starts from an SFT model "
      "directory"
    )
  model = _backbone(
    files.description, dropout_rate=dropout_rate, dtype=dtype, remat=remat
  )
  return Pretrained(
    model,
    model_files.lazy_params(files, model.abstract()),
    _tokenizer(files),
    dataclasses.replace(files.description, config=model.config),
    files.vocabulary,
  )


def scorer_of(
  backbone: language_model.EncoderDecoder,
  tokenizer: tokenizer_lib.Tokenizer,
  description: model_description.Description,
) -> response_scorer.ResponseScorer:
  """The reward model that a description asks for."""
  return response_scorer.ResponseScorer(
    model=backbone,
    tokenizer=tokenizer,
    max_input_length=description.max_input_length,
    max_response_length=description.max_response_length,
    layer=description.scorer_layer,
    truncate_inputs_from_left=description.truncate_inputs_from_left,
  )


def load_scorer(
  path: files_lib.Name,
  dtype: str = "float32",
  vocabulary: str | None = None,
  dropout_rate: float = 0.0,
) -> Pretrained:
  """Loads a reward model.

  'verdict:PATH' is a language model that answers "1" or "0", such as the
  released SEAHORSE metrics, see `models.verdict_scorer`.

  Args:
    path: see `load_language_model`.
    dtype: of the computation, 'float32' or 'bfloat16'.
    vocabulary: sentencepiece file, where the checkpoint has none beside it.
    dropout_rate: where its training goes on.
  """
  if str(path).startswith(VERDICT):
    return _load_verdict(str(path).removeprefix(VERDICT), dtype, vocabulary)
  files = model_files.find(path, vocabulary)
  description = files.description
  if description.kind != model_description.RESPONSE_SCORER:
    raise ValueError(
      f"{path} holds a {description.kind}, not a "
      f"{model_description.RESPONSE_SCORER}; a reward model directory is "
      "written by the job reward.train (a model that answers 1 or 0 in text is "
      f"named {VERDICT}{path})"
    )
  tokenizer = _tokenizer(files)
  backbone = _backbone(description, dropout_rate=dropout_rate, dtype=dtype)
  model = scorer_of(backbone, tokenizer, description)
  params = model_files.lazy_params(files, model.abstract())
  return Pretrained(model, params, tokenizer, description, files.vocabulary)


def _load_verdict(path: str, dtype: str, vocabulary: str | None) -> Pretrained:
  loaded = load_language_model(path, dtype=dtype, vocabulary=vocabulary)
  model = verdict_scorer.VerdictScorer(loaded.model, loaded.tokenizer)
  return dataclasses.replace(loaded, model=model)


def new_language_model(
  config: t5.T5Config,
  vocabulary: str,
  extra_ids: int = 100,
  seed: int = 0,
) -> Pretrained:
  """A language model with fresh parameters.

  Args:
    config: of the model.
    vocabulary: sentencepiece model file.
    extra_ids: sentinel ids behind its pieces.
    seed: of the parameters.

  Raises:
    ValueError: the vocabulary has more ids than the model has rows.
  """
  tokenizer = tokenizer_lib.Tokenizer.load(vocabulary, extra_ids=extra_ids)
  needed = tokenizer.vocab_size + extra_ids
  if needed > config.vocab_size:
    raise ValueError(
      f"{vocabulary} has {tokenizer.vocab_size} pieces and {extra_ids} extra "
      f"ids, the model only {config.vocab_size} rows: set vocab_size to at "
      f"least {needed}"
    )
  model = language_model.EncoderDecoder(config)
  params = lazy_params_lib.LazyParams.computed(
    lambda: model.init(jax.random.key(seed))
  )
  description = model_description.Description(
    model_description.LANGUAGE_MODEL, config, 0, 0, extra_ids
  )
  return Pretrained(model, params, tokenizer, description, vocabulary)


def write_archive(
  directory: files_lib.Name,
  params: types.Params,
  description: model_description.Description,
  vocabulary: str,
) -> None:
  """Writes a model as one `params.npz` with its description."""
  model_description.write(directory, description, vocabulary)
  arrays = stored.of_tree(processes.fetch(params))
  target = files_lib.path(directory) / model_files.ARCHIVE
  processes.on_first(stored.write_archive, target, arrays)
