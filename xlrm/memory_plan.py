"""What a job needs of each device's memory, before it runs.

Arithmetic, so that a laptop can plan for a pod: the shardings of the real mesh
give parameters and optimizer state exactly; what the backward pass keeps is
what autodiff says that it keeps, counted for one device's rows and one
device's part of the heads, the MLP and the vocabulary. A compiler may recompute
some of it and adds working space of its own; how far the sums are from compiled
programs is written in docs/sizes.md.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import math
import os
import re
from typing import Any

import jax
from jax.extend import core as extend_core
import jax.numpy as jnp
import optax

from xlrm import grids
from xlrm import lanes as lanes_lib
from xlrm import losses
from xlrm import optimizers
from xlrm import sharding
from xlrm import train_step
from xlrm import types
from xlrm.models import language_model

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
class Planned:
  """What is trained, in a form that can be asked for a part of it.

  Attributes:
    model: an EncoderDecoder or a ResponseScorer.
    loss_of: such a model -> abstract parameters and loss.
  """

  model: Any
  loss_of: Callable[[Any], tuple[types.Params, train_step.LossFunction]]


@dataclasses.dataclass(frozen=True)
class Devices:
  """A number of equal devices: `H200`, `H100x8`, `v4-8`, `v5e`."""

  name: str
  count: int
  gib: float


def devices(name: str) -> Devices:
  """What a name stands for. v4-32 is 32 cores, 16 devices.

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


@dataclasses.dataclass(frozen=True)
class Plan:
  """Bytes per device by what they hold; 'total' is their sum."""

  bytes: Mapping[str, int]

  @property
  def total(self) -> int:
    return sum(self.bytes.values())

  def fits(self, on: Devices) -> bool:
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


def _bytes_of(leaf: Any) -> int:
  return math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize


