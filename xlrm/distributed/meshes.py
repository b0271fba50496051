"""Meshes: the devices' two axes, and which rows of a batch each one holds."""

from collections.abc import Sequence
import contextlib
import dataclasses
import math
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
import numpy as np

from xlrm.distributed import processes

AXES = ("data", "model")
AnyMesh = Mesh | AbstractMesh


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
    """The mesh over `count` devices that need not exist, see `build`."""
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
  """The devices of a slice, and in it those of a process, beside each other.

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


def active(mesh: Mesh | None) -> contextlib.AbstractContextManager:
  """A context in which compiled functions know the mesh (`rows_over_data`).

  It belongs around such calls only: other libraries' programs on one
  device would be sent to the whole mesh.
  """
  if mesh is None or mesh.size == 1:
    return contextlib.nullcontext()
  return jax.set_mesh(mesh)


def active_axes() -> dict[str, int]:
  """Sizes of the axes of the `active` mesh; empty outside."""
  mesh = jax.sharding.get_abstract_mesh()
  return dict(mesh.shape) if set(AXES) <= set(mesh.axis_names) else {}


def rows_over_data(x: jax.Array) -> jax.Array:
  """The array x [B ..], its rows kept on their devices while a mesh is active.

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
  """The sharding of a batch: rows over 'data'."""
  return NamedSharding(mesh, PartitionSpec("data"))


def check_batch_size(
  batch_size: int, mesh: AnyMesh, num_microbatches: int = 1
) -> None:
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
  """`batch_size`, or for fewer rows the least that divides over 'data'."""
  check_batch_size(batch_size, mesh)
  unit = mesh.shape["data"]
  return min(batch_size, unit * -(-num_rows // unit))


def own_rows(size: int, mesh: Mesh) -> slice | None:
  """The rows of a batch that this process's devices hold; None: no block."""
  place = batch_sharding(mesh)
  held = place.addressable_devices_indices_map((size,)).values()
  rows = sorted({row for (part,) in held for row in range(size)[part]})
  first, last = rows[0], rows[-1] + 1
  return slice(first, last) if len(rows) == last - first else None


def round_up(number: int, unit: int) -> int:
  """The least multiple of `unit` that is not below `number`: 9, 4 -> 12."""
  return unit * -(-number // unit)
