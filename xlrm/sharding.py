"""Meshes: batch and parameters spread over devices, by path rules.

The mesh has two axes. 'data' splits the rows of a batch and, as in FSDP
(https://arxiv.org/abs/2304.11277), the parameters and optimizer state, which
the compiler gathers layer by layer. 'model' splits the vocabulary, the heads
and the width of the MLP, whose products stay where they are: one sum over
'model' ends each attention and each MLP (tensor parallelism,
https://arxiv.org/abs/1909.08053). A table of path rules says which dimension.
"""

from collections.abc import Callable, Sequence
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
from xlrm import processes
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
  # LoRA: A has the rows of its matrix, B the columns.
  (r"/(query|key|value|wi(_\d+)?|logits_dense)/kernel/lora_b$", 1),
  (r"(/(out|wo)/kernel|token_embedder/embedding)/lora_a$", 0),
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
    """The mesh over `devices`, by default all of all processes.

    Raises:
      ValueError: the sizes do not multiply to the number of devices, or
        'model' does not fit into a slice.
    """
    devices = list(jax.devices() if devices is None else devices)
    sizes = self._sizes(len(devices))
    mesh = Mesh(np.asarray(in_order(devices, sizes[1])).reshape(sizes), AXES)
    if len({x.process_index for x in devices}) > 1:
      processes.warm(mesh)
    return mesh

  def build_own(self) -> Mesh:
    """The mesh over the devices of this process alone.

    Processes that need nothing of each other (sampling, scoring) share out
    rows, so 'data' is divided by their number.

    Raises:
      ValueError: 'model' does not fit into a process.
    """
    number, devices = processes.count(), jax.local_devices()
    if number == 1:
      return self.build()
    data = self.data if self.data == -1 else self.data // number
    if len(devices) % self.model or self.data % number and self.data != -1:
      raise ValueError(
        f"a mesh of data={self.data} x model={self.model} cannot be shared out "
        f"over {number} processes of {len(devices)} devices: each samples and "
        "scores alone, so model must divide its devices and data the number "
        "of processes"
      )
    return MeshConfig(data, self.model).build(devices)

  def _sizes(self, count: int) -> tuple[int, int]:
    data = count // self.model if self.data == -1 else self.data
    if self.model < 1 or data * self.model != count:
      raise ValueError(
        f"a mesh of data={self.data} x model={self.model} does not fit "
        f"{count} devices; nearest valid (data, model): "
        + ", ".join(f"({count // m}, {m})" for m in self._nearest(count))
      )
    return data, self.model

  def _nearest(self, count: int) -> list[int]:
    """The three divisors of `count` nearest to `model`, nearest first."""
    valid = [m for m in range(1, count + 1) if count % m == 0]
    model = max(self.model, 1)
    return sorted(valid, key=lambda m: abs(math.log(m / model)))[:3]


def in_order(devices: Sequence[Any], model: int) -> list[Any]:
  """Devices of a slice, and in it those of a process, beside each other.

  So rows of the mesh ('model') lie within a process or at least a slice, whose
  links are fast; between slices there is 'data' alone, as in
  `mesh_utils.create_hybrid_device_mesh`, which heeds slices but not processes.

  Raises:
    ValueError: `model` devices are no part of a slice.
  """
  slices = [getattr(x, "slice_index", None) or 0 for x in devices]
  for number in sorted(set(slices)):
    if slices.count(number) % model and len(set(slices)) > 1:
      raise ValueError(
        f"model={model} does not fit into slice {number}, which has "
        f"{slices.count(number)} devices: between slices there is only 'data'"
      )
  places = {id(x): (n, x.process_index) for x, n in zip(devices, slices)}
  return sorted(devices, key=lambda x: places[id(x)])


Rule = Callable[[str, tuple[int, ...], AnyMesh], PartitionSpec]


def split_over_all(
  path: str, shape: tuple[int, ...], mesh: AnyMesh
) -> PartitionSpec:
  """For training: over 'model' as the table says, and over 'data'."""
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


def split_over_model(
  path: str, shape: tuple[int, ...], mesh: AnyMesh
) -> PartitionSpec:
  """For sampling and scoring: the devices of a row hold all its weights.

  Split over 'data', too, they would have to be gathered for every token.
  """
  spec = split_over_all(path, shape, mesh)
  return PartitionSpec(*(axis if axis == "model" else None for axis in spec))


def num_parts(
  path: str, shape: tuple[int, ...], mesh: AnyMesh, rule: Rule = split_over_all
) -> int:
  """Into how many parts a leaf is split."""
  axes = [axis for axis in rule(path, shape, mesh) if axis is not None]
  return math.prod(mesh.shape[axis] for axis in axes)


def tree_shardings(tree: Any, mesh: Mesh, rule: Rule = split_over_all) -> Any:
  """One NamedSharding per leaf of a tree of parameters or of a whole state."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: NamedSharding(
      mesh, rule(optimizers.path_name(path), tuple(leaf.shape), mesh)
    ),
    tree,
  )


def placed(
  abstract: types.Params, mesh: Mesh | None, rule: Rule = split_over_all
) -> types.Params:
  """Shapes and dtypes with the shardings of a mesh; without one as they are."""
  if mesh is None:
    return abstract
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    abstract,
    tree_shardings(abstract, mesh, rule),
  )


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

  def on(self, mesh: Mesh | None, rule: Rule = split_over_all) -> types.Params:
    """The arrays on a mesh, or on one device without one."""
    return self.make(placed(self.abstract, mesh, rule))

  @classmethod
  def given(cls, params: types.Params) -> "LazyParams":
    """Copies of arrays."""

    def make(there):
      places = jax.tree.map(_sharding_of, there)
      sharded = any(x is not None for x in jax.tree.leaves(places))
      moved = put(params, places) if sharded else params
      copy = lambda tree: jax.tree.map(jnp.array, tree)
      return jax.jit(copy, out_shardings=places)(moved)

    return cls(_abstract(params), make)

  @classmethod
  def computed(cls, compute: Callable[[], types.Params]) -> "LazyParams":
    """Of a function that is compiled: no device ever holds them whole."""

    def make(there):
      places = jax.tree.map(_sharding_of, there)
      return jax.jit(compute, out_shardings=places)()

    return cls(jax.eval_shape(compute), make)


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


def own_rows(size: int, mesh: Mesh) -> slice | None:
  """Rows of a batch that this process's devices hold; None: no block."""
  place = batch_sharding(mesh)
  held = place.addressable_devices_indices_map((size,)).values()
  rows = sorted({row for (part,) in held for row in range(size)[part]})
  first, last = rows[0], rows[-1] + 1
  return slice(first, last) if len(rows) == last - first else None


def shard(batch: Any, mesh: Mesh) -> Any:
  """A host batch on the devices of the mesh, rows over 'data'.

  Every process has the whole batch and moves its own rows.
  """
  sharding = batch_sharding(mesh)
  return put(jax.tree.map(np.asarray, batch), sharding)


def put(tree: Any, places: Any) -> Any:
  """Moves arrays to shardings, or all to one.

  Arrays of one process only must be the same in all processes.
  """

  def one(x, place):
    elsewhere = isinstance(x, jax.Array) and not x.is_fully_addressable
    if place.is_fully_addressable or elsewhere:
      return jax.device_put(x, place)
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, place, lambda i: host[i])

  if isinstance(places, NamedSharding):
    return jax.tree.map(lambda x: one(x, places), tree)
  return jax.tree.map(one, tree, places)
