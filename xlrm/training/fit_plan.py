"""What a run of training would take, before it runs."""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

import jax

from xlrm.distributed import device_memory
from xlrm.distributed import sharding
from xlrm.training import train_step

COMPILED = 7e8  # parameters; a larger model is not compiled to be planned
KINDS = ("argument", "temp")  # of a compiled program's memory


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
  """Shapes, parameters and memory of a step of training.

  Attributes:
    parameters: how many numbers are trained or frozen.
    batch: path of an array of a whole batch -> its shape and type.
    memory: per device, by arithmetic; None for a loss that says nothing of its
      model.
    compiled: KINDS -> bytes per device that the compiled step takes, of those
      that the compiler tells; None where it was not compiled, for its size.
    platform: that it was compiled for.
    devices: planned for; None are all kinds.
  """

  parameters: int
  batch: Mapping[str, jax.ShapeDtypeStruct]
  memory: device_memory.MemoryPlan | None
  compiled: Mapping[str, int] | None
  platform: str
  devices: device_memory.Devices | None = None

  def text(self) -> str:
    """The plan in lines."""
    lines = [f"parameters: {self.parameters:,}"]
    lines += [
      f"batch {path}: {x.shape} {x.dtype}" for path, x in self.batch.items()
    ]
    if self.memory is not None:
      lines.append(self.memory.text(self.devices))
    if self.compiled is None:
      lines.append(f"not compiled: more than {COMPILED:.0e} parameters")
    for kind, size in (self.compiled or {}).items():
      lines.append(
        f"{kind} memory per device, compiled for {self.platform}: "
        f"{size / device_memory.GIB:.3f} GiB"
      )
    return "\n".join(lines)


def of_step(
  step_fn: Any,
  state: train_step.TrainState,
  batch: Any,
  key: jax.Array,
  memory: device_memory.MemoryPlan | None,
  devices: device_memory.Devices | None,
) -> TrainingPlan:
  """The plan of a jitted step; compiles it unless that would take too long.

  Args:
    step_fn: jitted; (state, batch, key) -> (state, metrics).
    state: abstract, with its shardings.
    batch: whole, on the mesh.
    memory: the arithmetic, if the job has one.
    devices: planned for; None are all kinds.
  """
  leaves = jax.tree.leaves(state.params)
  count = sum(math.prod(x.shape) for x in leaves)
  shapes = {
    sharding.path_name(path): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch)
  }
  compiled = None
  if memory is None or count <= COMPILED:
    found = step_fn.lower(state, batch, key).compile().memory_analysis()
    sizes = {x: getattr(found, f"{x}_size_in_bytes", None) for x in KINDS}
    compiled = {name: x for name, x in sizes.items() if x is not None}
  return TrainingPlan(
    parameters=count,
    batch=shapes,
    memory=memory,
    compiled=compiled,
    platform=jax.devices()[0].platform,
    devices=devices,
  )
