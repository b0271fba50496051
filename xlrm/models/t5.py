"""mT5 (https://arxiv.org/abs/2010.11934) in Flax, with T5X's parameter tree.

`SIZES` is the only place where a width is written. The modules are pure
functions of their arrays: masks, caches and prompt memory come from
`language_model.EncoderDecoder`.
"""

import dataclasses
import difflib
from typing import Any

from flax import linen as nn
from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from xlrm import types
from xlrm.models import attention
from xlrm.models import t5_layers
from xlrm.types import checks

DTYPES = ("float32", "bfloat16")  # float16 overflows in mT5
KeysValues = tuple[tuple[jax.Array, jax.Array], ...]  # a pair per layer


@dataclasses.dataclass(frozen=True)
class T5Config:
  """Sizes and flags of one model; parameters are always float32.

  Attributes:
    mlp_activations: one factor of the gate each: gelu, linear or relu.
    dtype: of the computation, float32 or bfloat16.
    tie_embeddings: the output matrix is the embedding / sqrt(emb_dim) (T5 1.0).
    rel_bias_per_layer: every layer has a relative bias of its own (umT5)
      instead of one that a stack shares.
    remat: recompute each layer in the backward pass instead of keeping it.
  """

  vocab_size: int
  emb_dim: int
  num_heads: int
  head_dim: int
  mlp_dim: int
  num_encoder_layers: int
  num_decoder_layers: int
  mlp_activations: tuple[str, ...] = ("gelu", "linear")
  dropout_rate: float = 0.0
  dtype: str = "float32"
  tie_embeddings: bool = False
  rel_buckets: int = 32
  rel_max_distance: int = 128
  rel_bias_per_layer: bool = False
  remat: bool = False

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.type is int and (not isinstance(value, int) or value < 1):
        raise ValueError(f"{field.name} is {value!r}, not a positive integer")
    if not 0 <= self.dropout_rate < 1:
      raise ValueError(f"dropout_rate {self.dropout_rate} is not in [0, 1)")
    checks.one_of("dtype", self.dtype, DTYPES)
    unknown = set(self.mlp_activations) - set(t5_layers.ACTIVATIONS)
    if unknown or not self.mlp_activations:
      raise ValueError(
        f"mlp_activations {self.mlp_activations!r}: each must be one of "
        f"{tuple(t5_layers.ACTIVATIONS)}"
      )
    if self.rel_buckets % 4 or self.rel_max_distance <= self.rel_buckets // 2:
      raise ValueError(
        f"rel_buckets {self.rel_buckets} must be a multiple of 4, and more "
        f"than half of it below rel_max_distance {self.rel_max_distance}"
      )


MT5_ROWS = 250_112

# size: vocabulary, width, heads, head_dim, mlp, encoder and decoder layers;
# nano and tiny are no releases of mT5
SIZES = {
  "nano": (1600, 96, 4, 24, 256, 2, 3),
  "tiny": (32_000, 256, 4, 64, 1024, 4, 4),
  "small": (MT5_ROWS, 512, 6, 64, 1024, 8, 8),
  "base": (MT5_ROWS, 768, 12, 64, 2048, 12, 12),
  "large": (MT5_ROWS, 1024, 16, 64, 2816, 24, 24),
  "xl": (MT5_ROWS, 2048, 32, 64, 5120, 24, 24),
  "xxl": (MT5_ROWS, 4096, 64, 64, 10240, 24, 24),
}


def mt5(size: str, **overrides: Any) -> T5Config:
  """The configuration of a size, with some fields replaced.

  Args:
    size: a key of SIZES: 'small', 'base', 'large', 'xl' or 'xxl'.
    **overrides: fields of T5Config.

  Raises:
    ValueError: the size is unknown.
  """
  if size not in SIZES:
    near = difflib.get_close_matches(str(size), SIZES, n=1, cutoff=0.4)
    hint = f"; nearest: {near[0]!r}" if near else ""
    raise ValueError(f"size {size!r} is not one of {tuple(SIZES)}{hint}")
  return dataclasses.replace(T5Config(*SIZES[size]), **overrides)


def _attention(config: T5Config) -> t5_layers.Attention:
  return t5_layers.Attention(
    num_heads=config.num_heads,
    head_dim=config.head_dim,
    dropout_rate=config.dropout_rate,
    dtype=config.dtype,
    width=config.emb_dim,
  )


