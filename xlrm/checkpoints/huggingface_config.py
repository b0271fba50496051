"""`config.json` of Hugging Face's T5 family: from and to our own."""

from collections.abc import Iterator, Mapping
import json
import pathlib
from typing import Any

from xlrm import types
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import huggingface_names
from xlrm.checkpoints import stored
from xlrm.models import t5
from xlrm.storage import files

FILE = "config.json"
MODEL_TYPES = ("mt5", "t5", "umt5")
ACTIVATIONS = {
  "gated-gelu": ("gelu", "linear"),
  "relu": ("relu",),
  "gated-relu": ("relu", "linear"),
}


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """The object that a file holds.

  Raises:
    FileNotFoundError, CheckpointError: names the file and what is wrong.
  """
  try:
    content = json.loads(files.read_text(path))
  except ValueError as error:
    raise checkpoint_errors.CheckpointError(
      f"{path} is no JSON: {error}"
    ) from error
  if not isinstance(content, dict):
    raise checkpoint_errors.CheckpointError(f"{path} holds no JSON object")
  return content


def read(path: files.Name) -> dict[str, Any]:
  """`config.json`, checked to be of the T5 family.

  Raises:
    FileNotFoundError, CheckpointError: names the file and what is wrong.
  """
  file = files.local(path) / FILE
  fields = read_json(file)
  kind = fields.get("model_type")
  if kind not in MODEL_TYPES:
    raise checkpoint_errors.CheckpointError(
      f"{file}: model_type {kind!r} is not one of {', '.join(MODEL_TYPES)}"
    )
  activation = fields.get("feed_forward_proj", "relu")
  if activation not in ACTIVATIONS:
    raise checkpoint_errors.CheckpointError(
      f"{file}: feed_forward_proj {activation!r} is not one of "
      f"{', '.join(ACTIVATIONS)}"
    )
  return fields


def config_of(path: files.Name, parameters: stored.Stored) -> t5.T5Config:
  """The model of a directory; `parameters` as `huggingface.read` gives them."""
  fields = read(path)
  file = files.local(path) / FILE
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
    raise checkpoint_errors.CheckpointError(
      f"{file} lacks the field {error}"
    ) from error
  except ValueError as error:
    raise checkpoint_errors.CheckpointError(f"{file}: {error}") from error


def paths(fields: Mapping[str, Any]) -> Iterator[str]:
  """T5X's paths of every parameter that such a model may have."""
  return huggingface_names.paths(
    fields["num_layers"],
    fields.get("num_decoder_layers") or fields["num_layers"],
    len(ACTIVATIONS[fields.get("feed_forward_proj", "relu")]),
    fields["model_type"] == "umt5",
  )


def fields_of(config: t5.T5Config, *, dtype: str) -> dict[str, Any]:
  """`config.json` of a model; mT5 unless it is one of its relatives."""
  activation = {value: key for key, value in ACTIVATIONS.items()}
  if config.mlp_activations not in activation:
    raise checkpoint_errors.CheckpointError(
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
