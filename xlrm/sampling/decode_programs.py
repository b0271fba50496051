"""What a `scheduler` runs on the device, compiled once per shape.

While a mesh is active (`meshes.active`), slots are spread over 'data' and heads
over 'model'.
"""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Bool, Float, Int, UInt32
import numpy as np

from xlrm import types
from xlrm.distributed import meshes
from xlrm.models import language_model
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_state
from xlrm.sampling import sampling_config


def _on_mesh(state: decode_state.DecodeState) -> decode_state.DecodeState:
  """Slots over 'data', heads over 'model', while a mesh is active."""
  axes = meshes.active_axes()
  if not axes:
    return state

  def place(x, heads=None):
    spec = [None] * x.ndim
    if x.ndim:
      spec[0] = "data"
    if heads is not None and x.shape[heads] % axes["model"] == 0:
      spec[heads] = "model"
    return jax.lax.with_sharding_constraint(x, PartitionSpec(*spec))

  cache = state.cache
  placed = jax.tree.map(place, state.replace(cache=None))
  return placed.replace(
    cache=cache.replace(
      cross=jax.tree.map(functools.partial(place, heads=1), cache.cross),
      past=jax.tree.map(functools.partial(place, heads=2), cache.past),
      clock=place(cache.clock),
      mask=place(cache.mask),
    )
  )


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4, 5, 6))
def empty(
  model: language_model.LanguageModel,
  params: types.Params,
  shape: batch_shapes.BatchShape,
  num_samples: int,
  prompt_length: int,
  max_tokens: int,
  window: int,
) -> decode_state.DecodeState:
  """The state without prompts: zeros of the shapes that the model gives.

  Args:
    model: of the parameters.
    params: of the model.
    shape: P slots with rows for N responses each.
    num_samples: the most that a prompt can want.
    prompt_length: S, of the longest prompt.
    max_tokens: T, the longest response.
    window: tokens of a response that the KV cache holds.
  """

  def start(params, inputs):
    return model.start(
      params, model.encode(params, inputs), shape.rows_per_slot, window
    )

  inputs = jax.ShapeDtypeStruct((shape.slots, prompt_length), jnp.int32)
  cache = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(start, params, inputs)
  )
  return _on_mesh(
    decode_state.begin(
      cache,
      jax.vmap(jax.random.key)(jnp.zeros(shape.slots, jnp.uint32)),
      jnp.zeros(shape.slots, jnp.int32),
      rows_per_slot=shape.rows_per_slot,
      num_samples=num_samples,
      max_tokens=max_tokens,
    )
  )


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def prefill(
  model: language_model.LanguageModel,
  params: types.Params,
  state: decode_state.DecodeState,
  inputs: Int[types.Array, "F S"],
  hashes: UInt32[types.Array, " F"],
  seed: UInt32[types.Array, ""],
  slots: Int[types.Array, " F"],
  wanted: Int[types.Array, " F"],
) -> decode_state.DecodeState:
  """The state with F prompts read and put into slots.

  Args:
    model: of the parameters.
    params: of the model.
    state: is donated.
    inputs: prompts ending in EOS, right-padded.
    hashes: of the prompts; with the seed the key of each.
    seed: of the draws.
    slots: where the prompts go; a slot outside the state is none.
    wanted: responses to each prompt.
  """
  rows_per_slot = state.sample.shape[1]
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), hashes)
  fresh = decode_state.begin(
    model.start(params, model.encode(params, inputs), rows_per_slot, 1),
    keys,
    wanted,
    rows_per_slot=rows_per_slot,
    num_samples=state.tokens.shape[1],
    max_tokens=state.tokens.shape[2],
  )
  put = lambda old, new: old.at[slots].set(new, mode="drop")
  rest = jax.tree.map(
    put,
    state.replace(cache=None, steps=None),
    fresh.replace(cache=None, steps=None),
  )
  cache = state.cache.insert(fresh.cache, slots)
  return _on_mesh(rest.replace(cache=cache, steps=state.steps))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def advance(
  model: language_model.LanguageModel,
  config: sampling_config.SamplingConfig,
  weights: decode_state.Weights,
  state: decode_state.DecodeState,
  slots_limit: Int[types.Array, ""],
  rows_limit: Int[types.Array, ""],
) -> tuple[
  decode_state.DecodeState,
  tuple[Int[types.Array, " P"], Int[types.Array, ""], Int[types.Array, ""]],
]:
  """The state after some steps, and what the host must know of it.

  See `decode_state.advance` for when it stops; the state is donated.

  Returns:
    The state; busy rows per slot, the age of the oldest response, steps taken.
  """
  before = state.steps
  state = _on_mesh(
    decode_state.advance(
      model,
      config,
      weights,
      state,
      state.cache.length,
      slots_limit,
      rows_limit,
    )
  )
  busy = jnp.sum(state.busy, axis=1)
  return state, (busy, jnp.max(state.age), state.steps - before)


@functools.partial(jax.jit, static_argnums=1)
def grow(
  state: decode_state.DecodeState, window: int
) -> decode_state.DecodeState:
  """The state with a KV cache that holds `window` tokens of a response."""
  return _on_mesh(state.replace(cache=state.cache.grown(window)))


@functools.partial(jax.jit, static_argnums=1)
def shorten(
  state: decode_state.DecodeState, prompt_length: int
) -> decode_state.DecodeState:
  """The state with room for prompts of at most this many tokens."""
  return _on_mesh(state.replace(cache=state.cache.shortened(prompt_length)))


@functools.partial(jax.jit, static_argnums=2)
def take(
  state: decode_state.DecodeState,
  slots: Int[types.Array, " M"],
  rows_per_slot: int,
) -> decode_state.DecodeState:
  """The state of these slots alone, each with its first busy rows.

  Args:
    state: of at least as many slots and rows.
    slots: which of them.
    rows_per_slot: rows that each keeps; idle ones where few are busy.
  """
  order = jnp.argsort(~state.busy[slots], axis=1, stable=True)[
    :, :rows_per_slot
  ]
  rows = slots[:, None]
  whole = lambda x: x[slots]
  return _on_mesh(
    decode_state.DecodeState(
      cache=state.cache.take(slots, order),
      prompt_keys=whole(state.prompt_keys),
      wanted=whole(state.wanted),
      started=whole(state.started),
      sample=state.sample[rows, order],
      age=state.age[rows, order],
      last=state.last[rows, order],
      tokens=whole(state.tokens),
      logprobs=whole(state.logprobs),
      steps=state.steps,
    )
  )


@jax.jit
def responses(
  state: decode_state.DecodeState, slots: Int[types.Array, " F"]
) -> tuple[Int[types.Array, "F W T"], Float[types.Array, "F W T"]]:
  """The tokens and log-probabilities of the responses in these slots."""
  return state.tokens[slots], state.logprobs[slots]


_output_layer = jax.jit(decode_state.output_layer, static_argnums=(0, 2))


def prepare(
  model: language_model.LanguageModel,
  params: types.Params,
  config: sampling_config.SamplingConfig,
  support: Bool[np.ndarray, " V"],
) -> decode_state.Weights:
  """What a `Scheduler` reads; the output matrix is laid out once and for all.

  Who lets go of `params` afterwards holds the matrix only once.

  Args:
    model: of the parameters.
    params: of the model.
    config: how a token is drawn.
    support: tokens that can be drawn, see `sampling_config.support_mask`.
  """
  output = _output_layer(model, params, config, support)
  return decode_state.Weights(model.without_output_matrix(params), output)
