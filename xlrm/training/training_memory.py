"""What a job needs of each device's memory, before it runs.

Arithmetic, so that a laptop can plan for a pod: the shardings of the real mesh
give parameters and optimizer state exactly; what the backward pass keeps is
what autodiff says that it keeps, counted for one device's rows and one
device's part of the heads, the MLP and the vocabulary. A compiler may recompute
some of it and adds working space of its own; how far the sums are from compiled
programs is written in docs/sizes.md.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
from jax.extend import core as extend_core
import jax.numpy as jnp
import optax

from xlrm import types
from xlrm.distributed import device_memory
from xlrm.distributed import meshes
from xlrm.losses import vocabulary_head
from xlrm.training import frozen_params
from xlrm.training import train_step


@dataclasses.dataclass(frozen=True)
class Planned:
  """What is trained, in a form that can be asked for a part of it.

  Attributes:
    model: an EncoderDecoder or a ResponseScorer.
    loss_of: such a model -> abstract parameters and loss.
  """

  model: Any
  loss_of: Callable[[Any], tuple[types.Params, train_step.LossFunction]]


def kept_bytes(
  loss_fn: train_step.LossFunction, params: Any, batch: Any
) -> int:
  """The bytes that a backward pass keeps beside parameters and batch.

  Args:
    loss_fn: traced with a dropout key, not run.
    params: abstract.
    batch: abstract.
  """

  def kept(params, batch, key):
    def total(params):
      return loss_fn(params, batch, key).total

    return jax.tree.leaves(jax.vjp(total, params)[1])

  key = jax.eval_shape(lambda: jax.random.key(0))
  program = jax.make_jaxpr(kept)(params, batch, key).jaxpr
  seen = {id(x) for x in program.invars}
  total = 0
  for variable in program.outvars:
    shaped = not isinstance(variable, extend_core.Literal)
    if shaped and id(variable) not in seen:
      seen.add(id(variable))
      if not jax.dtypes.issubdtype(variable.aval.dtype, jax.dtypes.prng_key):
        total += device_memory.bytes_of(variable.aval)
  return total


@functools.lru_cache(maxsize=64)
def _activations(
  planned: Planned, parts: int, structure: Any, columns: tuple
) -> tuple[int, int]:
  """(bytes per row, bytes of copies of parameters) that a backward pass keeps.

  Linear in the rows; what does not depend on them comes of parameters: their
  copies in bfloat16. Under rematerialisation, one layer of each stack more:
  the one that is being recomputed.

  Args:
    structure: of the batch.
    columns: (shape without rows, dtype) of its leaves.
  """

  def kept(rows, **changes):
    part, loss_fn = planned.loss_of(planned.model.part_of(parts, **changes))
    leaves = [
      jax.ShapeDtypeStruct((rows, *shape), dtype) for shape, dtype in columns
    ]
    batch = jax.tree.unflatten(structure, leaves)
    return kept_bytes(loss_fn, part, batch)

  def linear(**changes):
    one, two = kept(1, **changes), kept(2, **changes)
    return two - one, max(0, 2 * one - two)

  per_row, copies = linear()
  if planned.model.config.remat:
    shallow = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    layer = linear(remat=False, **shallow)[0] - linear(**shallow)[0]
    per_row += layer
  return per_row, copies


def training_plan(
  planned: Planned,
  *,
  optimizer: optax.GradientTransformation,
  batch: Any,
  mesh: meshes.AnyMesh,
  mask: types.Params | None = None,
  num_microbatches: int = 1,
) -> device_memory.MemoryPlan:
  """The memory of one training step.

  Args:
    planned: what is trained.
    optimizer: of the parameters that are not frozen.
    batch: abstract, whole.
    mesh: real or abstract.
    mask: True at frozen parameters.
    num_microbatches: as in `make_train_step`.
  """
  params, _ = planned.loss_of(planned.model)
  state = train_step.abstract_shapes(params, optimizer, mask)
  trained = params
  if mask is not None:
    trained = frozen_params.split(params, mask)[0]
  data, model = (mesh.shape[axis] for axis in meshes.AXES)
  rows = jax.tree.leaves(batch)[0].shape[0] // (data * num_microbatches)
  leaves, structure = jax.tree.flatten(batch)
  columns = tuple((x.shape[1:], jnp.dtype(x.dtype)) for x in leaves)
  per_row, copies = _activations(planned, model, structure, columns)
  gradients = device_memory.placed_bytes(trained, mesh)
  if num_microbatches > 1:
    gradients *= 2  # the sum, and that of one part
  found = {
    "parameters": device_memory.placed_bytes(state.params, mesh),
    "optimizer": device_memory.placed_bytes(state.opt_state, mesh),
    "gradients": gradients,
    "activations": per_row * rows + -(-copies // data),
  }
  if hasattr(planned.model, "output_matrix"):  # a scorer reads no logits
    later = 0 if data > 1 else device_memory.placed_bytes(trained, mesh)
    head = _head_bytes(planned.model.config, data, model)
    found["vocabulary"] = max(0, head - later)
  return device_memory.MemoryPlan(found)


def _head_bytes(config, data: int, model: int) -> int:
  """Two chunks of logits; on a mesh the gathered matrix and its gradient.

  On one row of devices the matrix's gradient is the first that there is: where
  all gradients take more than this, nothing is added to them.
  """
  rows = -(-config.vocab_size // model)
  chunks = 2 * vocabulary_head.CHUNK_SIZE * rows * 4
  size = jnp.dtype(config.dtype).itemsize
  gradient = 4 * config.emb_dim * rows
  gathered = size * config.emb_dim * rows
  return chunks + gradient + (gathered if data > 1 else 0)
