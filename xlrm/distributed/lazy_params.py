"""Parameters that are read or made where they are to live, when needed."""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from xlrm import types
from xlrm.distributed import sharding


@dataclasses.dataclass(frozen=True)
class LazyParams:
  """Parameters that are read or made where they are to live, when needed.

  Attributes:
    abstract: shapes and dtypes.
    make: shapes and dtypes, with shardings if they are to be sharded -> arrays,
      new ones at every call.
  """

  abstract: types.Params
  make: Callable[[types.Params], types.Params]

  def on(
    self, mesh: Mesh | None, rule: sharding.Rule = sharding.split_over_all
  ) -> types.Params:
    """The arrays on a mesh, or on one device without one."""
    return self.make(sharding.placed(self.abstract, mesh, rule))

  @classmethod
  def given(cls, params: types.Params) -> "LazyParams":
    """Parameters that are copies of these arrays."""

    def make(there):
      places = jax.tree.map(_sharding_of, there)
      sharded = any(x is not None for x in jax.tree.leaves(places))
      moved = sharding.put(params, places) if sharded else params
      copy = lambda tree: jax.tree.map(jnp.array, tree)
      return jax.jit(copy, out_shardings=places)(moved)

    return cls(_abstract(params), make)

  @classmethod
  def computed(cls, compute: Callable[[], types.Params]) -> "LazyParams":
    """Parameters made by a compiled function: no device holds them whole."""

    def make(there):
      places = jax.tree.map(_sharding_of, there)
      return jax.jit(compute, out_shardings=places)()

    return cls(jax.eval_shape(compute), make)


def _abstract(params: types.Params) -> types.Params:
  return jax.eval_shape(lambda: params)


def _sharding_of(leaf: jax.ShapeDtypeStruct) -> NamedSharding | None:
  return leaf.sharding
