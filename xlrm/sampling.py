"""Responses drawn token by token from a language model.

The encoder and the cross-attention keys run once per prompt. A token costs two
random words, which belong to (prompt key, sample, step): a sample depends
neither on the other rows of its batch nor on how many are drawn. Responses run
in lanes; a lane whose response has ended begins the next one of its prompt.
"""

import dataclasses
import functools
import math
import re
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Key
import numpy as np

from xlrm import losses
from xlrm import token_draws
from xlrm import tokenizer as tokenizer_lib
from xlrm import types
from xlrm.models import language_model

SENTINEL = re.compile(r"\s*<extra_id_\d+>\s*")


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
  """How a token is drawn from softmax(logits / temperature).

  Top-k and top-p (in this order, top-p of what top-k left) restrict the draw
  and nothing else: log-probabilities are always those of the whole
  temperature distribution on the support. Ties with the last token that they
  keep are kept too. PPO refuses both (`restricted`).

  Attributes:
    max_tokens: of a response, EOS included.
    temperature: > 0.
    top_k: the k likeliest tokens; 0 is off.
    top_p: the fewest likeliest tokens with at least this mass; 1 is off.
    greedy: take the likeliest token, the lowest id of equal ones.
    int8_output_matrix: keep the output matrix in int8 with one scale per
      token: a quarter of its memory; log-probabilities are those of the rounded
      matrix and differ from the model's (docs/sampling.md has by how much).
  """

  max_tokens: int = 64
  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0
  greedy: bool = False
  int8_output_matrix: bool = False

  def __post_init__(self):
    if self.max_tokens < 1:
      raise ValueError(f"max_tokens {self.max_tokens} is below 1")
    if not 0 < self.temperature < math.inf:
      raise ValueError(
        f"temperature {self.temperature} is not a positive number; for the "
        "likeliest token at every step use greedy=True"
      )
    if self.top_k < 0:
      raise ValueError(f"top_k {self.top_k} is negative; 0 is off")
    if not 0 < self.top_p <= 1:
      raise ValueError(f"top_p {self.top_p} is not in (0, 1]; 1 is off")
    if self.greedy and self.restricted:
      raise ValueError(
        f"greedy decoding draws nothing that top_k {self.top_k} or top_p "
        f"{self.top_p} could restrict"
      )

  @property
  def restricted(self) -> bool:
    """Whether top-k or top-p is on."""
    return self.top_k > 0 or self.top_p < 1