def placed_bytes(
  abstract: Any,
  mesh: sharding.AnyMesh,
  rule: sharding.Rule = sharding.split_over_all,
) -> int:
  """Bytes per device of a tree of parameters or of optimizer state."""
  leaves = jax.tree_util.tree_leaves_with_path(abstract)
  total = 0
  for path, leaf in leaves:
    parts = sharding.num_parts(
      optimizers.path_name(path), tuple(leaf.shape), mesh, rule
    )
    total += -(-_bytes_of(leaf) // parts)
  return total


def kept_bytes(
  loss_fn: train_step.LossFunction, params: Any, batch: Any
) -> int:
  """What the backward pass of a loss keeps beside parameters and batch.

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
        total += _bytes_of(variable.aval)
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
  mesh: sharding.AnyMesh,
  mask: types.Params | None = None,
  num_microbatches: int = 1,
) -> Plan:
  """Of one training step.

  Args:
    batch: abstract, whole.
    mesh: real or abstract.
    mask: True at frozen parameters.
    num_microbatches: as in `make_train_step`.
  """
  params, _ = planned.loss_of(planned.model)
  state = train_step.abstract_shapes(params, optimizer, mask)
  trained = params
  if mask is not None:
    trained = optimizers.split(params, mask)[0]
  data, model = (mesh.shape[axis] for axis in sharding.AXES)
  rows = jax.tree.leaves(batch)[0].shape[0] // (data * num_microbatches)
  leaves, structure = jax.tree.flatten(batch)
  columns = tuple((x.shape[1:], jnp.dtype(x.dtype)) for x in leaves)
  per_row, copies = _activations(planned, model, structure, columns)
  gradients = placed_bytes(trained, mesh)
  if num_microbatches > 1:
    gradients *= 2  # the sum, and that of one part
  found = {
    "parameters": placed_bytes(state.params, mesh),
    "optimizer": placed_bytes(state.opt_state, mesh),
    "gradients": gradients,
    "activations": per_row * rows + -(-copies // data),
  }
  if isinstance(planned.model, language_model.EncoderDecoder):
    later = 0 if data > 1 else placed_bytes(trained, mesh)
    head = _head_bytes(planned.model.config, data, model)
    found["vocabulary"] = max(0, head - later)
  return Plan(found)


def _head_bytes(config, data: int, model: int) -> int:
  """Two chunks of logits; on a mesh the gathered matrix and its gradient.

  On one row of devices the matrix's gradient is the first that there is: where
  all gradients take more than this, nothing is added to them.
  """
  rows = -(-config.vocab_size // model)
  chunks = 2 * losses.CHUNK_SIZE * rows * 4
  size = jnp.dtype(config.dtype).itemsize
  gradient = 4 * config.emb_dim * rows
  gathered = size * config.emb_dim * rows
  return chunks + gradient + (gathered if data > 1 else 0)


LOGITS_COPIES = 2  # logits and their exponentials


def sampling_plan(
  model: language_model.EncoderDecoder,
  mesh: sharding.AnyMesh,
  *,
  grid: grids.Grid,
  input_length: int,
  max_tokens: int,
) -> Plan:
  """Of drawing responses: weights, keys and values, and the larger of what a
  step and what reading the next prompts takes.

  The number of samples per prompt costs next to nothing: those that wait for a
  lane are numbers.
  """
  data, parts = (mesh.shape[axis] for axis in sharding.AXES)
  slots = -(-grid.slots // data)
  local = model.part_of(parts)
  ring = grids.ring_lengths(max_tokens)[-1]

  def start(params, inputs):
    return local.start(params, local.encode(params, inputs), grid.lanes, ring)

  def kept(prompts):
    inputs = jax.ShapeDtypeStruct((prompts, input_length), jnp.int32)
    cache = jax.eval_shape(start, local.abstract(), inputs)
    return sum(map(_bytes_of, jax.tree.leaves(cache)))

  logits = slots * grid.lanes * local.config.vocab_size * 4
  size = jnp.dtype(local.config.dtype).itemsize
  width = local.config.emb_dim + lanes_lib.PENALTY_COLUMNS
  reading = -(-grid.num_read // data)
  layer = _layer_bytes(local, reading, input_length, input_length)
  read = model.without_output_matrix(model.abstract())
  return Plan(
    {
      "parameters": placed_bytes(read, mesh, sharding.split_over_model),
      "output matrix": local.config.vocab_size * width * size,
      "keys, values": kept(slots),
      "a step": max(LOGITS_COPIES * logits, layer + kept(reading)),
    }
  )


def _layer_bytes(model, rows: int, length: int, keys: int) -> int:
  """Of one layer that attends to `keys` positions, without a backward pass."""
  config = model.config
  size = jnp.dtype(config.dtype).itemsize
  joined = config.num_heads * config.head_dim
  widths = 4 * joined + 3 * config.emb_dim + 3 * config.mlp_dim
  attention = 2 * config.num_heads * length * keys * 4
  return rows * (length * widths * size + attention)


def scoring_plan(
  scorer: Any,
  mesh: sharding.AnyMesh,
  *,
  batch_size: int,
  num_responses: int,
) -> Plan:
  """Of a reward model that scores `num_responses` to each prompt."""
  data, parts = (mesh.shape[axis] for axis in sharding.AXES)
  prompts = -(-batch_size // data)
  local = scorer.model.part_of(parts)
  read = scorer.rows_read(num_responses)
  longest = max(length for _, length in read)
  sizes = [
    _layer_bytes(local, prompts * rows, length, longest)
    for rows, length in read
  ]
  return Plan(
    {
      "parameters": placed_bytes(
        scorer.abstract(), mesh, sharding.split_over_model
      ),
      "activations": sum(sizes),
    }
  )


def available_bytes(mesh: jax.sharding.Mesh) -> int | None:
  """Memory of one of the mesh's devices that a program may take.

  What the runtime says; on CPU what the machine has free, shared by its
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
  plan_of: Callable[[int], Plan], batch_size: int, available: int | None
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
