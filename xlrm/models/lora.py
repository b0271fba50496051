"""Low-rank adapters over a frozen base (LoRA, https://arxiv.org/abs/2106.09685).

A matrix W [in, out] of the base becomes
  W + alpha / rank  A B,    A [in, rank],  B [rank, out],
of which only A and B are trained. B starts at 0, so that the first step's
weights are the base's. (Hu et al. write h = W x, hence W + B A.)
"""

from collections.abc import Mapping, Sequence
import dataclasses
import difflib
import math
import re
import zlib

import jax
import jax.numpy as jnp

from xlrm import types
from xlrm.distributed import sharding

Adapters = dict[str, dict[str, types.Array]]  # path of W -> lora_a, lora_b


@dataclasses.dataclass(frozen=True)
class LoraConfig:
  """Which matrices are adapted, and how.

  Attributes:
    rank: of the update of a matrix.
    alpha: the update counts alpha / rank times.
    targets: regular expressions of the paths of matrices (re.search); the
      default is queries and values of all attention, as in the paper.
  """

  rank: int = 8
  alpha: float = 16.0
  targets: Sequence[str] = (r"/(query|value)/kernel$",)

  def __post_init__(self):
    if not isinstance(self.rank, int) or self.rank < 1:
      raise ValueError(f"rank {self.rank!r} is not an integer from 1")
    if not 0 < self.alpha < math.inf:
      raise ValueError(f"alpha {self.alpha} is not a positive number")
    if isinstance(self.targets, str) or not self.targets:
      raise ValueError(
        f"targets {self.targets!r}: a list of regular expressions of the "
        "paths of matrices was expected"
      )
    object.__setattr__(self, "targets", tuple(self.targets))

  @property
  def scale(self) -> float:
    """The factor of A B, alpha / rank."""
    return self.alpha / self.rank


def _leaves(params: types.Params) -> dict[str, types.Array]:
  return {
    sharding.path_name(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  }


def target_names(params: types.Params, config: LoraConfig) -> list[str]:
  """The paths of the matrices that are adapted; `params` may be abstract.

  Raises:
    ValueError: a target matches nothing (names the nearest paths), is no
      regular expression, or matches what is no matrix or has no such rank.
  """
  leaves = _leaves(params)
  found = set()
  for pattern in config.targets:
    try:
      matched = [name for name in leaves if re.search(pattern, name)]
    except re.error as error:
      raise ValueError(
        f"LoRA target {pattern!r} is no regular expression: {error}"
      ) from error
    if not matched:
      nearest = difflib.get_close_matches(pattern, leaves, 3, 0.0)
      raise ValueError(
        f"LoRA target {pattern!r} matches no parameter; nearest: "
        f"{', '.join(nearest)}"
      )
    found |= set(matched)
  for name in sorted(found):
    shape = leaves[name].shape
    if len(shape) != 2:
      raise ValueError(
        f"LoRA adapts matrices; {name} has the shape {tuple(shape)}: narrow "
        f"the targets {list(config.targets)}"
      )
    if config.rank > min(shape):
      raise ValueError(
        f"rank {config.rank} is above {min(shape)}, which already expresses "
        f"every update of {name} {tuple(shape)}"
      )
  return sorted(found)


def init(key: jax.Array, params: types.Params, config: LoraConfig) -> Adapters:
  """Fresh adapters, A from N(0, 1/in) and B zeros; see `target_names`.

  Args:
    key: of A; a matrix's own key follows from its path, not from the others.
    params: of the base; may be abstract.
    config: which matrices are adapted.
  """
  leaves = _leaves(params)
  adapters = {}
  for name in target_names(params, config):
    rows, columns = leaves[name].shape
    own = jax.random.fold_in(key, zlib.crc32(name.encode()))
    a = jax.random.normal(own, (rows, config.rank), jnp.float32)
    b = jnp.zeros((config.rank, columns), jnp.float32)
    adapters[name] = {"lora_a": a / rows**0.5, "lora_b": b}
  return adapters


def matrices(
  base: types.Params, adapters: Adapters, config: LoraConfig
) -> dict[str, types.Array]:
  """The adapted matrices alone: path -> W + alpha / rank A B.

  In the base's dtype; the product has full float32 precision everywhere, so
  that sampler and loss merge to the same weights.
  """
  leaves = _leaves(base)
  found = {}
  for name, pair in adapters.items():
    update = config.scale * jnp.matmul(
      pair["lora_a"], pair["lora_b"], precision=jax.lax.Precision.HIGHEST
    )
    found[name] = leaves[name] + update.astype(leaves[name].dtype)
  return found


def replaced(
  base: types.Params, found: Mapping[str, types.Array]
) -> types.Params:
  """The base with some leaves replaced; the others are the base's own arrays.

  Raises:
    KeyError: the base has no leaf of that path.
  """
  unknown = sorted(found.keys() - _leaves(base).keys())
  if unknown:
    raise KeyError(f"the base has no parameter {unknown[0]}")
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: found.get(sharding.path_name(path), leaf), base
  )


def merge(
  base: types.Params, adapters: Adapters, config: LoraConfig
) -> types.Params:
  """The base's tree with every adapted W as W + alpha / rank A B."""
  return replaced(base, matrices(base, adapters, config))


def checksum(params: types.Params) -> types.Array:
  """A uint32 of all bits, exact and the same on every layout of devices."""
  total = jnp.zeros((), jnp.uint32)
  for name, leaf in _leaves(params).items():
    bits = jax.lax.bitcast_convert_type(leaf.astype(jnp.float32), jnp.uint32)
    place = jnp.uint32(zlib.crc32(name.encode()) | 1)
    total += place * jnp.sum(bits, dtype=jnp.uint32)
  return total
