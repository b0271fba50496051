"""Meshes: batch and parameters spread over devices, by path rules.

The mesh has two axes. 'data' splits the rows of a batch and, as in FSDP
(https://arxiv.org/abs/2304.11277), the parameters and optimizer state, which
the compiler gathers layer by layer. 'model' splits the vocabulary, the heads
and the width of the MLP, whose products stay where they are: one sum over
'model' ends each attention and each MLP (tensor parallelism,
https://arxiv.org/abs/1909.08053). A table of path rules says which dimension.
"""

from collections.abc import Callable, Sequence
import math
import re
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from xlrm import types
from xlrm.distributed import meshes

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


Rule = Callable[[str, tuple[int, ...], meshes.AnyMesh], PartitionSpec]


def split_over_all(
  path: str, shape: tuple[int, ...], mesh: meshes.AnyMesh
) -> PartitionSpec:
  """The rule of training: over 'model' as the table says, and over 'data'."""
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
  path: str, shape: tuple[int, ...], mesh: meshes.AnyMesh
) -> PartitionSpec:
  """The rule of sampling: the devices of a row hold all its weights.

  Split over 'data', too, they would have to be gathered for every token.
  """
  spec = split_over_all(path, shape, mesh)
  return PartitionSpec(*(axis if axis == "model" else None for axis in spec))


def num_parts(
  path: str,
  shape: tuple[int, ...],
  mesh: meshes.AnyMesh,
  rule: Rule = split_over_all,
) -> int:
  """The number of parts that a leaf is split into."""
  axes = [axis for axis in rule(path, shape, mesh) if axis is not None]
  return math.prod(mesh.shape[axis] for axis in axes)


def tree_shardings(tree: Any, mesh: Mesh, rule: Rule = split_over_all) -> Any:
  """One NamedSharding per leaf of a tree of parameters or of a whole state."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: NamedSharding(
      mesh, rule(path_name(path), tuple(leaf.shape), mesh)
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


def shard(batch: Any, mesh: Mesh) -> Any:
  """A host batch on the devices of the mesh, rows over 'data'.

  Every process has the whole batch and moves its own rows.
  """
  sharding = meshes.batch_sharding(mesh)
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


def path_name(path: Sequence[Any]) -> str:
  """A key path of jax.tree_util as 'decoder/layers_0/mlp/wo/kernel'."""
  return "/".join(
    str(
      getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", "")))
    )
    for entry in path
  )
