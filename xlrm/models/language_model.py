"""What losses, sampler and reward models see of a backbone.

A `LanguageModel` is a set of pure functions of its parameters. Values align
with targets [B N T]: shift-right and masks live here and nowhere else.
"""

import dataclasses
import functools
from typing import Any, Protocol, runtime_checkable

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from xlrm import types
from xlrm.models import attention
from xlrm.models import kv_cache
from xlrm.models import t5


@struct.dataclass
class Memory:
  """What a model keeps of the prompts: once per prompt, not per response."""

  encoded: types.Array  # [B S D]
  mask: types.Array  # [B S] bool, True at real tokens
  segments: types.Array | None = None  # [B S] int32, packed rows only


@runtime_checkable
class LanguageModel(Protocol):
  """A conditional model of responses; pure functions of `params`."""

  config: t5.T5Config

  def init(self, key: jax.Array) -> types.Params:
    """Fresh parameters, a nested dict of float32 arrays."""

  def encode(
    self,
    params: types.Params,
    inputs: Int[types.Array, "B S"],
    *,
    segments: Int[types.Array, "B S"] | None = None,
    dropout_key: jax.Array | None = None,
  ) -> Memory:
    """What the model keeps of the prompts; no dropout without its key."""

  def hidden(
    self,
    params: types.Params,
    memory: Memory,
    targets: Int[types.Array, "B N T"],
    *,
    segments: Int[types.Array, "B N T"] | None = None,
    dropout_key: jax.Array | None = None,
  ) -> Float[types.Array, "B N T D"]:
    """The states of teacher forcing: t has read targets[<t], predicts t."""

  def output_matrix(self, params: types.Params) -> Float[types.Array, "D V"]:
    """The matrix that makes logits: hidden @ output_matrix."""

  def without_output_matrix(self, params: types.Params) -> types.Params:
    """The parameters that states are made of, if the rest is held elsewhere."""
    return params

  def start(
    self,
    params: types.Params,
    memory: Memory,
    rows_per_slot: int,
    max_tokens: int,
  ) -> kv_cache.KVCache:
    """An empty cache for rows_per_slot responses of at most max_tokens each."""

  def step(
    self,
    params: types.Params,
    cache: kv_cache.KVCache,
    tokens: Int[types.Array, "B N"],
    ages: Int[types.Array, "B N"],
  ) -> tuple[Float[types.Array, "B N D"], kv_cache.KVCache]:
    """The states after one token per response; the first is the start id 0."""