def _mlp(config: T5Config) -> t5_layers.GatedMLP:
  return t5_layers.GatedMLP(
    mlp_dim=config.mlp_dim,
    activations=config.mlp_activations,
    dropout_rate=config.dropout_rate,
    dtype=config.dtype,
  )


def _relative_bias(
  config: T5Config, bidirectional: bool
) -> t5_layers.RelativeBias:
  return t5_layers.RelativeBias(
    num_heads=config.num_heads,
    num_buckets=config.rel_buckets,
    max_distance=config.rel_max_distance,
    bidirectional=bidirectional,
  )


@struct.dataclass
class Place:
  """Where a step of decoding writes and what it may see.

  A response's past is a window of T slots that all responses write to in the
  same place, so that one may begin while others go on.
  """

  slot: types.Array  # int32 scalar, written in this step
  distances: types.Array  # [T] int32, how many steps ago a slot was written
  seen: types.Array  # [B N T] bool, slots of the response's own past
  prompt: types.Array  # [B S] bool, real tokens


class EncoderLayer(nn.Module):
  """Self-attention and MLP, each normed before and added after."""

  config: T5Config

  def setup(self) -> None:
    """Names the parts as T5X's tree does."""
    self.pre_attention_layer_norm = t5_layers.RMSNorm(self.config.dtype)
    self.attention = _attention(self.config)
    self.pre_mlp_layer_norm = t5_layers.RMSNorm(self.config.dtype)
    self.mlp = _mlp(self.config)
    if self.config.rel_bias_per_layer:
      self.relpos_bias = _relative_bias(self.config, bidirectional=True)
    self.attention_dropout = t5_layers.Dropout(self.config.dropout_rate)
    self.mlp_dropout = t5_layers.Dropout(self.config.dropout_rate)

  def __call__(
    self,
    x: Float[types.Array, "B 1 S D"],
    bias: Float[types.Array, "H S S"] | None,
    mask: Bool[types.Array, "B 1 1 #S S"],
  ) -> Float[types.Array, "B 1 S D"]:
    if bias is None:
      positions = jnp.arange(x.shape[2])
      bias = self.relpos_bias(positions, positions)
    y = self.pre_attention_layer_norm(x)
    keys, values = self.attention.keys_values(y)
    y = self.attention(y, keys, values, bias=bias, mask=mask)
    x = x + self.attention_dropout(y)
    return x + self.mlp_dropout(self.mlp(self.pre_mlp_layer_norm(x)))


