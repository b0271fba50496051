"""Model directories: what a job leaves behind and the next one starts from.

A MODEL_DIR holds `model.json` (what the model is), `spiece.model` (its
vocabulary) and the checkpoints of training. A released model holds one
`params.npz` instead of checkpoints; the name "nano" means the one that ships
with xlrm.
"""

import dataclasses
import json
import os
import pathlib
import shutil
from typing import Any

from flax import traverse_util
import jax
import numpy as np

from xlrm import tokenizer as tokenizer_lib
from xlrm import types
from xlrm.checkpoints import native
from xlrm.models import language_model
from xlrm.models import scorer as scorer_lib
from xlrm.models import t5

DESCRIPTION = "model.json"
VOCABULARY = "spiece.model"
ARCHIVE = "params.npz"
SHIPPED = ("nano",)
LANGUAGE_MODEL = "language_model"
RESPONSE_SCORER = "response_scorer"


@dataclasses.dataclass(frozen=True)
class Description:
  """What `model.json` says.

  Attributes:
    kind: LANGUAGE_MODEL or RESPONSE_SCORER.
    config: sizes and flags of the backbone.
    max_input_length: tokens of a prompt, EOS included.
    max_response_length: tokens of a response, EOS included.
    extra_ids: sentinel ids behind the pieces of the vocabulary.
    history: one sentence per stage of training, oldest first.
    scorer_layer: decoder layer that a scorer reads, None is the last.
  """

  kind: str
  config: t5.T5Config
  max_input_length: int
  max_response_length: int
  extra_ids: int
  history: tuple[str, ...] = ()
  scorer_layer: int | None = None

  def __post_init__(self):
    if self.kind not in (LANGUAGE_MODEL, RESPONSE_SCORER):
      raise ValueError(
        f"model kind {self.kind!r} is neither {LANGUAGE_MODEL!r} nor "
        f"{RESPONSE_SCORER!r}"
      )


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A model, its parameters, its tokenizer, its description.

  Attributes:
    vocabulary: path of the sentencepiece file.
  """

  model: language_model.EncoderDecoder | scorer_lib.ResponseScorer
  params: types.Params
  tokenizer: tokenizer_lib.Tokenizer
  description: Description
  vocabulary: str


def resolve(path: str | os.PathLike) -> pathlib.Path:
  """The directory that a path or the name of a shipped model means."""
  if str(path) in SHIPPED:
    return pathlib.Path(__file__).parent / "assets" / str(path)
  return pathlib.Path(path)


def model_directory(path: str | os.PathLike) -> pathlib.Path:
  """The MODEL_DIR of a path that may name one checkpoint inside it.

  Raises:
    FileNotFoundError: there is no model.json; says what the folder holds.
  """
  directory = resolve(path)
  for candidate in (directory, directory.parent):
    if (candidate / DESCRIPTION).is_file():
      return candidate
  if not directory.is_dir():
    raise FileNotFoundError(
      f"no model directory {directory} (shipped models: {', '.join(SHIPPED)})"
    )
  held = sorted(entry.name for entry in directory.iterdir())[:8]
  raise FileNotFoundError(
    f"{directory} holds no {DESCRIPTION}, so it is no model directory; "
    f"it holds: {', '.join(held) or 'nothing'}"
  )


def write_description(
  model_dir: str | os.PathLike, description: Description, vocabulary: str
) -> None:
  """Writes `model.json` and copies the vocabulary beside it."""
  directory = pathlib.Path(model_dir)
  directory.mkdir(parents=True, exist_ok=True)
  target = directory / VOCABULARY
  if pathlib.Path(vocabulary).resolve() != target.resolve():
    temporary = target.with_suffix(".partial")
    shutil.copyfile(vocabulary, temporary)
    os.replace(temporary, target)
  temporary = directory / (DESCRIPTION + ".partial")
  text = json.dumps(dataclasses.asdict(description), indent=1)
  temporary.write_text(text + "\n", encoding="utf-8")
  os.replace(temporary, directory / DESCRIPTION)


def read_description(path: str | os.PathLike) -> Description:
  """Reads `model.json` of a MODEL_DIR or of one of its checkpoints.

  Raises:
    ValueError: the file is no description; names it and what is wrong.
  """
  file = model_directory(path) / DESCRIPTION
  try:
    fields = json.loads(file.read_text(encoding="utf-8"))
    config = fields.pop("config")
    config["mlp_activations"] = tuple(config["mlp_activations"])
    fields["history"] = tuple(fields.get("history", ()))
    return Description(config=t5.T5Config(**config), **fields)
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f"{file} describes no model: {error}") from error


def vocabulary_path(path: str | os.PathLike) -> str:
  """The sentencepiece file of a model directory."""
  return str(model_directory(path) / VOCABULARY)


def load_tokenizer(path: str | os.PathLike) -> tokenizer_lib.Tokenizer:
  """The tokenizer of a model directory."""
  return tokenizer_lib.Tokenizer.load(
    vocabulary_path(path), extra_ids=read_description(path).extra_ids
  )


def _backbone(description: Description, **overrides: Any):
  config = dataclasses.replace(description.config, **overrides)
  return language_model.EncoderDecoder(config)


def _load_params(
  path: str | os.PathLike, abstract: types.Params
) -> types.Params:
  archive = resolve(path) / ARCHIVE
  if not archive.is_file():
    return native.load_params(str(resolve(path)), abstract)
  with np.load(archive) as arrays:
    loaded = {name: arrays[name] for name in arrays.files}
  expected = traverse_util.flatten_dict(abstract, sep="/")
  for name, leaf in expected.items():
    if name not in loaded:
      raise ValueError(f"{archive} lacks the parameter {name}")
    if loaded[name].shape != leaf.shape:
      raise ValueError(
        f"{archive}: {name} has shape {loaded[name].shape}, the model "
        f"{leaf.shape}"
      )
  unexpected = sorted(set(loaded) - set(expected))
  if unexpected:
    raise ValueError(f"{archive} has parameters of no model: {unexpected[:3]}")
  return traverse_util.unflatten_dict(loaded, sep="/")


def load_language_model(
  path: str | os.PathLike,
  dropout_rate: float = 0.0,
  dtype: str = "float32",
  remat: bool = False,
) -> Pretrained:
  """Loads a language model.

  Args:
    path: MODEL_DIR (its best checkpoint), one of its checkpoints, or the name
      of a shipped model.
    dropout_rate: of training; the same model without a key has none.
    dtype: of the computation, 'float32' or 'bfloat16'; parameters stay
      float32.
    remat: recompute each layer in the backward pass.
  """
  description = read_description(path)
  if description.kind != LANGUAGE_MODEL:
    raise ValueError(
      f"{path} holds a {description.kind}, not a {LANGUAGE_MODEL}; "
      "a policy starts from an SFT model directory"
    )
  model = _backbone(
    description, dropout_rate=dropout_rate, dtype=dtype, remat=remat
  )
  return Pretrained(
    model,
    _load_params(path, model.abstract()),
    load_tokenizer(path),
    dataclasses.replace(description, config=model.config),
    vocabulary_path(path),
  )


def load_scorer(path: str | os.PathLike, dtype: str = "float32") -> Pretrained:
  """Loads a reward model; see `load_language_model`."""
  description = read_description(path)
  if description.kind != RESPONSE_SCORER:
    raise ValueError(
      f"{path} holds a {description.kind}, not a {RESPONSE_SCORER}; "
      "a reward model directory is written by the job reward.train"
    )
  tokenizer = load_tokenizer(path)
  model = scorer_lib.ResponseScorer(
    model=_backbone(description, dropout_rate=0.0, dtype=dtype),
    tokenizer=tokenizer,
    max_input_length=description.max_input_length,
    max_response_length=description.max_response_length,
    layer=description.scorer_layer,
  )
  params = _load_params(path, model.abstract())
  return Pretrained(
    model, params, tokenizer, description, vocabulary_path(path)
  )


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
  params = jax.jit(model.init)(jax.random.key(seed))
  description = Description(LANGUAGE_MODEL, config, 0, 0, extra_ids)
  return Pretrained(model, params, tokenizer, description, vocabulary)


def write_archive(directory: str | os.PathLike, trained: Pretrained) -> None:
  """Writes a model as one `params.npz` with its description."""
  target = pathlib.Path(directory)
  write_description(target, trained.description, trained.vocabulary)
  flat = traverse_util.flatten_dict(jax.device_get(trained.params), sep="/")
  temporary = target / "partial.npz"
  np.savez(temporary, **{name: np.asarray(x) for name, x in flat.items()})
  os.replace(temporary, target / ARCHIVE)
