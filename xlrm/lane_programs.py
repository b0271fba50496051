"""What a `sample_stream` runs on the device, compiled once per shape.

While a mesh is `sharding.active`, slots are spread over 'data' and heads over
'model'.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np

from xlrm import lanes as lanes_lib
from xlrm import sampling_config
from xlrm import sharding
from xlrm import types
from xlrm.models import language_model


def _on_mesh(lanes: lanes_lib.Lanes) -> lanes_lib.Lanes:
  """Slots over 'data', heads over 'model', while a mesh is active."""
  axes = sharding.active_axes()
  if not axes:
    return lanes

  def place(x, heads=None):
    spec = [None] * x.ndim
    if x.ndim:
      spec[0] = "data"
    if heads is not None and x.shape[heads] % axes["model"] == 0:
      spec[heads] = "model"
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))

  cache = lanes.cache
  placed = jax.tree.map(place, lanes.replace(cache=None))
  return placed.replace(
    cache=cache.replace(
      cross=jax.tree.map(functools.partial(place, heads=1), cache.cross),
      past=jax.tree.map(functools.partial(place, heads=2), cache.past),
      clock=place(cache.clock),
      mask=place(cache.mask),
    )
  )


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4, 5, 6))
def empty(model, params, grid, num_samples, prompt_length, max_tokens, ring):
  """Lanes without prompts: zeros of the shapes that the model gives."""

  def start(params, inputs):
    return model.start(params, model.encode(params, inputs), grid.lanes, ring)

  inputs = jax.ShapeDtypeStruct((grid.slots, prompt_length), jnp.int32)
  cache = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(start, params, inputs)
  )
  return _on_mesh(
    lanes_lib.begin(
      cache,
      jax.vmap(jax.random.key)(jnp.zeros(grid.slots, jnp.uint32)),
      jnp.zeros(grid.slots, jnp.int32),
      num_lanes=grid.lanes,
      num_samples=num_samples,
      max_tokens=max_tokens,
    )
  )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def insert(model, params, lanes, inputs, hashes, seed, slots, wanted):
  """Reads F prompts and puts them into slots; a slot outside is none."""
  num_lanes = lanes.sample.shape[1]
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), hashes)
  fresh = lanes_lib.begin(
    model.start(params, model.encode(params, inputs), num_lanes, 1),
    keys,
    wanted,
    num_lanes=num_lanes,
    num_samples=lanes.tokens.shape[1],
    max_tokens=lanes.tokens.shape[2],
  )
  put = lambda old, new: old.at[slots].set(new, mode="drop")
  rest = jax.tree.map(
    put,
    lanes.replace(cache=None, steps=None),
    fresh.replace(cache=None, steps=None),
  )
  cache = lanes.cache.insert(fresh.cache, slots)
  return _on_mesh(rest.replace(cache=cache, steps=lanes.steps))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def advance(model, config, weights, lanes, slots_limit, lanes_limit):
  """New lanes; busy lanes per slot, the oldest response and the steps taken."""
  before = lanes.steps
  lanes = _on_mesh(
    lanes_lib.advance(
      model,
      config,
      weights,
      lanes,
      lanes.cache.length,
      slots_limit,
      lanes_limit,
    )
  )
  busy = jnp.sum(lanes.busy, axis=1)
  return lanes, (busy, jnp.max(lanes.age), lanes.steps - before)


@functools.partial(jax.jit, static_argnums=1)
def grow(lanes, ring):
  return _on_mesh(lanes.replace(cache=lanes.cache.grown(ring)))


@functools.partial(jax.jit, static_argnums=1)
def shorten(lanes, prompt_length):
  return _on_mesh(lanes.replace(cache=lanes.cache.shortened(prompt_length)))


@functools.partial(jax.jit, static_argnums=2)
def take(lanes, slots, num_lanes):
  """These slots, and of each num_lanes lanes, the busy ones first."""
  order = jnp.argsort(~lanes.busy[slots], axis=1, stable=True)[:, :num_lanes]
  rows = slots[:, None]
  whole = lambda x: x[slots]
  return _on_mesh(
    lanes_lib.Lanes(
      cache=lanes.cache.take(slots, order),
      prompt_keys=whole(lanes.prompt_keys),
      wanted=whole(lanes.wanted),
      started=whole(lanes.started),
      sample=lanes.sample[rows, order],
      age=lanes.age[rows, order],
      last=lanes.last[rows, order],
      tokens=whole(lanes.tokens),
      logprobs=whole(lanes.logprobs),
      steps=lanes.steps,
    )
  )


@jax.jit
def responses(lanes, slots):
  return lanes.tokens[slots], lanes.logprobs[slots]


_output_layer = jax.jit(lanes_lib.output_layer, static_argnums=(0, 2))


def prepare(
  model: language_model.LanguageModel,
  params: types.Params,
  config: sampling_config.SamplingConfig,
  support: np.ndarray,
) -> lanes_lib.Weights:
  """What a `Stream` reads; the output matrix is laid out once and for all.

  Who lets go of `params` afterwards holds the matrix only once.

  Args:
    support: [V] bool, see `sampling_config.support_mask`.
  """
  output = _output_layer(model, params, config, support)
  return lanes_lib.Weights(model.without_output_matrix(params), output)