class DecoderLayer(nn.Module):
  """Self-attention, cross attention and MLP."""

  config: T5Config

  def setup(self) -> None:
    """Names the parts as T5X's tree does."""
    self.pre_self_attention_layer_norm = t5_layers.RMSNorm(self.config.dtype)
    self.self_attention = _attention(self.config)
    self.pre_cross_attention_layer_norm = t5_layers.RMSNorm(self.config.dtype)
    self.encoder_decoder_attention = _attention(self.config)
    self.pre_mlp_layer_norm = t5_layers.RMSNorm(self.config.dtype)
    self.mlp = _mlp(self.config)
    if self.config.rel_bias_per_layer:
      self.relpos_bias = _relative_bias(self.config, bidirectional=False)
    self.self_attention_dropout = t5_layers.Dropout(self.config.dropout_rate)
    self.cross_attention_dropout = t5_layers.Dropout(self.config.dropout_rate)
    self.mlp_dropout = t5_layers.Dropout(self.config.dropout_rate)

  def __call__(
    self,
    x: Float[types.Array, "B N T D"],
    encoded: Float[types.Array, "B S D"],
    bias: Float[types.Array, "H T T"] | None,
    self_mask: Bool[types.Array, "#B #N 1 T T"],
    cross_mask: Bool[types.Array, "B #N 1 #T S"],
  ) -> Float[types.Array, "B N T D"]:
    if bias is None:
      positions = jnp.arange(x.shape[2])
      bias = self.relpos_bias(positions, positions)
    y = self.pre_self_attention_layer_norm(x)
    keys, values = self.self_attention.keys_values(y)
    y = self.self_attention(y, keys, values, bias=bias, mask=self_mask)
    x = x + self.self_attention_dropout(y)
    # One projection per prompt, whatever the number of responses.
    keys, values = self.encoder_decoder_attention.keys_values(encoded)
    y = self.pre_cross_attention_layer_norm(x)
    y = self.encoder_decoder_attention(y, keys, values, mask=cross_mask)
    x = x + self.cross_attention_dropout(y)
    return x + self.mlp_dropout(self.mlp(self.pre_mlp_layer_norm(x)))

  def cross_keys_values(
    self, encoded: Float[types.Array, "B S D"]
  ) -> tuple[Float[types.Array, "B H K S"], Float[types.Array, "B H S K"]]:
    """The keys and values of the prompt as decoding reads them."""
    keys, values = self.encoder_decoder_attention.keys_values(encoded)
    return keys.transpose(0, 2, 3, 1), values.transpose(0, 2, 1, 3)

  def step(
    self,
    x: Float[types.Array, "B N D"],
    cross: tuple[jax.Array, jax.Array],
    past: tuple[jax.Array, jax.Array],
    place: Place,
    bias: Float[types.Array, "H T"] | None,
  ) -> tuple[Float[types.Array, "B N D"], tuple[jax.Array, jax.Array]]:
    """The state of one position, and the past with its key and value.

    Args:
      x: the position's state before the layer.
      cross: see `cross_keys_values`.
      past: keys and values [B N H T K] of the response's positions.
      place: where the position stands and what it may see.
      bias: of the distances; None is the layer's own.
    """
    if bias is None:
      bias = self.relpos_bias(jnp.zeros(1, jnp.int32), -place.distances)[:, 0]
    y = self.pre_self_attention_layer_norm(x)
    past = tuple(
      jax.lax.dynamic_update_slice_in_dim(
        old, new[:, :, :, None], place.slot, axis=3
      )
      for old, new in zip(past, self.self_attention.keys_values(y), strict=True)
    )
    attend = lambda queries: attention.attend_past(
      queries, *past, bias=bias, mask=place.seen
    )
    x = x + self.self_attention.step(y, attend)
    y = self.pre_cross_attention_layer_norm(x)
    attend = lambda queries: attention.attend_prompt(
      queries, *cross, place.prompt
    )
    x = x + self.encoder_decoder_attention.step(y, attend)
    return x + self.mlp(self.pre_mlp_layer_norm(x)), past


class Encoder(nn.Module):
  """The prompt's stack; the group axis has length 1."""

  config: T5Config

  def setup(self) -> None:
    """Names the parts as T5X's tree does."""
    layer = nn.remat(EncoderLayer) if self.config.remat else EncoderLayer
    if not self.config.rel_bias_per_layer:
      self.relpos_bias = _relative_bias(self.config, bidirectional=True)
    self.layers = [
      layer(self.config) for _ in range(self.config.num_encoder_layers)
    ]
    self.encoder_norm = t5_layers.RMSNorm(self.config.dtype)
    self.input_dropout = t5_layers.Dropout(self.config.dropout_rate)
    # As in T5X, the only dropout that is not shared along the sequence.
    self.output_dropout = t5_layers.Dropout(self.config.dropout_rate, ())

  def __call__(
    self,
    embedded: Float[types.Array, "B 1 S D"],
    mask: Bool[types.Array, "B 1 1 #S S"],
  ) -> Float[types.Array, "B 1 S D"]:
    bias = None
    if not self.config.rel_bias_per_layer:
      positions = jnp.arange(embedded.shape[2])
      bias = self.relpos_bias(positions, positions)
    x = self.input_dropout(embedded)
    for layer in self.layers:
      x = layer(x, bias, mask)
    return self.output_dropout(self.encoder_norm(x))


