"""The state of decoding: rows that a token is drawn for at every step.

A token costs two random words, which belong to (prompt key, sample, age): a
sample depends neither on the other rows nor on how many samples are drawn. A
row whose response has ended begins the next one of its prompt.
"""

import functools
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Key

from xlrm import types
from xlrm.losses import vocabulary_head
from xlrm.models import language_model
from xlrm.sampling import sampling_config
from xlrm.sampling import token_sampling


@struct.dataclass
class OutputLayer:
  """The output matrix as decoding reads it, see `output_layer`."""

  matrix: types.Array  # [V D + columns], compute dtype or int8
  scales: types.Array | None = None  # [V] float32, of an int8 matrix
  penalty: types.Array | None = None  # [V] float32, if not in the columns


@struct.dataclass
class Weights:
  """What decoding reads."""

  params: types.Params
  output: OutputLayer


# Columns that hold what is added to a token's logit: one does, 16 keep the
# width a multiple of what a vector unit takes.
PENALTY_COLUMNS = 16


def output_layer(
  model: language_model.LanguageModel,
  params: types.Params,
  config: sampling_config.SamplingConfig,
  support: Bool[types.Array, " V"] | None = None,
) -> OutputLayer:
  """The output matrix, laid out for products with the states of a few rows.

  One row per token: on CPU a product of [V D] with 32 states takes three
  quarters of the time of these states with [D V]. What a token outside the
  support gets, EXCLUDED, is a further column there, which the states meet with
  a one: added afterwards it would write all logits out once more.

  Args:
    model: of the parameters.
    params: of the model.
    config: says whether the matrix is rounded to int8.
    support: tokens that can be drawn, see `support_mask`; None is all.
  """
  matrix = model.output_matrix(params).astype(model.config.dtype).T
  if support is None:
    support = jnp.ones(matrix.shape[0], bool)
  missing = -len(matrix) % token_sampling.BLOCK
  support = jnp.pad(jnp.asarray(support), (0, missing))
  penalty = jnp.where(support, 0.0, vocabulary_head.EXCLUDED).astype(
    jnp.float32
  )
  if config.int8_output_matrix:
    matrix = jnp.pad(matrix.astype(jnp.float32), ((0, missing), (0, 0)))
    scales = jnp.max(jnp.abs(matrix), axis=1) / 127
    scales = jnp.where(scales > 0, scales, 1.0).astype(jnp.float32)
    levels = jnp.round(matrix / scales[:, None]).astype(jnp.int8)
    return OutputLayer(levels, scales, penalty)
  if jax.default_backend() != "cpu":
    matrix = jnp.pad(matrix, ((0, missing), (0, 0)))
    return OutputLayer(matrix, None, penalty)
  # One pad and one column, which need no second copy of the matrix.
  width = matrix.shape[1]
  matrix = jnp.pad(matrix, ((0, missing), (0, PENALTY_COLUMNS)))
  return OutputLayer(matrix.at[:, width].set(penalty.astype(matrix.dtype)))


@struct.dataclass
class DecodeState:
  """P prompts in slots, of each N responses under way, one per row.

  A row whose response has ended begins the next one that its prompt wants.
  An idle row's `sample` is at least `wanted`.
  """

  cache: Any
  prompt_keys: types.Array  # [P] keys
  wanted: types.Array  # [P] int32, responses to the slot's prompt; 0: no prompt
  started: types.Array  # [P] int32, how many of them have begun
  sample: types.Array  # [P N] int32, which of them a row draws
  age: types.Array  # [P N] int32, tokens that it has
  last: types.Array  # [P N] int32, what the decoder reads next
  tokens: types.Array  # [P W T] int32
  logprobs: types.Array  # [P W T] float32
  steps: types.Array  # int32 scalar, taken so far

  @property
  def busy(self) -> Bool[types.Array, "P N"]:
    """True at rows that draw a response."""
    return self.sample < self.wanted[:, None]


def begin(
  cache: Any,
  prompt_keys: Key[types.Array, " P"],
  wanted: Int[types.Array, " P"],
  *,
  rows_per_slot: int,
  num_samples: int,
  max_tokens: int,
) -> DecodeState:
  """The state of decoding for the prompts of a fresh cache.

  Args:
    cache: of the model, with the same P and N.
    prompt_keys: one per prompt.
    wanted: responses to each prompt; 0 where there is none.
    rows_per_slot: N.
    num_samples: W, the most that a prompt can want.
    max_tokens: T, the longest response.
  """
  slots = len(wanted)
  first = jnp.broadcast_to(jnp.arange(rows_per_slot), (slots, rows_per_slot))
  zeros = jnp.zeros((slots, rows_per_slot), jnp.int32)
  responses = (slots, num_samples, max_tokens)
  return DecodeState(
    cache=cache,
    prompt_keys=prompt_keys,
    wanted=wanted,
    started=jnp.minimum(wanted, rows_per_slot),
    sample=first,
    age=zeros,
    last=zeros,
    tokens=jnp.zeros(responses, jnp.int32),
    logprobs=jnp.zeros(responses, jnp.float32),
    steps=jnp.zeros((), jnp.int32),
  )


