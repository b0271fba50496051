"""Hugging Face directories of the T5 family, read and written without torch.

`config.json`, `model.safetensors` (or shards with an index) and the tokenizer's
files. Kernels are transposed there; embeddings and norms are not. Tied or not
is decided from the weights: transformers 5 writes `tie_word_embeddings: true`
beside an output matrix of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
import difflib
import json
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from xlrm import types
from xlrm.checkpoints import huggingface_names
from xlrm.checkpoints import safetensors_files
from xlrm.checkpoints import stored
from xlrm.models import t5

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = safetensors_files.INDEX
VOCABULARY = "spiece.model"
TOKENIZER_FILES = (
  VOCABULARY,
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
)
SHARD = 5 * 10**9  # bytes of a shard, as transformers splits
MODEL_TYPES = ("mt5", "t5", "umt5")
ACTIVATIONS = {
  "gated-gelu": ("gelu", "linear"),
  "relu": ("relu",),
  "gated-relu": ("relu", "linear"),
}
CheckpointError = stored.CheckpointError


def is_directory(path: str | os.PathLike) -> bool:
  directory = pathlib.Path(path)
  return (directory / CONFIG).is_file() and (
    (directory / WEIGHTS).is_file() or (directory / INDEX).is_file()
  )


def _no_directory(directory: pathlib.Path) -> str:
  held = sorted(x.name for x in directory.glob("*"))
  text = (
    f"{directory} is no Hugging Face directory: {CONFIG} and {WEIGHTS} or "
    f"{INDEX} were expected; it holds: {', '.join(held[:6]) or 'nothing'}"
  )
  if any(name.startswith("pytorch_model") for name in held):
    text += (
      ". Its weights are a pickle, which runs code when it is read: load and "
      "save it with transformers (from_pretrained, save_pretrained) where you "
      "trust it"
    )
  return text


def _json(path: pathlib.Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError:
    raise
  except ValueError as error:
    raise CheckpointError(f"{path} is no JSON: {error}") from error
  if not isinstance(content, dict):
    raise CheckpointError(f"{path} holds no JSON object")
  return content


def read_config(path: str | os.PathLike) -> dict[str, Any]:
  """`config.json`, checked to be of the T5 family.

  Raises:
    FileNotFoundError, CheckpointError: names the file and what is wrong.
  """
  file = pathlib.Path(path) / CONFIG
  fields = _json(file)
  kind = fields.get("model_type")
  if kind not in MODEL_TYPES:
    raise CheckpointError(
      f"{file}: model_type {kind!r} is not one of {', '.join(MODEL_TYPES)}"
    )
  activation = fields.get("feed_forward_proj", "relu")
  if activation not in ACTIVATIONS:
    raise CheckpointError(
      f"{file}: feed_forward_proj {activation!r} is not one of "
      f"{', '.join(ACTIVATIONS)}"
    )
  return fields


def model_config(
  path: str | os.PathLike, parameters: stored.Stored
) -> t5.T5Config:
  """The model of a directory; `parameters` as `read` gives them."""
  fields = read_config(path)
  file = pathlib.Path(path) / CONFIG
  try:
    return t5.T5Config(
      vocab_size=parameters["token_embedder/embedding"].shape[0],
      emb_dim=fields["d_model"],
      num_heads=fields["num_heads"],
      head_dim=fields["d_kv"],
      mlp_dim=fields["d_ff"],
      num_encoder_layers=fields["num_layers"],
      num_decoder_layers=fields.get("num_decoder_layers")
      or fields["num_layers"],
      mlp_activations=ACTIVATIONS[fields.get("feed_forward_proj", "relu")],
      tie_embeddings="decoder/logits_dense/kernel" not in parameters,
      rel_buckets=fields.get("relative_attention_num_buckets", 32),
      rel_max_distance=fields.get("relative_attention_max_distance", 128),
      rel_bias_per_layer=fields["model_type"] == "umt5",
    )
  except KeyError as error:
    raise CheckpointError(f"{file} lacks the field {error}") from error
  except ValueError as error:
    raise CheckpointError(f"{file}: {error}") from error


def _files(directory: pathlib.Path) -> dict[str, pathlib.Path]:
  """Tensor -> the file that holds it.

  Raises:
    CheckpointError: the index names a file or a tensor that is not there.
  """
  index = directory / INDEX
  if not index.is_file():
    return {
      name: directory / WEIGHTS
      for name in safetensors_files.names(directory / WEIGHTS)
    }
  places = _json(index).get("weight_map")
  if not isinstance(places, dict):
    raise CheckpointError(f"{index} has no weight_map")
  held = {}
  for file in dict.fromkeys(places.values()):
    if not (directory / file).is_file():
      raise CheckpointError(
        f"{index} names {file}, which is not there; was the folder copied "
        "whole?"
      )
    held[file] = set(safetensors_files.names(directory / file))
  for name, file in places.items():
    if name not in held[file]:
      raise CheckpointError(
        f"{index} says that {file} holds {name}; it does not"
      )
  return {name: directory / file for name, file in places.items()}


def _same(one: stored.StoredArray, other: stored.StoredArray) -> bool:
  """Equal bit for bit; reads a part of both at a time."""
  return one.shape == other.shape and all(
    np.array_equal(values, other.read(index)) for index, values in one.parts()
  )


def _is_scaled(fields: Mapping[str, Any]) -> bool:
  """Whether a tied model divides its states by sqrt(width), as T5 1.0 does.

  transformers 4 does so where the flag says tied. transformers 5 never does
  so in mT5, and in T5 remembers the flag as `scale_decoder_outputs`.
  """
  flag = bool(fields.get("tie_word_embeddings", True))
  if fields["model_type"] == "mt5":
    version = str(fields.get("transformers_version", "4"))
    return flag and int(version.partition(".")[0]) < 5
  if fields["model_type"] == "t5":
    return bool(fields.get("scale_decoder_outputs", flag))
  return flag


def _paths(fields: Mapping[str, Any]) -> Iterator[str]:
  return huggingface_names.paths(
    fields["num_layers"],
    fields.get("num_decoder_layers") or fields["num_layers"],
    len(ACTIVATIONS[fields.get("feed_forward_proj", "relu")]),
    fields["model_type"] == "umt5",
  )


def read(path: str | os.PathLike) -> dict[str, stored.StoredArray]:
  """Parameters by T5X's path, nothing read yet but names and shapes.

  A scorer that `write` made has 'head/kernel' and 'head/bias' among them. A
  model that ties without scaling gets an output matrix of its own, equal to
  its embedding: the same function.

  Raises:
    FileNotFoundError, CheckpointError: no such directory, half copied, a
      tensor is unknown or missing.
  """
  directory = pathlib.Path(path)
  if not is_directory(directory):
    raise CheckpointError(_no_directory(directory))
  fields = read_config(directory)
  files = _files(directory)
  names = {huggingface_names.hub_name(path): path for path in _paths(fields)}
  result = {}
  for name, file in files.items():
    if huggingface_names.IGNORED.fullmatch(name):
      continue
    if name not in names:
      near = difflib.get_close_matches(name, names, 1, 0.3)
      raise CheckpointError(
        f"{file} has the tensor {name}, which no "
        f"{fields['model_type']} of this config has; nearest: "
        f"{near[0] if near else 'none'}"
      )
    array = safetensors_files.tensor(file, name)
    path_name = names[name]
    matrix = (
      huggingface_names.is_transposed(path_name) and len(array.shape) == 2
    )
    result[path_name] = array.transposed if matrix else array
  _require_embedding(directory, result, files)
  embedding = result["token_embedder/embedding"].transposed
  output = "decoder/logits_dense/kernel"
  if output in result and _same(result[output], embedding):
    del result[output]
  scored = "head/kernel" in result
  if output not in result and not scored and not _is_scaled(fields):
    result[output] = embedding
  return result


def _require_embedding(directory, result, files) -> None:
  """`shared.weight` may be stored under the name of one of its copies."""
  if "token_embedder/embedding" in result:
    return
  for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
    if name in files:
      result["token_embedder/embedding"] = safetensors_files.tensor(
        files[name], name
      )
      return
  raise CheckpointError(f"{directory} lacks the tensor shared.weight")


def config_fields(config: t5.T5Config, *, dtype: str) -> dict[str, Any]:
  """`config.json` of a model; mT5 unless it is one of its relatives."""
  activation = {value: key for key, value in ACTIVATIONS.items()}
  if config.mlp_activations not in activation:
    raise CheckpointError(
      f"Hugging Face's T5 has no mlp_activations {config.mlp_activations}"
    )
  kind, name = "mt5", "MT5ForConditionalGeneration"
  if config.rel_bias_per_layer:
    kind, name = "umt5", "UMT5ForConditionalGeneration"
  elif config.tie_embeddings or config.mlp_activations != ("gelu", "linear"):
    kind, name = "t5", "T5ForConditionalGeneration"
  gated = len(config.mlp_activations) > 1
  act = {"gelu": "gelu_new", "relu": "relu"}[config.mlp_activations[0]]
  fields = {
    "architectures": [name],
    "model_type": kind,
    "vocab_size": config.vocab_size,
    "d_model": config.emb_dim,
    "d_kv": config.head_dim,
    "d_ff": config.mlp_dim,
    "num_heads": config.num_heads,
    "num_layers": config.num_encoder_layers,
    "num_decoder_layers": config.num_decoder_layers,
    "feed_forward_proj": activation[config.mlp_activations],
    "is_gated_act": gated,
    "dense_act_fn": act,
    "relative_attention_num_buckets": config.rel_buckets,
    "relative_attention_max_distance": config.rel_max_distance,
    "layer_norm_epsilon": 1e-6,
    "dropout_rate": config.dropout_rate,
    "tie_word_embeddings": config.tie_embeddings,
    "is_encoder_decoder": True,
    "use_cache": True,
    "pad_token_id": types.PAD_ID,
    "eos_token_id": types.EOS_ID,
    "decoder_start_token_id": types.PAD_ID,
    "torch_dtype": dtype,
  }
  if kind == "t5":
    fields["scale_decoder_outputs"] = config.tie_embeddings
  return fields


def write(
  path: str | os.PathLike,
  parameters: stored.Stored,
  config: t5.T5Config,
  *,
  tokenizer_files: Sequence[str | os.PathLike] = (),
  extra: Mapping[str, Any] | None = None,
  dtype: str | None = None,
  shard_size: int = SHARD,
  progress: Any = None,
) -> pathlib.Path:
  """Writes a directory that transformers and `read` open.

  It appears under its name when it is whole.

  Args:
    parameters: by T5X's path; a scorer's 'backbone/..' and 'head/..' too.
    tokenizer_files: copied along under their names.
    extra: further fields of `config.json`.
    dtype: float32, bfloat16 or float16; None keeps each array's own.
    shard_size: bytes of one file, unless a tensor is larger.
    progress: called with the bytes of every tensor written.

  Raises:
    CheckpointError: the destination exists, or the format cannot hold a dtype
      or a parameter.
  """
  final = pathlib.Path(path)
  if final.exists():
    raise CheckpointError(f"{final} exists already; choose another place")
  items = []
  for name, array in parameters.items():
    kept = np.dtype(dtype) if dtype else array.dtype
    if kept not in safetensors_files.CODES:
      raise CheckpointError(
        f"{name} is {kept}; safetensors of T5 hold "
        f"{', '.join(str(x) for x in safetensors_files.CODES)}"
      )
    bare = name.removeprefix("backbone/")
    matrix = huggingface_names.is_transposed(bare) and len(array.shape) == 2
    items.append(
      (
        huggingface_names.hub_name(name),
        array.transposed if matrix else array,
        kept,
      )
    )
  items.sort(key=lambda item: item[0])
  fields = config_fields(config, dtype=str(items[0][2]) if items else "float32")
  partial = final.with_name(final.name + ".partial")
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  shards = safetensors_files.shards(items, shard_size)
  for file in tokenizer_files:
    shutil.copyfile(file, partial / pathlib.Path(file).name)
  if len(shards) == 1:
    safetensors_files.write(partial / WEIGHTS, shards[0], progress)
  else:
    safetensors_files.write_shards(partial, shards, progress)
  text = json.dumps({**fields, **(extra or {})}, indent=2) + "\n"
  (partial / CONFIG).write_text(text, encoding="utf-8")
  os.replace(partial, final)
  return final


def tokenizer_files(path: str | os.PathLike) -> list[pathlib.Path]:
  """The tokenizer's files of a directory, those that are there."""
  directory = pathlib.Path(path)
  return [directory / x for x in TOKENIZER_FILES if (directory / x).is_file()]