class Decoder(nn.Module):
  """The responses' stack, up to the state that the output matrix reads."""

  config: T5Config

  def setup(self) -> None:
    """Names the parts as T5X's tree does."""
    layer = nn.remat(DecoderLayer) if self.config.remat else DecoderLayer
    if not self.config.rel_bias_per_layer:
      self.relpos_bias = _relative_bias(self.config, bidirectional=False)
    self.layers = [
      layer(self.config) for _ in range(self.config.num_decoder_layers)
    ]
    self.decoder_norm = t5_layers.RMSNorm(self.config.dtype)
    self.input_dropout = t5_layers.Dropout(self.config.dropout_rate)
    self.output_dropout = t5_layers.Dropout(self.config.dropout_rate)
    if not self.config.tie_embeddings:
      self.logits_dense = t5_layers.Dense(self.config.vocab_size, "float32")

  def __call__(
    self,
    embedded: Float[types.Array, "B N T D"],
    encoded: Float[types.Array, "B S D"],
    self_mask: Bool[types.Array, "#B #N 1 T T"],
    cross_mask: Bool[types.Array, "B #N 1 #T S"],
    num_layers: int | None = None,
  ) -> Float[types.Array, "B N T D"]:
    bias = None
    if not self.config.rel_bias_per_layer:
      positions = jnp.arange(embedded.shape[2])
      bias = self.relpos_bias(positions, positions)
    x = self.input_dropout(embedded)
    for layer in self.layers[:num_layers]:
      x = layer(x, encoded, bias, self_mask, cross_mask)
    return self.output_dropout(self.decoder_norm(x))

  def cross_keys_values(
    self, encoded: Float[types.Array, "B S D"]
  ) -> KeysValues:
    """The keys and values of the prompt for every layer."""
    return tuple(layer.cross_keys_values(encoded) for layer in self.layers)

  def step(
    self,
    embedded: Float[types.Array, "B N D"],
    cross: KeysValues,
    past: KeysValues,
    place: Place,
  ) -> tuple[Float[types.Array, "B N D"], KeysValues]:
    """The state of one position after every layer, see `DecoderLayer.step`."""
    bias = None
    if not self.config.rel_bias_per_layer:
      here = jnp.zeros(1, jnp.int32)
      bias = self.relpos_bias(here, -place.distances)[:, 0]
    x, updated = embedded, []
    for layer, layer_cross, layer_past in zip(
      self.layers, cross, past, strict=True
    ):
      x, new = layer.step(x, layer_cross, layer_past, place, bias)
      updated.append(new)
    return self.decoder_norm(x), tuple(updated)


class Transformer(nn.Module):
  """Owns the parameter tree of T5X's encoder-decoder."""

  config: T5Config

  def setup(self) -> None:
    """Names the parts as T5X's tree does."""
    self.token_embedder = t5_layers.Embedding(
      self.config.vocab_size, self.config.emb_dim, self.config.dtype
    )
    self.encoder = Encoder(self.config)
    self.decoder = Decoder(self.config)

  def __call__(self) -> jax.Array:
    """Logits of one token: it touches every parameter, to initialise them."""
    ids = jnp.zeros((1, 1, 1), jnp.int32)
    mask = jnp.ones((1, 1, 1, 1, 1), bool)
    encoded = self.encode(ids, mask)[:, 0]
    hidden = self.decode(ids, encoded, mask, mask)
    if self.config.tie_embeddings:
      return hidden
    return self.decoder.logits_dense(hidden)

  def encode(
    self,
    ids: Int[types.Array, "B 1 S"],
    mask: Bool[types.Array, "B 1 1 #S S"],
  ) -> Float[types.Array, "B 1 S D"]:
    """The states of the prompts."""
    return self.encoder(self.token_embedder(ids), mask)

  def decode(
    self,
    ids: Int[types.Array, "B N T"],
    encoded: Float[types.Array, "B S D"],
    self_mask: Bool[types.Array, "#B #N 1 T T"],
    cross_mask: Bool[types.Array, "B #N 1 #T S"],
    num_layers: int | None = None,
  ) -> Float[types.Array, "B N T D"]:
    """The states of the responses after some layers; None means all."""
    return self.decoder(
      self.token_embedder(ids), encoded, self_mask, cross_mask, num_layers
    )

  def cross_keys_values(
    self, encoded: Float[types.Array, "B S D"]
  ) -> KeysValues:
    """The keys and values of the prompts for every decoder layer."""
    return self.decoder.cross_keys_values(encoded)

  def step(
    self,
    ids: Int[types.Array, "B N"],
    cross: KeysValues,
    past: KeysValues,
    place: Place,
  ) -> tuple[Float[types.Array, "B N D"], KeysValues]:
    """The states of one more token per response, and the past with it."""
    return self.decoder.step(self.token_embedder(ids), cross, past, place)