def _words(state: DecodeState) -> jax.Array:
  """[2 P*N]: they belong to (prompt key, sample, step)."""

  def words(key, sample, age):
    key = jax.random.fold_in(jax.random.fold_in(key, sample), age)
    return jax.random.bits(key, (2,), jnp.uint32)

  each = jax.vmap(jax.vmap(words, (None, 0, 0)))
  return each(state.prompt_keys, state.sample, state.age).reshape(-1, 2).T


def _logits(
  output: OutputLayer, hidden: Float[types.Array, "R D"], temperature: float
) -> Float[types.Array, "V R"]:
  """Divided by the temperature; EXCLUDED outside the support."""
  if hidden.dtype == jnp.float32:
    hidden = hidden / temperature  # a few rows instead of the vocabulary
    temperature = 1.0
  if output.penalty is None:
    columns = jnp.zeros((len(hidden), PENALTY_COLUMNS), hidden.dtype)
    hidden = jnp.concatenate([hidden, columns.at[:, 0].set(1)], axis=1)
  logits = jnp.dot(
    output.matrix.astype(hidden.dtype),
    hidden.T,
    preferred_element_type=jnp.float32,
  )
  if output.scales is not None:
    logits = logits * output.scales[:, None]
  if temperature != 1:
    logits = logits / temperature
  if output.penalty is not None:
    logits = logits + output.penalty[:, None]
  return logits


@jax.vmap
def _put(of_prompt, sample, age, value):
  """[W T] with value [N] at (sample, age); outside it is dropped."""
  return of_prompt.at[sample, age].set(value, mode="drop")


def _step(model, config, weights, state: DecodeState) -> DecodeState:
  """One token for every row."""
  hidden, cache = model.step(weights.params, state.cache, state.last, state.age)
  shape, busy = state.sample.shape, state.busy
  logits = _logits(
    weights.output, hidden.reshape(-1, hidden.shape[-1]), config.temperature
  )
  token, logprob = token_sampling.draw(
    logits,
    _words(state),
    top_k=config.top_k,
    top_p=config.top_p,
    greedy=config.greedy,
  )
  token, logprob = token.reshape(shape), logprob.reshape(shape)
  # What an idle row draws goes nowhere.
  sample = jnp.where(busy, state.sample, state.tokens.shape[1])
  ended = busy & (
    (token == types.EOS_ID) | (state.age + 1 == config.max_tokens)
  )
  following = state.started[:, None] + jnp.cumsum(ended, axis=1) - 1
  return state.replace(
    cache=cache,
    started=state.started + jnp.sum(ended, axis=1),
    sample=jnp.where(ended, following, state.sample),
    age=jnp.where(busy & ~ended, state.age + 1, 0),
    last=jnp.where(ended, 0, token),
    tokens=_put(state.tokens, sample, state.age, token),
    logprobs=_put(state.logprobs, sample, state.age, logprob),
    steps=state.steps + 1,
  )


def advance(
  model: language_model.LanguageModel,
  config: sampling_config.SamplingConfig,
  weights: Weights,
  state: DecodeState,
  window: int,
  slots_limit: Int[types.Array, ""] | int = 0,
  rows_limit: Int[types.Array, ""] | int = 0,
) -> DecodeState:
  """The state after drawing until few enough slots or rows are busy.

  It also ends where the window is too short for the next token.

  Args:
    model: of the weights.
    config: how a token is drawn.
    weights: of the model.
    state: where it stands.
    window: longest past that the KV cache holds.
    slots_limit: stop when at most so many slots are busy,
    rows_limit: or when no slot has more busy rows.
  """

  def go_on(state):
    busy = jnp.sum(state.busy, axis=1)
    return (
      (jnp.sum(busy > 0) > slots_limit)
      & (jnp.max(busy) > rows_limit)
      & (jnp.max(state.age) < window)
    )

  step = functools.partial(_step, model, config, weights)
  return jax.lax.while_loop(go_on, step, state)
