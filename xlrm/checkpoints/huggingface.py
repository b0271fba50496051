"""Hugging Face directories of the T5 family, read without torch.

`config.json`, `model.safetensors` (or shards with an index) and the tokenizer's
files. Kernels are transposed there; embeddings and norms are not. Tied or not
is decided from the weights: transformers 5 writes `tie_word_embeddings: true`
beside an output matrix of its own.
"""

from collections.abc import Mapping
import difflib
import pathlib
from typing import Any

import numpy as np

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import file_marks
from xlrm.checkpoints import huggingface_config
from xlrm.checkpoints import huggingface_names
from xlrm.checkpoints import safetensors_files
from xlrm.checkpoints import stored
from xlrm.storage import files

WEIGHTS = "model.safetensors"
VOCABULARY = "spiece.model"
TOKENIZER_FILES = (
  VOCABULARY,
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
)


def is_directory(path: files.Name) -> bool:
  """Whether a folder holds a configuration and weights."""
  directory = files.local(path)
  return (directory / huggingface_config.FILE).is_file() and (
    (directory / WEIGHTS).is_file()
    or (directory / safetensors_files.INDEX).is_file()
  )


def _no_directory(directory: pathlib.Path) -> str:
  held = [x.name for x in files.listing(directory)]
  text = (
    f"{directory} is no Hugging Face directory: {huggingface_config.FILE} and "
    f"{WEIGHTS} or {safetensors_files.INDEX} were expected; it holds: "
    f"{', '.join(held[:6]) or 'nothing'}"
  )
  if any(name.startswith("pytorch_model") for name in held):
    text += (
      ". Its weights are a pickle, which runs code when it is read: load and "
      "save it with transformers (from_pretrained, save_pretrained) where you "
      "trust it"
    )
  return text


def _files(directory: pathlib.Path) -> dict[str, pathlib.Path]:
  """Tensor -> the file that holds it.

  Raises:
    CheckpointError: the index names a file or a tensor that is not there.
  """
  index = directory / safetensors_files.INDEX
  if not index.is_file():
    return {
      name: directory / WEIGHTS
      for name in safetensors_files.names(directory / WEIGHTS)
    }
  places = huggingface_config.read_json(index).get("weight_map")
  if not isinstance(places, dict):
    raise checkpoint_errors.CheckpointError(f"{index} has no weight_map")
  held = {}
  for file in dict.fromkeys(places.values()):
    if not (directory / file).is_file():
      raise checkpoint_errors.CheckpointError(
        f"{index} names {file}, which is not there; was the folder copied "
        "whole?"
      )
    held[file] = set(safetensors_files.names(directory / file))
  for name, file in places.items():
    if name not in held[file]:
      raise checkpoint_errors.CheckpointError(
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


def read(path: files.Name) -> dict[str, stored.StoredArray]:
  """Parameters by T5X's path, nothing read yet but names and shapes.

  A scorer of ours has 'head/kernel' and 'head/bias' among them. A
  model that ties without scaling gets an output matrix of its own, equal to
  its embedding: the same function.

  Raises:
    FileNotFoundError, CheckpointError: no such directory, half copied, a
      tensor is unknown or missing.
  """
  directory = files.local(path)
  if not is_directory(directory):
    raise checkpoint_errors.CheckpointError(_no_directory(directory))
  fields = huggingface_config.read(directory)
  holders = _files(directory)
  names = {
    huggingface_names.hub_name(path): path
    for path in huggingface_config.paths(fields)
  }
  result = {}
  for name, file in holders.items():
    if huggingface_names.IGNORED.fullmatch(name):
      continue
    if name not in names:
      near = difflib.get_close_matches(name, names, 1, 0.3)
      raise checkpoint_errors.CheckpointError(
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
  _require_embedding(directory, result, holders)
  embedding = result["token_embedder/embedding"].transposed
  output = "decoder/logits_dense/kernel"
  if output in result and _same(result[output], embedding):
    del result[output]
  scored = "head/kernel" in result
  if output not in result and not scored and not _is_scaled(fields):
    result[output] = embedding
  return result


def _require_embedding(directory, result, holders) -> None:
  """`shared.weight` may be stored under the name of one of its copies."""
  if "token_embedder/embedding" in result:
    return
  for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
    if name in holders:
      result["token_embedder/embedding"] = safetensors_files.tensor(
        holders[name], name
      )
      return
  raise checkpoint_errors.CheckpointError(
    f"{directory} lacks the tensor shared.weight"
  )


def tokenizer_files(path: files.Name) -> list[pathlib.Path]:
  """The tokenizer's files of a directory, those that are there."""
  directory = files.local(path)
  return [directory / x for x in TOKENIZER_FILES if (directory / x).is_file()]


def marks(path: files.Name) -> list[str]:
  """What tells the weights of a directory from others, file by file."""
  directory = files.local(path)
  return sorted(
    f"{file.name}: {file_marks.of_file(file)}"
    for file in set(_files(directory).values())
  )
