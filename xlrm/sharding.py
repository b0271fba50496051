"""Meshes: batch and parameters spread over devices, by path rules.

The mesh has two axes. 'data' splits the rows of a batch and, as in FSDP
(https://arxiv.org/abs/2304.11277), the parameters and optimizer state, which
the compiler gathers layer by layer. 'model' splits the vocabulary, the heads
and the width of the MLP, whose products stay where they are: one sum over
'model' ends each attention and each MLP (tensor parallelism,
https://arxiv.org/abs/1909.08053). A table of path rules says which dimension.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
import numpy as np

from xlrm import optimizers
from xlrm import types

AXES = ("data", "model")
AnyMesh = Mesh | AbstractMesh
SMALLEST = 2**12  # elements; a smaller leaf is kept whole on every device

# (regular expression of the path, dimension split over 'model'); first match.
# The same names occur inside optimizer state, where shapes may differ; a rule
# that does not fit a shape is skipped.
MODEL_RULES = (
  (r"token_embedder/embedding$", 0),
  (r"logits_dense/kernel$", 1),
  (r"/(query|key|value)/kernel$", 1),  # heads x head_dim
  (r"/out/kernel$", 0),
  (r"/wi(_\d+)?/kernel$", 1),
  (r"/wo/kernel$", 0),
)


@dataclasses.dataclass(frozen=True)
class MeshConfig:
  """How many devices each axis has.

  Attributes:
    data: -1 is all that `model` leaves.
    model: splits of the vocabulary, of the heads and of the MLP's width; best a
      divisor of the number of heads.
  """

  data: int = -1
  model: int = 1

  def abstract(self, count: int) -> AbstractMesh:
    """The same over `count` devices that need not exist, see `build`."""
    return AbstractMesh(self._sizes(count), AXES)

  def build(self, devices: Any = None) -> Mesh:
    """The mesh over `devices`, by default all.

    Raises:
      ValueError: the sizes do not multiply to the number of devices.
    """
    devices = np.asarray(jax.devices() if devices is None else devices)
    return Mesh(devices.reshape(self._sizes(devices.size)), AXES)

  def _sizes(self, count: int) -> tuple[int, int]:
    valid = [m for m in range(1, count + 1) if count % m == 0]
    data = count // self.model if self.data == -1 else self.data
    if self.model < 1 or data * self.model != count:
      raise ValueError(
        f"a mesh of data={self.data} x model={self.model} does not fit "
        f"{count} devices; valid (data, model): "
        + ", ".join(f"({count // m}, {m})" for m in valid)
      )
    return data, self.model


def num_parts(path: str, shape: tuple[int, ...], mesh: AnyMesh) -> int:
  """Into how many parts a leaf is split."""
  axes = [axis for axis in _spec(path, shape, mesh) if axis is not None]
  return math.prod(mesh.shape[axis] for axis in axes)


def _spec(path: str, shape: tuple[int, ...], mesh: AnyMesh) -> PartitionSpec:
  if not shape or np.prod(shape) < SMALLEST:
    return PartitionSpec()
  spec: list[str | None] = [None] * len(shape)
  for pattern, dimension in MODEL_RULES:
    if re.search(pattern, path) and dimension < len(shape):
      if shape[dimension] % mesh.shape["model"] == 0:
        spec[dimension] = "model"
      break
  free = [
    i
    for i, size in enumerate(shape)
    if spec[i] is None and size % mesh.shape["data"] == 0
  ]
  if free:
    spec[max(free, key=lambda i: shape[i])] = "data"
  return PartitionSpec(*spec)


def tree_shardings(tree: Any, mesh: Mesh) -> Any:
  """One NamedSharding per leaf of a tree of parameters or of a whole state."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: NamedSharding(
      mesh, _spec(optimizers.path_name(path), tuple(leaf.shape), mesh)
    ),
    tree,
  )


def placed(abstract: types.Params, mesh: Mesh | None) -> types.Params:
  """Shapes and dtypes with the shardings of a mesh; without one as they are."""
  if mesh is None:
    return abstract
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    abstract,
    tree_shardings(abstract, mesh),
  )


