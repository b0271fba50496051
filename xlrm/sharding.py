"""Meshes: batch and parameters spread over devices, by path rules.

The mesh has two axes. 'data' splits the rows of a batch and, as in FSDP
(https://arxiv.org/abs/2304.11277), the parameters and optimizer state, which
the compiler gathers layer by layer. 'model' splits the vocabulary of the
embedding and of the output matrix. A table of path rules says which.
"""

import dataclasses
import re
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from xlrm import optimizers

AXES = ("data", "model")
SMALLEST = 2**12  # elements; a smaller leaf is kept whole on every device

# (regular expression of the path, dimension split over 'model'); first match.
# The same names occur inside optimizer state, where shapes may differ; a rule
# that does not fit a shape is skipped.
MODEL_RULES = (
  (r"token_embedder/embedding$", 0),
  (r"logits_dense/kernel$", 1),
)


@dataclasses.dataclass(frozen=True)
class MeshConfig:
  """How many devices each axis has.

  Attributes:
    data: -1 is all that `model` leaves.
    model: splits of the vocabulary.
  """

  data: int = -1
  model: int = 1

  def build(self, devices: Any = None) -> Mesh:
    """The mesh over `devices`, by default all.

    Raises:
      ValueError: the sizes do not multiply to the number of devices.
    """
    devices = np.asarray(jax.devices() if devices is None else devices)
    count = devices.size
    valid = [m for m in range(1, count + 1) if count % m == 0]
    data = count // self.model if self.data == -1 else self.data
    if self.model < 1 or data * self.model != count:
      raise ValueError(
        f"a mesh of data={self.data} x model={self.model} does not fit "
        f"{count} devices; valid (data, model): "
        + ", ".join(f"({count // m}, {m})" for m in valid)
      )
    return Mesh(devices.reshape(data, self.model), AXES)


def _spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
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


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows over 'data'."""
  return NamedSharding(mesh, PartitionSpec("data"))


def check_batch_size(batch_size: int, mesh: Mesh, num_microbatches: int = 1):
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


def shard(batch: Any, mesh: Mesh) -> Any:
  """A host batch on the devices of the mesh, rows over 'data'."""
  sharding = batch_sharding(mesh)
  return jax.tree.map(
    lambda leaf: jax.make_array_from_process_local_data(
      sharding, np.asarray(leaf)
    ),
    batch,
  )
