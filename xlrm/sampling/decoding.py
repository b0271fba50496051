"""Responses drawn from a language model, as pure functions.

The encoder and the cross-attention keys run once per prompt.
"""

import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Key

from xlrm import types
from xlrm.losses import vocabulary_head
from xlrm.models import language_model
from xlrm.sampling import decode_state
from xlrm.sampling import sampling_config


def samples(
  tokens: Int[types.Array, "B N T"], logprobs: Float[types.Array, "B N T"]
) -> types.Samples:
  """The samples of what was drawn; finished are those that have an EOS."""
  finished = jnp.any(tokens == types.EOS_ID, axis=-1)
  return types.Samples(tokens, logprobs, finished)


def sample(
  model: language_model.LanguageModel,
  params: types.Params,
  inputs: Int[types.Array, "B S"],
  keys: Key[types.Array, " B"],
  config: sampling_config.SamplingConfig,
  num_samples: int,
  support: Bool[types.Array, " V"] | None,
) -> types.Samples:
  """`num_samples` responses per prompt; ends when all have ended.

  The pure function that `Scheduler` is a schedule of: every response
  has a row of its own, and nothing is refilled.

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
  weights = decode_state.Weights(
    params, decode_state.output_layer(model, params, config, support)
  )
  memory = model.encode(params, inputs)
  state = decode_state.begin(
    model.start(params, memory, num_samples, config.max_tokens),
    keys,
    jnp.where(jnp.any(inputs > types.PAD_ID, axis=1), num_samples, 0),
    rows_per_slot=num_samples,
    num_samples=num_samples,
    max_tokens=config.max_tokens,
  )
  state = decode_state.advance(model, config, weights, state, config.max_tokens)
  return samples(state.tokens, state.logprobs)


def token_logprobs(
  model: language_model.LanguageModel,
  params: types.Params,
  inputs: Int[types.Array, "B S"],
  tokens: Int[types.Array, "B N T"],
  *,
  temperature: float = 1.0,
  support: Bool[types.Array, " V"] | None = None,
) -> Float[types.Array, "B N T"]:
  """The teacher-forced log-probabilities of given responses, 0 at padding.

  Args:
    model: of the parameters.
    params: of the model.
    inputs: prompts ending in EOS, right-padded.
    tokens: responses, right-padded.
    temperature: of the distribution, > 0.
    support: tokens that could be drawn, see `support_mask`; None is all.
  """
  hidden = model.hidden(params, model.encode(params, inputs), tokens)
  return vocabulary_head.token_statistics(
    hidden,
    model.output_matrix(params),
    tokens,
    mask=tokens != types.PAD_ID,
    support=support,
    temperature=temperature,
  ).logprobs