@dataclasses.dataclass(frozen=True)
class LazyParams:
  """Parameters that are read or made where they are to live, when needed.

  Attributes:
    abstract: shapes and dtypes.
    on: the mesh, or None for one device -> arrays, new ones at every call.
  """

  abstract: types.Params
  on: Callable[[Mesh | None], types.Params]

  @classmethod
  def given(cls, params: types.Params) -> "LazyParams":
    """Copies of arrays."""

    def on(mesh):
      places = jax.tree.map(_sharding_of, placed(_abstract(params), mesh))
      moved = params if mesh is None else jax.device_put(params, places)
      copy = lambda tree: jax.tree.map(jnp.array, tree)
      return jax.jit(copy, out_shardings=places)(moved)

    return cls(_abstract(params), on)

  @classmethod
  def computed(cls, make: Callable[[], types.Params]) -> "LazyParams":
    """Of a function that is compiled: no device ever holds them whole."""
    abstract = jax.eval_shape(make)

    def on(mesh):
      places = jax.tree.map(_sharding_of, placed(abstract, mesh))
      return jax.jit(make, out_shardings=places)()

    return cls(abstract, on)


def _abstract(params: types.Params) -> types.Params:
  return jax.eval_shape(lambda: params)


def _sharding_of(leaf: jax.ShapeDtypeStruct) -> NamedSharding | None:
  return leaf.sharding


def active(mesh: Mesh | None) -> contextlib.AbstractContextManager:
  """Calls of compiled functions in here know the mesh, see `rows_over_data`.

  Only around such calls: other libraries' programs on one device would be sent
  to the whole mesh.
  """
  if mesh is None or mesh.size == 1:
    return contextlib.nullcontext()
  return jax.set_mesh(mesh)


def active_axes() -> dict[str, int]:
  """Sizes of the axes of the `active` mesh; empty outside."""
  mesh = jax.sharding.get_abstract_mesh()
  return dict(mesh.shape) if set(AXES) <= set(mesh.axis_names) else {}


def rows_over_data(x: jax.Array) -> jax.Array:
  """x [B ..], kept on the devices that own its rows while a mesh is `active`.

  Where a kernel is split over 'data', too, the compiler has the choice of
  gathering the kernel or the activations of the whole batch; this makes it
  gather the kernel.
  """
  rows = active_axes().get("data", 1)
  if rows == 1 or x.shape[0] % rows:
    return x
  free = [PartitionSpec.UNCONSTRAINED] * (x.ndim - 1)
  return jax.lax.with_sharding_constraint(x, PartitionSpec("data", *free))


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows over 'data'."""
  return NamedSharding(mesh, PartitionSpec("data"))


def check_batch_size(batch_size: int, mesh: AnyMesh, num_microbatches: int = 1):
  """Raises ValueError, with the nearest valid sizes, if rows do not divide."""
  unit = mesh.shape["data"] * num_microbatches
  if batch_size % unit:
    low = batch_size // unit * unit
    nearest = [str(x) for x in (low, low + unit) if x > 0]
    raise ValueError(
      f"batch_size {batch_size} is not divisible by {mesh.shape['data']} data "
      f"shards x {num_microbatches} microbatches; nearest valid: "
      f"{', '.join(nearest)}"
    )


def fitting_batch_size(batch_size: int, num_rows: int, mesh: Mesh) -> int:
  """At most `batch_size`, for fewer rows the least that divides over 'data'."""
  check_batch_size(batch_size, mesh)
  unit = mesh.shape["data"]
  return min(batch_size, unit * -(-num_rows // unit))


def shard(batch: Any, mesh: Mesh) -> Any:
  """A host batch on the devices of the mesh, rows over 'data'."""
  sharding = batch_sharding(mesh)
  return jax.tree.map(
    lambda leaf: jax.make_array_from_process_local_data(
      sharding, np.asarray(leaf)
    ),
    batch,
  )
