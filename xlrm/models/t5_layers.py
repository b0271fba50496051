"""Layers of mT5 with T5X's parameter names: https://arxiv.org/abs/2010.11934.

Kernels are joined: [width, heads * head_dim], no biases. Activations carry the
group axis, [B N T D]; the encoder has N=1. Dropout is on exactly where a
dropout key is given; as in T5X its mask is shared along a sequence.
"""

from collections.abc import Callable
import functools
import operator
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from xlrm import types
from xlrm.distributed import meshes
from xlrm.models import attention

KERNEL_INIT = nn.initializers.variance_scaling(
  1.0, "fan_in", "truncated_normal"
)
ATTENTION_INIT = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
ACTIVATIONS = {
  "gelu": functools.partial(nn.gelu, approximate=True),  # the tanh form
  "linear": lambda x: x,
  "relu": nn.relu,
}


class Dropout(nn.Module):
  """Dropout with one mask for the whole sequence (axis -2)."""

  rate: float
  shared_axes: tuple[int, ...] = (-2,)

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    deterministic = not self.has_rng("dropout")
    drop = nn.Dropout(self.rate, broadcast_dims=self.shared_axes)
    return drop(x, deterministic=deterministic)


class Dense(nn.Module):
  """x @ kernel in the compute dtype, the kernel kept in float32."""

  features: int
  dtype: Any
  kernel_init: nn.initializers.Initializer = KERNEL_INIT

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "... D"]
  ) -> Float[types.Array, "... F"]:
    shape = (x.shape[-1], self.features)
    kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
    # One flat product: XLA's CPU gradients of products with several leading
    # axes take three times as long. B is the major axis, so a mesh keeps it.
    rows = x.astype(self.dtype).reshape(-1, x.shape[-1])
    y = jnp.dot(rows, kernel.astype(self.dtype))
    return meshes.rows_over_data(y.reshape(*x.shape[:-1], self.features))


class RMSNorm(nn.Module):
  """x / sqrt(mean(x^2) + 1e-6) * scale, the division in float32."""

  dtype: Any

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "... D"]
  ) -> Float[types.Array, "... D"]:
    scale = self.param("scale", nn.initializers.ones, x.shape[-1:], jnp.float32)
    x = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    y = (x * jax.lax.rsqrt(mean_square + 1e-6)).astype(self.dtype)
    return y * jnp.expand_dims(scale.astype(self.dtype), range(x.ndim - 1))


class Embedding(nn.Module):
  """Rows of a table; ids outside it are clipped into it."""

  num_rows: int
  features: int
  dtype: Any

  @nn.compact
  def __call__(
    self, ids: Int[types.Array, "*shape"]
  ) -> Float[types.Array, "*shape D"]:
    table = self.param(
      "embedding",
      nn.initializers.normal(1.0),
      (self.num_rows, self.features),
      jnp.float32,
    )
    rows = jnp.take(table, ids, axis=0, mode="clip").astype(self.dtype)
    return meshes.rows_over_data(rows)


class RelativeBias(nn.Module):
  """Learned bias per head and distance bucket, shared by a stack's layers."""

  num_heads: int
  num_buckets: int
  max_distance: int
  bidirectional: bool

  @nn.compact
  def __call__(
    self,
    query_positions: Int[types.Array, " T"],
    key_positions: Int[types.Array, " S"],
  ) -> Float[types.Array, "H T S"]:
    table = self.param(
      "rel_embedding",
      nn.initializers.variance_scaling(1.0, "fan_avg", "uniform"),
      (self.num_heads, self.num_buckets),
      jnp.float32,
    )
    buckets = attention.relative_buckets(
      key_positions[None, :] - query_positions[:, None],
      bidirectional=self.bidirectional,
      num_buckets=self.num_buckets,
      max_distance=self.max_distance,
    )
    return jnp.take(table, buckets, axis=1)


class Attention(nn.Module):
  """Multi-head attention whose keys and values may be computed beforehand."""

  num_heads: int
  head_dim: int
  dropout_rate: float
  dtype: Any
  width: int

  def setup(self) -> None:
    """Names the kernels as T5X's tree does."""
    dense = functools.partial(Dense, dtype=self.dtype)
    joined = self.num_heads * self.head_dim
    # T5 does not scale queries by 1/sqrt(head_dim): their kernel starts small.
    small = nn.initializers.variance_scaling(
      1.0 / self.head_dim, "fan_in", "normal"
    )
    self.query = dense(joined, kernel_init=small)
    self.key = dense(joined, kernel_init=ATTENTION_INIT)
    self.value = dense(joined, kernel_init=ATTENTION_INIT)
    self.out = dense(self.width, kernel_init=ATTENTION_INIT)
    self.dropout = Dropout(self.dropout_rate)

  def _heads(self, x: jax.Array) -> jax.Array:
    return x.reshape(*x.shape[:-1], self.num_heads, self.head_dim)

  def keys_values(
    self, x: Float[types.Array, "*shape D"]
  ) -> tuple[
    Float[types.Array, "*shape H K"], Float[types.Array, "*shape H K"]
  ]:
    """The keys and values that queries may attend to."""
    return self._heads(self.key(x)), self._heads(self.value(x))

  def __call__(
    self,
    x: Float[types.Array, "B N T D"],
    keys: Float[types.Array, "..."],
    values: Float[types.Array, "..."],
    *,
    mask: Bool[types.Array, "..."],
    bias: Float[types.Array, "H T S"] | None = None,
  ) -> Float[types.Array, "B N T D"]:
    attended = attention.attend(
      self._heads(self.query(x)),
      keys,
      values,
      bias=bias,
      mask=mask,
      dropout=self.dropout,
    )
    return self.out(attended.reshape(*x.shape[:-1], -1))

  def step(
    self,
    x: Float[types.Array, "B N D"],
    attend: Callable[[Float[types.Array, "B N H K"]], jax.Array],
  ) -> Float[types.Array, "B N D"]:
    """The output at one position of each response.

    Args:
      x: the position's state.
      attend: queries -> the values that they attend to.
    """
    attended = attend(self._heads(self.query(x)))
    return self.out(attended.reshape(*x.shape[:-1], -1))


class GatedMLP(nn.Module):
  """wo(product of activations of wi_0, wi_1, ...); one activation: `wi`."""

  mlp_dim: int
  activations: tuple[str, ...]
  dropout_rate: float
  dtype: Any

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "*shape D"]
  ) -> Float[types.Array, "*shape D"]:
    gates = []
    for i, activation in enumerate(self.activations):
      name = "wi" if len(self.activations) == 1 else f"wi_{i}"
      gate = Dense(self.mlp_dim, self.dtype, name=name)(x)
      gates.append(ACTIVATIONS[activation](gate))
    product = Dropout(self.dropout_rate)(functools.reduce(operator.mul, gates))
    return Dense(x.shape[-1], self.dtype, name="wo")(product)
