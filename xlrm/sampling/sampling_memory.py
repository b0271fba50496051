"""What sampling and scoring take of each device's memory, before they run."""

from typing import Any

import jax
import jax.numpy as jnp

from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_state
from xlrm.sampling import sampling_config

LOGITS_COPIES = 2  # logits and their exponentials


def sampling_plan(
  model: language_model.EncoderDecoder,
  mesh: meshes.AnyMesh,
  *,
  shape: batch_shapes.BatchShape,
  input_length: int,
  config: sampling_config.SamplingConfig,
) -> device_memory.MemoryPlan:
  """The memory of drawing responses.

  It is that of weights, of keys and values, and the larger of what a step and
  what reading the next prompts takes. The number of samples per prompt costs
  next to nothing: those that wait for a row are numbers.

  Args:
    model: its parameters may be abstract.
    mesh: real or abstract.
    shape: prompts and responses under way, on the whole mesh.
    input_length: tokens of a prompt.
    config: the longest response, and how the output matrix is kept.
  """
  data, parts = (mesh.shape[axis] for axis in meshes.AXES)
  slots = -(-shape.slots // data)
  local = model.part_of(parts)
  kept = lambda prompts: _cache_bytes(
    local, prompts, shape.rows_per_slot, input_length, config.max_tokens
  )
  logits = slots * shape.rows_per_slot * local.config.vocab_size * 4
  reading = -(-shape.prefill_size // data)
  layer = _layer_bytes(local, reading, input_length, input_length)
  read = model.without_output_matrix(model.abstract())
  return device_memory.MemoryPlan(
    {
      "parameters": device_memory.placed_bytes(
        read, mesh, sharding.split_over_model
      ),
      "output matrix": _output_layer_bytes(local.config, config),
      "keys, values": kept(slots),
      "a step": max(LOGITS_COPIES * logits, layer + kept(reading)),
    }
  )


def _cache_bytes(
  model: language_model.EncoderDecoder,
  prompts: int,
  rows_per_slot: int,
  input_length: int,
  max_tokens: int,
) -> int:
  """The bytes of the KV cache in its longest window."""
  window = batch_shapes.window_lengths(max_tokens)[-1]

  def start(params, inputs):
    return model.start(
      params, model.encode(params, inputs), rows_per_slot, window
    )

  inputs = jax.ShapeDtypeStruct((prompts, input_length), jnp.int32)
  cache = jax.eval_shape(start, model.abstract(), inputs)
  return sum(map(device_memory.bytes_of, jax.tree.leaves(cache)))


def _output_layer_bytes(
  model: t5.T5Config, config: sampling_config.SamplingConfig
) -> int:
  """The bytes of `decode_state.output_layer`: one row per token."""
  if config.int8_output_matrix:
    row = model.emb_dim + 4 + 4  # levels, a scale, a penalty
  else:
    width = model.emb_dim + decode_state.PENALTY_COLUMNS
    row = width * jnp.dtype(model.dtype).itemsize
  return model.vocab_size * row


def _layer_bytes(model, rows: int, length: int, keys: int) -> int:
  """The activations of one layer that attends to `keys` positions."""
  config = model.config
  size = jnp.dtype(config.dtype).itemsize
  joined = config.num_heads * config.head_dim
  widths = 4 * joined + 3 * config.emb_dim + 3 * config.mlp_dim
  attention = 2 * config.num_heads * length * keys * 4
  return rows * (length * widths * size + attention)


def scoring_plan(
  scorer: Any,
  mesh: meshes.AnyMesh,
  *,
  batch_size: int,
  num_responses: int,
) -> device_memory.MemoryPlan:
  """The memory of a reward model that scores responses.

  Args:
    scorer: a ResponseScorer or a VerdictScorer.
    mesh: real or abstract.
    batch_size: prompts scored together, on the whole mesh.
    num_responses: to each prompt.
  """
  data, parts = (mesh.shape[axis] for axis in meshes.AXES)
  prompts = -(-batch_size // data)
  local = scorer.model.part_of(parts)
  read = scorer.rows_read(num_responses)
  longest = max(length for _, length in read)
  sizes = [
    _layer_bytes(local, prompts * rows, length, longest)
    for rows, length in read
  ]
  return device_memory.MemoryPlan(
    {
      "parameters": device_memory.placed_bytes(
        scorer.abstract(), mesh, sharding.split_over_model
      ),
      "activations": sum(sizes),
    }
  )