def support_mask(
  vocab_size: int, tokenizer: tokenizer_lib.Tokenizer
) -> np.ndarray:
  """[V] bool: the tokens that a response may hold (G4).

  Left out: padding, sentinels (as extra ids or as pieces `<extra_id_0>`), the
  rows of the output matrix behind the tokenizer's pieces, and `unk`, which
  stands for no text.

  Args:
    vocab_size: rows of the output matrix.
    tokenizer: of the model's vocabulary.

  Raises:
    ValueError: the tokenizer has more pieces than the model has rows.
  """
  num_pieces = tokenizer.vocab_size
  if num_pieces > vocab_size:
    raise ValueError(
      f"the tokenizer has {num_pieces} pieces, the model only {vocab_size} "
      "rows: this is the vocabulary of another model"
    )
  mask = np.arange(vocab_size) < num_pieces
  mask[[types.PAD_ID, tokenizer.unk_id]] = False
  ids = [i for i in range(num_pieces) if mask[i] and i != types.EOS_ID]
  if "<extra_id_" in tokenizer.decode(ids):
    for i in ids:
      if SENTINEL.fullmatch(tokenizer.decode([i])):
        mask[i] = False
  return mask


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
  config: SamplingConfig,
  support: Bool[types.Array, " V"] | None = None,
) -> OutputLayer:
  """Lays out the output matrix for products with the states of a few lanes.

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
  missing = -len(matrix) % token_draws.BLOCK
  support = jnp.pad(jnp.asarray(support), (0, missing))
  penalty = jnp.where(support, 0.0, losses.EXCLUDED).astype(jnp.float32)
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
class Lanes:
  """P prompts in slots, of each N responses under way, one per lane.

  A lane whose response has ended begins the next one that its prompt wants.
  An idle lane's `sample` is at least `wanted`.
  """

  cache: Any
  prompt_keys: types.Array  # [P] keys
  wanted: types.Array  # [P] int32, responses to the slot's prompt; 0: no prompt
  started: types.Array  # [P] int32, how many of them have begun
  sample: types.Array  # [P N] int32, which of them a lane draws
  age: types.Array  # [P N] int32, tokens that it has
  last: types.Array  # [P N] int32, what the decoder reads next
  tokens: types.Array  # [P W T] int32
  logprobs: types.Array  # [P W T] float32
  steps: types.Array  # int32 scalar, taken so far

  @property
  def busy(self) -> Bool[types.Array, "P N"]:
    return self.sample < self.wanted[:, None]


def begin(
  cache: Any,
  prompt_keys: Key[types.Array, " P"],
  wanted: Int[types.Array, " P"],
  *,
  num_lanes: int,
  num_samples: int,
  max_tokens: int,
) -> Lanes:
  """Lanes for the prompts of a fresh cache.

  Args:
    cache: of the model, with the same P and N.
    prompt_keys: one per prompt.
    wanted: responses to each prompt; 0 where there is none.
    num_lanes: N.
    num_samples: W, the most that a prompt can want.
    max_tokens: T, the longest response.
  """
  slots = len(wanted)
  first = jnp.broadcast_to(jnp.arange(num_lanes), (slots, num_lanes))
  zeros = jnp.zeros((slots, num_lanes), jnp.int32)
  responses = (slots, num_samples, max_tokens)
  return Lanes(
    cache=cache,
    prompt_keys=prompt_keys,
    wanted=wanted,
    started=jnp.minimum(wanted, num_lanes),
    sample=first,
    age=zeros,
    last=zeros,
    tokens=jnp.zeros(responses, jnp.int32),
    logprobs=jnp.zeros(responses, jnp.float32),
    steps=jnp.zeros((), jnp.int32),
  )


def _words(lanes: Lanes) -> jax.Array:
  """[2 P*N]: they belong to (prompt key, sample, step)."""

  def words(key, sample, age):
    key = jax.random.fold_in(jax.random.fold_in(key, sample), age)
    return jax.random.bits(key, (2,), jnp.uint32)

  each = jax.vmap(jax.vmap(words, (None, 0, 0)))
  return each(lanes.prompt_keys, lanes.sample, lanes.age).reshape(-1, 2).T


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


def _step(model, config, weights, lanes: Lanes) -> Lanes:
  """One token for every lane."""
  hidden, cache = model.step(weights.params, lanes.cache, lanes.last, lanes.age)
  shape, busy = lanes.sample.shape, lanes.busy
  logits = _logits(
    weights.output, hidden.reshape(-1, hidden.shape[-1]), config.temperature
  )
  token, logprob = token_draws.draw(
    logits,
    _words(lanes),
    top_k=config.top_k,
    top_p=config.top_p,
    greedy=config.greedy,
  )
  token, logprob = token.reshape(shape), logprob.reshape(shape)
  # What an idle lane draws goes nowhere.
  sample = jnp.where(busy, lanes.sample, lanes.tokens.shape[1])
  ended = busy & (
    (token == types.EOS_ID) | (lanes.age + 1 == config.max_tokens)
  )
  following = lanes.started[:, None] + jnp.cumsum(ended, axis=1) - 1
  return lanes.replace(
    cache=cache,
    started=lanes.started + jnp.sum(ended, axis=1),
    sample=jnp.where(ended, following, lanes.sample),
    age=jnp.where(busy & ~ended, lanes.age + 1, 0),
    last=jnp.where(ended, 0, token),
    tokens=_put(lanes.tokens, sample, lanes.age, token),
    logprobs=_put(lanes.logprobs, sample, lanes.age, logprob),
    steps=lanes.steps + 1,
  )


def advance(
  model: language_model.LanguageModel,
  config: SamplingConfig,
  weights: Weights,
  lanes: Lanes,
  ring: int,
  slots_limit: Int[types.Array, ""] | int = 0,
  lanes_limit: Int[types.Array, ""] | int = 0,
) -> Lanes:
  """Draws until few enough slots or lanes are busy, or the ring is too short.

  Args:
    model: of the weights.
    config: how a token is drawn.
    weights: of the model.
    lanes: where they stand.
    ring: longest past that the lanes' cache holds.
    slots_limit: stop when at most so many slots are busy,
    lanes_limit: or when no slot has more busy lanes.
  """

  def go_on(lanes):
    busy = jnp.sum(lanes.busy, axis=1)
    return (
      (jnp.sum(busy > 0) > slots_limit)
      & (jnp.max(busy) > lanes_limit)
      & (jnp.max(lanes.age) < ring)
    )

  step = functools.partial(_step, model, config, weights)
  return jax.lax.while_loop(go_on, step, lanes)


def samples(
  tokens: Int[types.Array, "B N T"], logprobs: Float[types.Array, "B N T"]
) -> types.Samples:
  """What was drawn; finished are those that have an EOS."""
  finished = jnp.any(tokens == types.EOS_ID, axis=-1)
  return types.Samples(tokens, logprobs, finished)


def sample(
  model: language_model.LanguageModel,
  params: types.Params,
  inputs: Int[types.Array, "B S"],
  keys: Key[types.Array, " B"],
  config: SamplingConfig,
  num_samples: int,
  support: Bool[types.Array, " V"] | None,
) -> types.Samples:
  """Draws num_samples responses per prompt; ends when all have ended.

  The pure function that `sample_stream` is the schedule of: every response
  has a lane of its own, and nothing is refilled.

  A token is drawn from softmax(logits / temperature) on the support, under
  top-k and top-p. `logprobs` are those of the distribution without top-k and
  top-p, as `token_logprobs` computes them; that of EOS is kept. What follows
  EOS is 0. A filler row (inputs all padding) gets zeros and costs no step.

  Args:
    model: static under jit, as are `config` and `num_samples`.
    params: of the model.
    inputs: prompts ending in EOS, right-padded.
    keys: one per prompt; sample j of a prompt is the same for every
      num_samples > j and in every batch (up to rounding in the model).
    config: how a token is drawn.
    num_samples: N.
    support: tokens that can be drawn, see `support_mask`; None is all.
  """
  inputs = jnp.asarray(inputs)
  weights = Weights(params, output_layer(model, params, config, support))
  memory = model.encode(params, inputs)
  lanes = begin(
    model.start(params, memory, num_samples, config.max_tokens),
    keys,
    jnp.where(jnp.any(inputs > types.PAD_ID, axis=1), num_samples, 0),
    num_lanes=num_samples,
    num_samples=num_samples,
    max_tokens=config.max_tokens,
  )
  lanes = advance(model, config, weights, lanes, config.max_tokens)
  return samples(lanes.tokens, lanes.logprobs)


def token_logprobs(
  model: language_model.LanguageModel,
  params: types.Params,
  inputs: Int[types.Array, "B S"],
  tokens: Int[types.Array, "B N T"],
  *,
  temperature: float = 1.0,
  support: Bool[types.Array, " V"] | None = None,
) -> Float[types.Array, "B N T"]:
  """Teacher-forced log-probabilities of given responses, 0 at padding."""
  hidden = model.hidden(params, model.encode(params, inputs), tokens)
  return losses.token_statistics(
    hidden,
    model.output_matrix(params),
    tokens,
    mask=tokens != types.PAD_ID,
    support=support,
    temperature=temperature,
  ).logprobs
