"""The KV cache: keys and values of prompts and of the responses under way.

Every prompt has a slot, every response of a prompt a row. The states of a
prompt are stored once (prefill), for all its rows. What the rows have drawn is
a window of T positions, a ring that all rows write to in the same place: a row
may begin a new response at any step (continuous batching), as what it may see
is told by its age alone. Prompts can be replaced, slots and rows taken out, and
the window made longer.
"""

from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int

from xlrm import types


@struct.dataclass
class KVCache:
  """Keys and values, one pair per decoder layer, in the compute dtype."""

  cross: Any  # keys [B H K S], values [B H S K], projected once per prompt
  past: Any  # keys, values [B N H T K]
  clock: types.Array  # int32 scalar, steps since the window began
  mask: types.Array  # [B S] bool, real tokens of the prompts

  @property
  def length(self) -> int:
    """T, the longest response that the window holds."""
    return self.past[0][0].shape[3]

  @property
  def prompt_length(self) -> int:
    """S, the longest prompt that the cache holds."""
    return self.mask.shape[1]

  def distances(self) -> Int[types.Array, " T"]:
    """How many steps ago each position was, or will be, written."""
    return jnp.mod(self.clock - jnp.arange(self.length), self.length)

  def seen(self, ages: Int[types.Array, "B N"]) -> Bool[types.Array, "B N T"]:
    """The positions that a row sees which has read `ages` tokens before."""
    return self.distances()[None, None] <= ages[..., None]

  def insert(
    self, prompts: "KVCache", slots: Int[types.Array, " F"]
  ) -> "KVCache":
    """The cache with F prompts put into slots; a slot outside is no slot.

    Args:
      prompts: of a cache that was started with them; S is at most this one's.
      slots: where they go.
    """
    missing = self.prompt_length - prompts.prompt_length
    last = lambda axis: [(0, missing if i == axis else 0) for i in range(4)]

    def put(old, new):
      keys, values = (jnp.pad(x, last(i)) for x, i in zip(new, (3, 2)))
      return (
        old[0].at[slots].set(keys, mode="drop"),
        old[1].at[slots].set(values, mode="drop"),
      )

    mask = jnp.pad(prompts.mask, ((0, 0), (0, missing)))
    return self.replace(
      cross=tuple(map(put, self.cross, prompts.cross)),
      mask=self.mask.at[slots].set(mask, mode="drop"),
    )

  def take(
    self, slots: Int[types.Array, " P"], rows: Int[types.Array, "P M"]
  ) -> "KVCache":
    """The cache of these slots alone, and of each only these rows."""
    places = slots[:, None]
    return self.replace(
      cross=jax.tree.map(lambda x: x[slots], self.cross),
      past=jax.tree.map(lambda x: x[places, rows], self.past),
      mask=self.mask[slots],
    )

  def shortened(self, prompt_length: int) -> "KVCache":
    """The cache for prompts of at most this many tokens."""
    cut = lambda pair: (
      pair[0][..., :prompt_length],
      pair[1][:, :, :prompt_length],
    )
    return self.replace(
      cross=tuple(map(cut, self.cross)), mask=self.mask[:, :prompt_length]
    )

  def grown(self, length: int) -> "KVCache":
    """The cache of `length` positions, the old ones in the order written."""
    order = jnp.mod(self.clock + jnp.arange(self.length), self.length)
    more = length - self.length

    def grow(x):
      oldest_first = jnp.take(x, order, axis=3)
      return jnp.pad(
        oldest_first, [(0, more if i == 3 else 0) for i in range(5)]
      )

    return self.replace(
      past=jax.tree.map(grow, self.past),
      clock=jnp.full_like(self.clock, self.length),
    )
