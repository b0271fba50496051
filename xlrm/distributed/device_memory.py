"""Memory of devices: what they have, what a plan takes, whether it fits."""

from collections.abc import Callable, Mapping
import dataclasses
import math
import os
import re
from typing import Any

import jax
import jax.numpy as jnp

from xlrm.distributed import meshes
from xlrm.distributed import sharding

GIB = 2**30
USABLE = 0.92  # of a device; the rest is the runtime's and fragmentation


# GiB of one device as its runtime reports them, and how many of the cores that
# a TPU slice's name counts make one device.
DEVICES = {
  "v4": (32.0, 2),
  "v5e": (16.0, 1),
  "v5p": (95.0, 2),
  "v6e": (32.0, 1),
  "A100": (79.2, None),
  "H100": (79.2, None),
  "H200": (139.8, None),
}


@dataclasses.dataclass(frozen=True)
class Devices:
  """A number of equal devices: `H200`, `H100x8`, `v4-8`, `v5e`."""

  name: str
  count: int
  gib: float


def devices(name: str) -> Devices:
  """The devices that a name stands for: v4-32 is 32 cores, 16 devices.

  Raises:
    ValueError: no such device.
  """
  match = re.fullmatch(r"([A-Za-z]\w*?)(?:([-x])(\d+))?", name)
  kind = match and next(
    (x for x in DEVICES if x.lower() == match[1].lower()), None
  )
  if kind is None:
    raise ValueError(
      f"device {name!r} is none of {', '.join(DEVICES)}; several of them are "
      "written v4-32 (as the slice is called) or H100x8"
    )
  gib, cores = DEVICES[kind]
  count = int(match[3] or 1)
  if match[2] == "-":
    if cores is None or count % cores or not count:
      raise ValueError(
        f"device {name!r}: "
        + (
          f"write {kind}x{count}"
          if cores is None
          else f"a slice of {kind} has a multiple of {cores} cores"
        )
      )
    count //= cores
  if not count:
    raise ValueError(f"device {name!r}: no devices")
  return Devices(name, count, gib)


def of_mesh(name: str | None, mesh: meshes.AnyMesh) -> Devices | None:
  """The devices that a mesh is planned for; None are all kinds.

  Raises:
    ValueError: no such devices, or another number than the mesh has.
  """
  if name is None:
    return None
  found = devices(name)
  if found.count != mesh.size:
    raise ValueError(
      f"{name} has {found.count} devices, and the mesh here {mesh.size}: "
      f"`xlrm run --dry_run --devices={name}` imitates them, and so does "
      f"jax.config.update('jax_num_cpu_devices', {found.count}) before JAX "
      "begins"
    )
  return found


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
  """Bytes per device by what they hold; 'total' is their sum."""

  bytes: Mapping[str, int]

  @property
  def total(self) -> int:
    """Bytes per device, all together."""
    return sum(self.bytes.values())

  def fits(self, on: Devices) -> bool:
    """Whether the usable memory of such a device holds it."""
    return self.total <= USABLE * on.gib * GIB

  def text(self, on: Devices | None = None) -> str:
    """A table in GiB, and where it fits.

    Args:
      on: the devices planned for; None lists all kinds.
    """
    rows = [*self.bytes.items(), ("total", self.total)]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}} {size / GIB:9.3f}" for name, size in rows]
    kinds = [on] if on else [devices(name) for name in DEVICES]
    verdicts = [
      f"{x.name} ({x.gib:g}) {'yes' if self.fits(x) else 'NO'}" for x in kinds
    ]
    return "\n".join(
      [
        "memory per device, GiB (arithmetic):",
        *lines,
        f"  fits (within {USABLE:.0%}): {', '.join(verdicts)}",
      ]
    )


def bytes_of(leaf: Any) -> int:
  """The bytes of an array or of its shape and dtype."""
  return math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize


def placed_bytes(
  abstract: Any,
  mesh: meshes.AnyMesh,
  rule: sharding.Rule = sharding.split_over_all,
) -> int:
  """Bytes per device of a tree of parameters or of optimizer state."""
  leaves = jax.tree_util.tree_leaves_with_path(abstract)
  total = 0
  for path, leaf in leaves:
    parts = sharding.num_parts(
      sharding.path_name(path), tuple(leaf.shape), mesh, rule
    )
    total += -(-bytes_of(leaf) // parts)
  return total


def available_bytes(mesh: jax.sharding.Mesh) -> int | None:
  """The memory of one of the mesh's devices that a program may take.

  The runtime says it; on CPU it is what the machine has free, shared by its
  devices. None where neither can be known.
  """
  device = mesh.devices.flat[0]
  statistics = device.memory_stats() or {}
  if "bytes_limit" in statistics:
    return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
  if device.platform == "cpu" and os.path.exists("/proc/meminfo"):
    with open("/proc/meminfo", encoding="ascii") as file:
      sizes = dict(line.split(":", 1) for line in file)
    free = int(sizes["MemAvailable"].split()[0]) * 1024
    return free // mesh.devices.size
  return None


def check_batch_fits(
  plan_of: Callable[[int], MemoryPlan], batch_size: int, available: int | None
) -> None:
  """Raises ValueError with the largest batch size that fits, if this does not.

  Args:
    plan_of: batch size -> what it takes.
    batch_size: asked for.
    available: bytes of one device; None is unknown, and anything fits.
  """
  if available is None or plan_of(batch_size).total <= available:
    return
  fits, too_large = 0, batch_size
  while too_large - fits > 1:
    middle = (fits + too_large) // 2
    if plan_of(middle).total <= available:
      fits = middle
    else:
      too_large = middle
  way_out = (
    f"the largest batch_size that fits is {fits}"
    if fits
    else "not even batch_size 1 fits: a larger 'model' axis, bfloat16 or "
    "shorter lengths take less"
  )
  raise ValueError(
    f"batch_size {batch_size} takes {plan_of(batch_size).total / GIB:.2f} GiB "
    f"of the {available / GIB:.2f} that a device has free; {way_out}"
  )
