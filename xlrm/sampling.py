"""Responses drawn token by token from a language model.

The encoder and the cross-attention keys run once per prompt. A token costs two
random words, which belong to (prompt key, sample, step): a sample depends
neither on the other rows of its batch nor on how many are drawn.
"""

import dataclasses
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
  """

  max_tokens: int = 64
  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0
  greedy: bool = False

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
class _Decoding:
  """State of the loop over tokens."""

  step: types.Array  # int32 scalar
  cache: Any
  last: types.Array  # [B N] what the decoder reads next
  done: types.Array  # [B N] bool: EOS was drawn, or a filler row
  tokens: types.Array  # [B N T]
  logprobs: types.Array  # [B N T]


def _start(model, params, inputs, num_samples, max_tokens) -> _Decoding:
  memory = model.encode(params, inputs)
  shape = (inputs.shape[0], num_samples)
  filler = ~jnp.any(inputs > types.PAD_ID, axis=1)
  return _Decoding(
    step=jnp.zeros((), jnp.int32),
    cache=model.start(params, memory, num_samples, max_tokens),
    last=jnp.zeros(shape, jnp.int32),
    done=jnp.broadcast_to(filler[:, None], shape),
    tokens=jnp.zeros((*shape, max_tokens), jnp.int32),
    logprobs=jnp.zeros((*shape, max_tokens), jnp.float32),
  )


def _draw(sample_keys, step, logits, config) -> tuple[jax.Array, jax.Array]:
  """Tokens and log-probabilities [B N] from keys [B N], logits [B N V]."""

  def draw(key, logits):
    words = jax.random.bits(jax.random.fold_in(key, step), (2,), jnp.uint32)
    return token_draws.draw(
      logits,
      words,
      top_k=config.top_k,
      top_p=config.top_p,
      greedy=config.greedy,
    )

  return jax.vmap(jax.vmap(draw))(sample_keys, logits)


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
  matrix = model.output_matrix(params)
  if support is None:
    support = jnp.ones(matrix.shape[1], bool)
  each = jax.vmap(jax.random.fold_in, (None, 0))
  sample_keys = jax.vmap(each, (0, None))(keys, jnp.arange(num_samples))

  def advance(state):
    hidden, cache = model.step(params, state.cache, state.last)
    logits = jnp.dot(
      hidden, matrix.astype(hidden.dtype), preferred_element_type=jnp.float32
    )
    logits = jnp.where(
      support[None, None], logits / config.temperature, losses.EXCLUDED
    )
    token, logprob = _draw(sample_keys, state.step, logits, config)
    token = jnp.where(state.done, types.PAD_ID, token)
    logprob = jnp.where(state.done, 0.0, logprob)
    return _Decoding(
      step=state.step + 1,
      cache=cache,
      last=token,
      done=state.done | (token == types.EOS_ID),
      tokens=state.tokens.at[:, :, state.step].set(token),
      logprobs=state.logprobs.at[:, :, state.step].set(logprob),
    )

  state = jax.lax.while_loop(
    lambda state: (state.step < config.max_tokens) & ~jnp.all(state.done),
    advance,
    _start(model, params, inputs, num_samples, config.max_tokens),
  )
  finished = jnp.any(state.tokens == types.EOS_ID, axis=-1)
  return types.Samples(state.tokens, state.logprobs, finished)


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
