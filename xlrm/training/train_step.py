"""One update of the parameters, as a pure function of (state, batch, key).

The gradient is that of sum(total) / sum(weight) over all microbatches and
devices, never a mean of means, so it depends on neither split (G7). An update
whose loss or gradient is not finite is skipped and counted (G22).
"""

from collections.abc import Callable
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import optax

from xlrm import types
from xlrm.distributed import lazy_params
from xlrm.distributed import sharding
from xlrm.losses import token_losses
from xlrm.training import frozen_params

# loss_fn(params, batch, key): sums; the key is None in validation.
LossFunction = Callable[
  [types.Params, Any, jax.Array | None], token_losses.Loss
]
Metrics = dict[str, tuple[jax.Array, jax.Array]]  # sum, weight
TINY = 1e-9


@struct.dataclass
class TrainState:
  """Everything on devices that a run carries from step to step."""

  step: types.Array  # int32 scalar, steps done
  params: types.Params
  opt_state: Any  # of the parameters that are not frozen
  nonfinite_streak: types.Array  # int32 scalar, updates skipped in a row
  nonfinite_total: types.Array  # int32 scalar, updates skipped


def _split(params: types.Params, mask: types.Params | None):
  if mask is None:
    mask = jax.tree.map(lambda _: False, params)
  return frozen_params.split(params, mask)


def _state(params, optimizer, mask) -> TrainState:
  zero = [jnp.zeros((), jnp.int32) for _ in range(3)]
  trained, _ = _split(params, mask)
  return TrainState(zero[0], params, optimizer.init(trained), *zero[1:])


def abstract_shapes(
  params: types.Params,
  optimizer: optax.GradientTransformation,
  mask: types.Params | None = None,
) -> TrainState:
  """The shapes and dtypes of a state; `params` may be abstract."""
  return jax.eval_shape(lambda p: _state(p, optimizer, mask), params)


def abstract_state(
  params: types.Params,
  optimizer: optax.GradientTransformation,
  mesh: jax.sharding.Mesh,
  mask: types.Params | None = None,
) -> TrainState:
  """The shapes, dtypes and shardings of a state; `params` may be abstract."""
  return sharding.placed(abstract_shapes(params, optimizer, mask), mesh)


def initial_state(
  params: types.Params | lazy_params.LazyParams,
  optimizer: optax.GradientTransformation,
  mesh: jax.sharding.Mesh,
  mask: types.Params | None = None,
) -> TrainState:
  """The state of step 0, created in its place on the mesh.

  Args:
    params: to start from; lazy ones become the state's own, so that nobody
      holds them twice; a tree is copied.
    optimizer: of the parameters that are not frozen.
    mesh: where the state is to live.
    mask: True at frozen parameters, which get no optimizer state.
  """
  if not isinstance(params, lazy_params.LazyParams):
    params = lazy_params.LazyParams.given(params)
  abstract = abstract_state(params.abstract, optimizer, mesh, mask)
  places = jax.tree.map(lambda x: x.sharding, abstract)
  make = jax.jit(
    lambda p: _state(p, optimizer, mask),
    in_shardings=(places.params,),
    out_shardings=places,
    donate_argnums=0,
  )
  return make(sharding.put(params.on(mesh), places.params))


def _split_rows(batch: Any, parts: int) -> Any:
  """[B ..] -> [parts B/parts ..], each device keeping rows of its own."""
  return jax.tree.map(
    lambda x: jnp.swapaxes(
      x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1
    ),
    batch,
  )


def _accumulate(part: Callable, batch: Any, key: jax.Array, parts: int) -> Any:
  """The sum of part(batch, key) over `parts` splits of the rows."""
  if parts == 1:
    return part(batch, key)
  split = _split_rows(batch, parts)
  keys = jax.random.split(key, parts)
  shapes = jax.eval_shape(part, jax.tree.map(lambda x: x[0], split), keys[0])
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

  def body(carry, xs):
    return jax.tree.map(jnp.add, carry, part(*xs)), None

  return jax.lax.scan(body, zeros, (split, keys))[0]


def loss_metrics(loss: token_losses.Loss) -> Metrics:
  """Every metric of a loss, and the loss itself, as (sum, weight)."""
  pairs = {**loss.metrics, "loss": (loss.total, loss.weight)}
  return {
    name: tuple(jnp.asarray(x, jnp.float32) for x in pair)
    for name, pair in pairs.items()
  }


def _gradient(loss_fn, trained, frozen, batch, key) -> tuple[Any, Metrics]:
  """The gradient of the SUM of losses by the trained parameters; metrics."""

  def total(trained):
    loss = loss_fn(frozen_params.merge(trained, frozen), batch, key)
    return jnp.asarray(loss.total, jnp.float32), loss_metrics(loss)

  return jax.grad(total, has_aux=True)(trained)


def make_train_step(
  loss_fn: LossFunction,
  optimizer: optax.GradientTransformation,
  *,
  num_microbatches: int = 1,
  mask: types.Params | None = None,
) -> Callable[[TrainState, Any, jax.Array], tuple[TrainState, Metrics]]:
  """One update as a function; jit it with `jit_train_step`.

  Args:
    loss_fn: sums of losses and weights.
    optimizer: of the parameters that are not frozen.
    num_microbatches: parts of a batch, computed one after the other.
    mask: True at frozen parameters; their gradient is not computed.

  Returns:
    step(state, batch, key) -> (state, metrics): the step folds its number into
    the key; a skipped update leaves the parameters, the optimizer and all
    metrics but 'skipped' as they were.
  """

  def step(state: TrainState, batch: Any, key: jax.Array):
    trained, frozen = _split(state.params, mask)

    def part(batch, key):
      return _gradient(loss_fn, trained, frozen, batch, key)

    key = jax.random.fold_in(key, state.step)
    gradient, metrics = _accumulate(part, batch, key, num_microbatches)
    scale = 1.0 / jnp.maximum(metrics["loss"][1], TINY)
    norm = optax.tree.norm(gradient) * scale
    # Waits for the whole backward pass: an update that began earlier would need
    # its memory while activations are still there.
    scale = jnp.where(jnp.isfinite(norm), scale, 0.0)
    gradient = jax.tree.map(lambda g: g * scale.astype(g.dtype), gradient)
    good = jnp.isfinite(metrics["loss"][0]) & jnp.isfinite(norm)
    updates, opt_state = optimizer.update(gradient, state.opt_state, trained)
    updated = optax.apply_updates(trained, updates)

    def choose(new, old):
      return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)

    bad = (~good).astype(jnp.int32)
    one = jnp.ones((), jnp.float32)
    metrics["gradient_norm"] = (norm, one)
    metrics = choose(metrics, jax.tree.map(jnp.zeros_like, metrics))
    metrics["skipped"] = (bad.astype(jnp.float32), one)
    state = TrainState(
      step=state.step + 1,
      params=frozen_params.merge(choose(updated, trained), frozen),
      opt_state=choose(opt_state, state.opt_state),
      nonfinite_streak=(state.nonfinite_streak + 1) * bad,
      nonfinite_total=state.nonfinite_total + bad,
    )
    return state, metrics

  return step


def jit_train_step(step: Callable, abstract: TrainState) -> Callable:
  """The step, compiled: the state is donated, and left where it was."""
  places = jax.tree.map(lambda x: x.sharding, abstract)
  return jax.jit(step, donate_argnums=0, out_shardings=(places, None))