@dataclasses.dataclass(frozen=True)
class EncoderDecoder(LanguageModel):
  """mT5 as a language model. The encoder runs once per prompt."""

  config: t5.T5Config

  def _apply(self, params, method, *args, dropout_key=None):
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    module = t5.Transformer(self.config)
    return module.apply({"params": params}, *args, rngs=rngs, method=method)

  def init(self, key: jax.Array) -> types.Params:
    """See `LanguageModel.init`."""
    return t5.Transformer(self.config).init(key)["params"]

  def abstract(self) -> types.Params:
    """The parameters' shapes and dtypes, without the parameters."""
    return jax.eval_shape(self.init, jax.random.key(0))

  def part_of(self, parts: int, **changes: Any) -> "EncoderDecoder":
    """The part that one device of a 'model' axis computes, for plans.

    Args:
      parts: devices of the axis.
      **changes: further fields of the configuration.
    """
    share = {
      name: -(-getattr(self.config, name) // parts)
      for name in ("num_heads", "mlp_dim", "vocab_size")
    }
    return EncoderDecoder(dataclasses.replace(self.config, **share, **changes))

  def encode(
    self,
    params: types.Params,
    inputs: Int[types.Array, "B S"],
    *,
    segments: Int[types.Array, "B S"] | None = None,
    dropout_key: jax.Array | None = None,
  ) -> Memory:
    """See `LanguageModel.encode`; packed rows need their segments."""
    inputs = jnp.asarray(inputs)
    real = inputs > types.PAD_ID
    mask = real[:, None, None, None, :]  # [B N H T S]
    if segments is not None:
      mask &= _same_segment(segments[:, None], segments[:, None])
    encoded = self._apply(
      params,
      t5.Transformer.encode,
      inputs[:, None],
      mask,
      dropout_key=dropout_key,
    )
    return Memory(encoded=encoded[:, 0], mask=real, segments=segments)

  def hidden(
    self,
    params: types.Params,
    memory: Memory,
    targets: Int[types.Array, "B N T"],
    *,
    segments: Int[types.Array, "B N T"] | None = None,
    dropout_key: jax.Array | None = None,
    layer: int | None = None,
  ) -> Float[types.Array, "B N T D"]:
    """The states of teacher forcing: t has read targets[<t], predicts t.

    Args:
      params: of this model.
      memory: of the prompts.
      targets: right-padded; what stands after the last real token changes
        nothing before it.
      segments: of packed targets, N=1; the memory must have segments too.
      dropout_key: None means no dropout.
      layer: read the state after this many decoder layers, normed like the
        last; None means all.
    """
    targets = jnp.asarray(targets)
    self._check(memory, segments, layer)
    length = targets.shape[-1]
    self_mask = jnp.tril(jnp.ones((length, length), bool))[None, None, None]
    cross_mask = memory.mask[:, None, None, None, :]
    if segments is not None:
      self_mask = self_mask & _same_segment(segments, segments)
      cross_mask &= _same_segment(segments, memory.segments[:, None])
    decode = functools.partial(t5.Transformer.decode, num_layers=layer)
    return self._apply(
      params,
      decode,
      attention.shift_right(targets, segments),
      memory.encoded,
      self_mask,
      cross_mask,
      dropout_key=dropout_key,
    )

  def _check(self, memory, segments, layer):
    if (segments is None) != (memory.segments is None):
      raise ValueError("packed rows need segments of inputs and of targets")
    last = self.config.num_decoder_layers
    if layer is not None and not 0 <= layer <= last:
      raise ValueError(f"layer {layer} is not in [0, {last}]")

  def output_matrix(self, params: types.Params) -> Float[types.Array, "D V"]:
    """See `LanguageModel.output_matrix`; tied ones are scaled as in T5 1.0."""
    if self.config.tie_embeddings:
      embedding = params["token_embedder"]["embedding"]
      return embedding.T / self.config.emb_dim**0.5
    return params["decoder"]["logits_dense"]["kernel"]

  def without_output_matrix(self, params: types.Params) -> types.Params:
    """See `LanguageModel.without_output_matrix`; a tied one stays."""
    decoder = dict(params["decoder"])
    decoder.pop("logits_dense", None)
    return {**params, "decoder": decoder}

  def start(
    self,
    params: types.Params,
    memory: Memory,
    rows_per_slot: int,
    max_tokens: int,
  ) -> kv_cache.KVCache:
    """See `LanguageModel.start`."""
    cross = self._apply(
      params, t5.Transformer.cross_keys_values, memory.encoded
    )
    shape = (
      memory.encoded.shape[0],
      rows_per_slot,
      self.config.num_heads,
      max_tokens,
      self.config.head_dim,
    )
    empty = jnp.zeros(shape, self.config.dtype)
    past = tuple((empty, empty) for _ in cross)
    clock = jnp.zeros((), jnp.int32)
    return kv_cache.KVCache(cross, past, clock, memory.mask)

  def step(
    self,
    params: types.Params,
    cache: kv_cache.KVCache,
    tokens: Int[types.Array, "B N"],
    ages: Int[types.Array, "B N"],
  ) -> tuple[Float[types.Array, "B N D"], kv_cache.KVCache]:
    """See `LanguageModel.step`."""
    place = t5.Place(
      slot=jnp.mod(cache.clock, cache.length),
      distances=cache.distances(),
      seen=cache.seen(ages),
      prompt=cache.mask,
    )
    state, past = self._apply(
      params, t5.Transformer.step, tokens, cache.cross, cache.past, place
    )
    return state, cache.replace(past=past, clock=cache.clock + 1)


def _same_segment(queries: types.Array, keys: types.Array) -> types.Array:
  """[B N T], [B N S] -> [B N 1 T S]: may this query see this key?"""
  return (queries[..., :, None] == keys[..., None, :])[:, :, None]
