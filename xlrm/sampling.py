"""Drawing responses from a language model, token by token.

The encoder and the cross-attention keys and values run once per prompt. A
draw inverts the cumulative distribution in the fixed order of the vocabulary,
so that it needs one random number per row and step and not one per row, step
and vocabulary entry. The number belongs to (prompt key, sample index, step):
a sample depends neither on the batch nor on how many are drawn beside it.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
import numpy as np

from xlrm import losses
from xlrm import types
from xlrm.models import language_model

BLOCK = 512  # vocabulary entries whose probabilities are summed first
START_ID = 0


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
  """How a token is drawn.

  Attributes:
    max_tokens: limit of a response, EOS included.
    temperature: divides the logits.
    top_k: draw among the k likeliest tokens only; 0 is off.
    top_p: draw among the fewest tokens that hold this mass; 1 is off.
    greedy: take the likeliest token; temperature and the rest are not used.
  """

  max_tokens: int = 64
  temperature: float = 1.0
  top_k: int = 0
  top_p: float = 1.0
  greedy: bool = False

  def __post_init__(self):
    if self.max_tokens < 1:
      raise ValueError(f"max_tokens {self.max_tokens} is below 1")
    if self.temperature <= 0:
      raise ValueError(
        f"temperature {self.temperature} is not above 0; for the likeliest "
        "token set greedy = True"
      )
    if self.top_k < 0:
      raise ValueError(f"top_k {self.top_k} is negative; 0 switches it off")
    if not 0 < self.top_p <= 1:
      raise ValueError(f"top_p {self.top_p} is not in (0, 1]")


def support_mask(vocab_size: int, tokenizer) -> np.ndarray:
  """[V] bool: the tokens that may be drawn.

  Padding, the unknown token (it cannot be written as text), sentinels and the
  rows of the matrix behind the vocabulary's pieces may not.
  """
  mask = np.zeros(vocab_size, bool)
  mask[: tokenizer.vocab_size] = True
  mask[[tokenizer.pad_id, tokenizer.unk_id]] = False
  return mask


def draw(
  probabilities: Float[Array, "R V"], uniform: Float[Array, "R 2"]
) -> Int[Array, " R"]:
  """Inverts the cumulative distribution in the order of the vocabulary.

  Two uniform numbers per row: the first picks a block of BLOCK entries, the
  second an entry inside it, so that float32 sums stay short and a tail of
  250,000 rare tokens keeps its mass.

  Args:
    probabilities: need not sum to 1; an entry of 0 is never drawn.
    uniform: in [0, 1).
  """
  rows, vocabulary = probabilities.shape
  blocks = -(-vocabulary // BLOCK)
  padded = jnp.pad(probabilities, ((0, 0), (0, blocks * BLOCK - vocabulary)))
  padded = padded.reshape(rows, blocks, BLOCK)
  block = _invert(padded.sum(-1), uniform[:, 0])
  inside = jnp.take_along_axis(padded, block[:, None, None], axis=1)[:, 0]
  return block * BLOCK + _invert(inside, uniform[:, 1])


def _invert(
  masses: Float[Array, "R K"], uniform: Float[Array, " R"]
) -> Int[Array, " R"]:
  """The first entry at which the cumulative mass passes uniform * total."""
  cumulative = jnp.cumsum(masses, axis=-1)
  # The sum in float32 may end below uniform * total: take the last entry
  # with mass then, never one of mass 0.
  threshold = uniform[:, None] * cumulative[:, -1:]
  passed = (cumulative > threshold) & (masses > 0)
  last = masses.shape[-1] - 1 - jnp.argmax(jnp.flip(masses > 0, -1), axis=-1)
  return jnp.where(passed.any(-1), jnp.argmax(passed, axis=-1), last)


def restrict(
  logits: Float[Array, "R V"], top_k: int, top_p: float
) -> Float[Array, "R V"]:
  """-inf outside the top k and outside the nucleus of mass p.

  Top-p follows https://arxiv.org/abs/1904.09751: the fewest tokens, likeliest
  first, whose mass reaches p; it is taken within the top k. Ties at the
  border go to the lower id.
  """
  vocabulary = logits.shape[-1]
  order = jnp.argsort(-logits, axis=-1, stable=True)
  ranked = jnp.take_along_axis(logits, order, axis=-1)
  allowed = jnp.ones_like(ranked, bool)
  if top_k:
    allowed = jnp.arange(vocabulary)[None] < top_k
    allowed = jnp.broadcast_to(allowed, ranked.shape)
  if top_p < 1:
    mass = jax.nn.softmax(jnp.where(allowed, ranked, -jnp.inf), axis=-1)
    before = jnp.cumsum(mass, axis=-1) - mass
    allowed &= before < top_p
  rows = jnp.arange(logits.shape[0])[:, None]
  kept = jnp.zeros_like(allowed).at[rows, order].set(allowed)
  return jnp.where(kept, logits, -jnp.inf)


def next_token(
  logits: Float[Array, "R V"],
  uniform: Float[Array, "R 2"],
  config: SamplingConfig,
  support: Bool[Array, " V"],
) -> tuple[Int[Array, " R"], Float[Array, " R"]]:
  """One token per row, and its log-probability.

  The log-probability is that of the whole distribution over the support at
  the temperature, which PPO needs; top-k and top-p restrict the draw only.
  Greedy reports it at temperature 1.
  """
  temperature = 1.0 if config.greedy else config.temperature
  scaled = logits.astype(jnp.float32) / temperature
  scaled = jnp.where(support[None], scaled, -jnp.inf)
  normalizer = jax.nn.logsumexp(scaled, axis=-1)
  if config.greedy:
    token = jnp.argmax(scaled, axis=-1)
  else:
    allowed = scaled
    if config.top_k or config.top_p < 1:
      allowed = restrict(scaled, config.top_k, config.top_p)
    peak = jnp.max(allowed, axis=-1, keepdims=True)
    token = draw(jnp.exp(allowed - peak), uniform)
  chosen = jnp.take_along_axis(scaled, token[:, None], axis=-1)[:, 0]
  return token.astype(jnp.int32), chosen - normalizer


def _sample_keys(keys: jax.Array, num_samples: int) -> jax.Array:
  """[B] keys -> [B N] keys."""
  each = jax.vmap(jax.random.fold_in, (None, 0))
  return jax.vmap(each, (0, None))(keys, jnp.arange(num_samples))


def sample(
  model: language_model.LanguageModel,
  params: types.Params,
  inputs: Int[types.Array, "B S"],
  keys: jax.Array,
  config: SamplingConfig,
  num_samples: int,
  support: Bool[types.Array, " V"],
) -> types.Samples:
  """Draws `num_samples` responses to each prompt; a function to jit.

  Stops as soon as every response has ended. EOS counts as a token.

  Args:
    inputs: prompts, ending in EOS, right-padded.
    keys: [B] random keys, one per prompt.
    support: the tokens that may be drawn, see `support_mask`.
  """
  support = jnp.asarray(support)
  matrix = model.output_matrix(params)
  memory = model.encode(params, inputs)
  cache = model.start(params, memory, num_samples, config.max_tokens)
  shape = (inputs.shape[0], num_samples)
  rows = _sample_keys(keys, num_samples)
  tokens = jnp.zeros((*shape, config.max_tokens), jnp.int32)
  logprobs = jnp.zeros((*shape, config.max_tokens), jnp.float32)
  start = (
    jnp.zeros((), jnp.int32),
    cache,
    jnp.full(shape, START_ID, jnp.int32),
    jnp.zeros(shape, bool),
    tokens,
    logprobs,
  )

  def running(state):
    step, _, _, finished, _, _ = state
    return (step < config.max_tokens) & ~finished.all()

  def one_token(state):
    step, cache, last, finished, tokens, logprobs = state
    hidden, cache = model.step(params, cache, last)
    logits = jnp.dot(
      hidden.reshape(-1, hidden.shape[-1]),
      matrix.astype(hidden.dtype),
      preferred_element_type=jnp.float32,
    )
    at_step = jax.vmap(jax.random.fold_in, (0, None))(rows.reshape(-1), step)
    uniform = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(at_step)
    token, logprob = next_token(logits, uniform, config, support)
    token = jnp.where(finished, types.PAD_ID, token.reshape(shape))
    logprob = jnp.where(finished, 0.0, logprob.reshape(shape))
    tokens = jax.lax.dynamic_update_index_in_dim(tokens, token, step, 2)
    logprobs = jax.lax.dynamic_update_index_in_dim(logprobs, logprob, step, 2)
    finished |= token == types.EOS_ID
    return step + 1, cache, token, finished, tokens, logprobs

  state = jax.lax.while_loop(running, one_token, start)
  return types.Samples(
    tokens=state[4], logprobs=state[5], finished=state[3]
  )


def response_weights(tokens: Int[types.Array, "..."]) -> types.Array:
  """1 at the tokens of a response, EOS included; 0 behind it."""
  return (tokens != types.PAD_ID).astype(jnp.float32)


def teacher_forced(
  model: language_model.LanguageModel,
  params: types.Params,
  inputs: Int[types.Array, "B S"],
  tokens: Int[types.Array, "B N T"],
  temperature: float,
  support: Bool[types.Array, " V"] | None,
) -> Float[Array, "B N T"]:
  """Log-probabilities of given responses; 0 behind their EOS.

  Equal to those that `sample` returned for them (G3).
  """
  memory = model.encode(params, inputs)
  statistics = losses.token_statistics(
    model.hidden(params, memory, tokens),
    model.output_matrix(params),
    tokens,
    support=support,
    temperature=temperature,
  )
  return jnp.where(tokens != types.PAD_ID, statistics.logprobs, 0.0)
