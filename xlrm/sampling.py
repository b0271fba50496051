"""Responses drawn token by token from a language model.

The encoder and the cross-attention keys run once per prompt. A draw inverts
the cumulative distribution in vocabulary order with two random words per row
and step, one that picks a block of the vocabulary and one that picks a token
of the block, instead of one random number per token of a 250,112-row
vocabulary. The random words belong to (prompt key, sample, step): a sample
depends neither on the other rows of its batch nor on how many are drawn.
"""

from collections.abc import Callable
import dataclasses
import math
import re
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Key, UInt32
import numpy as np

from xlrm import losses
from xlrm import types
from xlrm.models import language_model

BLOCK = 256  # tokens; divides mT5's 250,112 rows
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


def support_mask(vocab_size: int, tokenizer: Any) -> np.ndarray:
  """[V] bool: the tokens that a response may hold (G4).

  Left out: padding, sentinels (as extra ids or as pieces `<extra_id_0>`), the
  rows of the output matrix behind the tokenizer's pieces, and `unk`, which
  stands for no text.

  Args:
    vocab_size: rows of the output matrix.
    tokenizer: with `vocab_size` pieces, `unk_id` and `decode`.

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


def _pick(masses: jax.Array, word: jax.Array) -> jax.Array:
  """Index i with probability masses[i] / sum(masses), from one uint32 word.

  The probabilities become integers that sum to 2^31, so that cumulative sums
  are exact and an entry without mass is never picked. The largest entry takes
  the sum of the rounding errors.
  """
  counts = jnp.round(masses / jnp.sum(masses) * 2.0**31).astype(jnp.uint32)
  rest = jnp.uint32(2**31) - jnp.sum(counts)
  largest = jnp.arange(masses.size) == jnp.argmax(masses)
  counts = counts + jnp.where(largest, rest, jnp.uint32(0))
  return jnp.sum(jnp.cumsum(counts) <= word >> 1)


def _ordered(bits: jax.Array) -> jax.Array:
  """Bits of a float32 as an int32 with the same order; its own inverse."""
  return jnp.where(bits < 0, bits ^ jnp.int32(0x7FFFFFFF), bits)


def _largest(
  holds: Callable[[jax.Array], jax.Array], low: jax.Array, high: jax.Array
) -> jax.Array:
  """The largest float32 x in [low, high] for which `holds`, by bisection.

  Exact: 32 halvings of the ordered bit patterns. `holds(low)` is taken for
  granted, and what holds for x holds for every smaller number.
  """
  as_int = lambda x: _ordered(jax.lax.bitcast_convert_type(x, jnp.int32))
  as_float = lambda i: jax.lax.bitcast_convert_type(_ordered(i), jnp.float32)

  def halve(_, bounds):
    inside, outside = bounds
    # The mean without the sum, which may overflow.
    middle = (inside >> 1) + (outside >> 1) + (inside & outside & 1)
    ok = holds(as_float(middle))
    return jnp.where(ok, middle, inside), jnp.where(ok, outside, middle)

  bounds = (as_int(low), as_int(high) + 1)
  return as_float(jax.lax.fori_loop(0, 32, halve, bounds)[0])


def _restrict(
  blocks: jax.Array, peak: jax.Array, config: SamplingConfig
) -> jax.Array:
  """Logits in which only what top-k and then top-p keep can be drawn."""
  low = jnp.float32(losses.EXCLUDED)

  def keep(blocks, holds):
    threshold = _largest(lambda x: holds(blocks >= x), low, peak)
    return jnp.where(blocks >= threshold, blocks, low)

  if config.top_k:
    blocks = keep(blocks, lambda kept: jnp.sum(kept) >= config.top_k)
  if config.top_p < 1:
    unnormed = jnp.exp(blocks - peak)
    mass = lambda kept: jnp.sum(
      jnp.sum(jnp.where(kept, unnormed, 0.0), axis=-1)
    )
    needed = config.top_p * mass(jnp.ones_like(blocks, bool))
    blocks = keep(blocks, lambda kept: mass(kept) >= needed)
  return blocks


def draw(
  logits: Float[types.Array, " V"],
  words: UInt32[types.Array, "2"],
  config: SamplingConfig,
) -> tuple[Int[types.Array, ""], Float[types.Array, ""]]:
  """One token of softmax(logits) and its log-probability.

  Args:
    logits: float32, divided by the temperature; losses.EXCLUDED where a token
      cannot be drawn.
    words: uniform random bits.
    config: top-k, top-p or greedy.
  """
  padding = -logits.size % BLOCK
  logits = jnp.pad(logits, (0, padding), constant_values=losses.EXCLUDED)
  blocks = logits.reshape(-1, BLOCK)
  peak = jnp.max(logits)
  masses = jnp.sum(jnp.exp(blocks - peak), axis=-1)
  log_z = peak + jnp.log(jnp.sum(masses))
  if config.greedy:
    token = jnp.argmax(logits)
  else:
    if config.restricted:
      blocks = _restrict(blocks, peak, config)
      masses = jnp.sum(jnp.exp(blocks - peak), axis=-1)
    block = _pick(masses, words[0])
    chosen = blocks[block]
    # Relative to the block's own peak: a block of rare tokens keeps its bits.
    within = _pick(jnp.exp(chosen - jnp.max(chosen)), words[1])
    token = block * BLOCK + within
  return token.astype(jnp.int32), logits[token] - log_z


@struct.dataclass
class _Decoding:
  """State of the loop over tokens."""

  step: types.Array  # int32 scalar
  cache: Any
  last: types.Array  # [B N] what the decoder reads next
  done: types.Array  # [B N] bool: EOS was drawn, or a filler row
  tokens: types.Array  # [B N T]
  logprobs: types.Array  # [B N T]


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
  batch_size, length = inputs.shape[0], config.max_tokens
  sample_keys = jax.vmap(
    lambda key: jax.vmap(lambda j: jax.random.fold_in(key, j))(
      jnp.arange(num_samples)
    )
  )(keys)
  memory = model.encode(params, inputs)
  matrix = model.output_matrix(params)
  if support is None:
    support = jnp.ones(matrix.shape[1], bool)

  def scaled_logits(hidden):
    logits = jnp.dot(
      hidden, matrix.astype(hidden.dtype), preferred_element_type=jnp.float32
    )
    return jnp.where(
      support[None, None], logits / config.temperature, losses.EXCLUDED
    )

  def draw_next(key, step, logits):
    words = jax.random.bits(jax.random.fold_in(key, step), (2,), jnp.uint32)
    return draw(logits, words, config)

  draw_all = jax.vmap(jax.vmap(draw_next, (0, None, 0)), (0, None, 0))

  def advance(state):
    hidden, cache = model.step(params, state.cache, state.last)
    token, logprob = draw_all(sample_keys, state.step, scaled_logits(hidden))
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

  filler = ~jnp.any(inputs > types.PAD_ID, axis=1)
  shape = (batch_size, num_samples)
  state = jax.lax.while_loop(
    lambda state: (state.step < length) & ~jnp.all(state.done),
    advance,
    _Decoding(
      step=jnp.zeros((), jnp.int32),
      cache=model.start(params, memory, num_samples, length),
      last=jnp.zeros(shape, jnp.int32),
      done=jnp.broadcast_to(filler[:, None], shape),
      tokens=jnp.zeros((*shape, length), jnp.int32),
      logprobs=jnp.zeros((*shape, length), jnp.float32),
    ),
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
