"""The sampler draws from the model's distribution, and says it right."""

import dataclasses
import functools
import types

import distributions
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.models import language_model
from xlrm.models import t5
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config

VOCABULARY = 50
CONFIG = sampling_config.SamplingConfig(max_tokens=6)


@dataclasses.dataclass(frozen=True)
class Bigrams(language_model.LanguageModel):
  """Logits are params["table"][last token] + params["bias"][first input].

  An oracle: its next-token distribution is a row of a table.
  """

  on_step: object = None
  config = types.SimpleNamespace(dtype="float32")

  def encode(self, params, inputs):
    return jax.nn.one_hot(inputs[:, 0], VOCABULARY)

  def start(self, params, memory, rows_per_slot, max_tokens):
    return memory

  def step(self, params, cache, tokens, ages):
    if self.on_step is not None:
      jax.debug.callback(self.on_step)
    return self._state(cache, tokens), cache

  def hidden(self, params, memory, targets):
    before = jnp.pad(targets, ((0, 0), (0, 0), (1, 0)))[..., :-1]
    return self._state(memory[:, None], before)

  def output_matrix(self, params):
    return jnp.concatenate([params["table"], params["bias"]])

  def _state(self, first, last):
    last = jax.nn.one_hot(last, VOCABULARY)
    first = jnp.broadcast_to(jnp.expand_dims(first, 1), last.shape)
    return jnp.concatenate([last, first], axis=-1)


@pytest.fixture(scope="module")
def bigrams():
  generator = np.random.default_rng(0)
  shape = (VOCABULARY, VOCABULARY)
  return {
    "table": generator.normal(size=shape, scale=1.5).astype(np.float32),
    "bias": generator.normal(size=shape, scale=0.5).astype(np.float32),
  }


@pytest.fixture(scope="module")
def tiny():
  config = t5.T5Config(
    vocab_size=VOCABULARY,
    emb_dim=16,
    num_heads=2,
    head_dim=4,
    mlp_dim=24,
    num_encoder_layers=1,
    num_decoder_layers=1,
  )
  return language_model.EncoderDecoder(config)


@pytest.fixture(scope="module")
def tiny_params(tiny):
  params = jax.jit(tiny.init)(jax.random.key(0))
  # Sharper than a fresh model, and EOS in the place of a common token.
  kernel = 2 * params["decoder"]["logits_dense"]["kernel"]
  kernel = kernel.at[:, [1, 23]].set(kernel[:, [23, 1]])
  params["decoder"]["logits_dense"]["kernel"] = kernel
  return params


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def run(model, params, inputs, keys, config, num_samples, support=None):
  return decoding.sample(
    model, params, inputs, keys, config, num_samples, support
  )


def keys_of(*numbers):
  return jax.vmap(jax.random.fold_in, (None, 0))(
    jax.random.key(7), jnp.array(numbers)
  )


def test_the_sampler_draws_from_the_product_of_conditionals(bigrams):
  num = 40_000
  config = sampling_config.SamplingConfig(max_tokens=2, temperature=0.8)
  inputs = np.array([[5, 1], [9, 1]], np.int32)
  samples = run(Bigrams(), bigrams, inputs, keys_of(0, 1), config, num)
  first, second = np.asarray(samples.tokens).transpose(2, 0, 1)
  for row, prompt in enumerate((5, 9)):
    logits = bigrams["table"] + bigrams["bias"][prompt]
    start = distributions.reference_distribution(logits[0], 0.8)
    counts = np.bincount(first[row], minlength=VOCABULARY)
    distributions.check_counts(counts, start)
    # Id 0 is drawn here, as the support has it; the last token is 0 too then.
    go_on = first[row] != 1
    seen = np.bincount(second[row][go_on], minlength=VOCABULARY)
    rows = np.stack(
      [distributions.reference_distribution(x, 0.8) for x in logits]
    )
    start[1] = 0
    distributions.check_counts(seen, start @ rows / start.sum())


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.3])
def test_g03_sampled_logprobs_equal_teacher_forced_ones(
  tiny, tiny_params, temperature
):
  inputs = np.array([[5, 6, 7, 1], [8, 9, 1, 0]], np.int32)
  support = np.arange(VOCABULARY) > 0
  config = dataclasses.replace(CONFIG, temperature=temperature)
  samples = run(tiny, tiny_params, inputs, keys_of(3, 4), config, 8, support)
  expected = jax.jit(
    functools.partial(
      decoding.token_logprobs, tiny, temperature=temperature, support=support
    )
  )(tiny_params, inputs, samples.tokens)
  np.testing.assert_allclose(samples.logprobs, expected, atol=1e-4)
  finished = np.asarray(samples.finished)
  assert finished.any() and not finished.all()
  assert (
    np.asarray(samples.logprobs)[np.asarray(samples.tokens) > 0] < 0
  ).all()


def test_g03_greedy_is_the_argmax_of_teacher_forcing(tiny, tiny_params):
  inputs = np.array([[5, 6, 7, 1], [8, 9, 1, 0]], np.int32)
  config = sampling_config.SamplingConfig(max_tokens=6, greedy=True)
  samples = run(tiny, tiny_params, inputs, keys_of(0, 1), config, 1)

  @jax.jit
  def likeliest(params, tokens):
    hidden = tiny.hidden(params, tiny.encode(params, inputs), tokens)
    return jnp.argmax(hidden @ tiny.output_matrix(params), axis=-1)

  expected = np.asarray(likeliest(tiny_params, samples.tokens))
  tokens = np.asarray(samples.tokens)
  ended = np.cumsum(tokens == 1, axis=-1) - (tokens == 1) > 0
  np.testing.assert_array_equal(tokens, np.where(ended, 0, expected))


def test_g01_samples_depend_on_nothing_but_prompt_key_and_number(
  tiny, tiny_params
):
  inputs = np.array([[5, 6, 7, 1], [8, 9, 1, 0], [0, 0, 0, 0]], np.int32)
  keys = keys_of(3, 4, 5)
  many = run(tiny, tiny_params, inputs, keys, CONFIG, 8)
  wide = np.pad(inputs[1:2], ((0, 0), (0, 5)))
  found = run(tiny, tiny_params, wide, keys[1:2], CONFIG, 3)
  expected = jax.tree.map(lambda x: x[1:2, :3], many)
  np.testing.assert_array_equal(found.tokens, expected.tokens)
  np.testing.assert_array_equal(found.finished, expected.finished)
  np.testing.assert_allclose(found.logprobs, expected.logprobs, atol=1e-5)
  # Neither samples of a prompt nor prompts share random numbers.
  assert (
    len(np.unique(np.asarray(many.tokens[:2]).reshape(16, -1), axis=0)) > 12
  )
  assert not np.asarray(many.tokens[2]).any()


@pytest.mark.parametrize("greedy", [False, True])
def test_g04_nothing_outside_the_support_is_ever_drawn(bigrams, greedy):
  outside = [0, 2, 3, 40, 45, 49]
  support = np.ones(VOCABULARY, bool)
  support[outside] = False
  # All but certain, were it not for the support.
  params = dict(bigrams, table=bigrams["table"].copy())
  params["table"][:, outside] += 30
  config = sampling_config.SamplingConfig(max_tokens=8, greedy=greedy)
  inputs = np.array([[5, 1]], np.int32)
  samples = run(Bigrams(), params, inputs, keys_of(0), config, 2000, support)
  tokens, logprobs = np.asarray(samples.tokens), np.asarray(samples.logprobs)
  ended = np.cumsum(tokens == 1, axis=-1) - (tokens == 1) > 0
  assert not np.isin(tokens[~ended], outside).any()
  assert (tokens[ended] == 0).all() and (logprobs[ended] == 0).all()
  np.testing.assert_array_equal(samples.finished, (tokens == 1).any(-1))
  assert np.isfinite(logprobs).all()


def test_the_loop_ends_with_the_last_response(bigrams):
  steps = []
  model = Bigrams(on_step=lambda: steps.append(1))
  params = dict(bigrams, table=bigrams["table"].copy())
  params["table"][0, [0, 1]] = -100  # no end at once
  params["table"][1:, 1] = 100  # and then an end
  inputs = np.array([[5, 1], [0, 0]], np.int32)
  config = sampling_config.SamplingConfig(max_tokens=40)
  samples = run(model, params, inputs, keys_of(0, 1), config, 4)
  np.testing.assert_array_equal(samples.finished, [[True] * 4, [False] * 4])
  jax.effects_barrier()
  assert len(steps) == 2
  tokens = np.asarray(samples.tokens[0])
  assert (tokens[:, 0] > 1).all() and (tokens[:, 1] == 1).all()
  assert (np.asarray(samples.logprobs[0, :, 1]) > -1e-5).all()


def test_one_token(bigrams):
  inputs = np.array([[5, 1]], np.int32)
  config = sampling_config.SamplingConfig(max_tokens=1)
  samples = run(Bigrams(), bigrams, inputs, keys_of(0), config, 1)
  assert samples.tokens.shape == samples.logprobs.shape == (1, 1, 1)
  assert samples.finished.shape == (1, 1)


def test_two_random_words_per_row_and_step(bigrams):
  inputs = np.array([[5, 1]], np.int32)
  text = str(
    jax.make_jaxpr(
      lambda keys: decoding.sample(
        Bigrams(), bigrams, inputs, keys, CONFIG, 4, None
      )
    )(keys_of(0))
  )
  assert text.count("random_bits[") == 1
  assert "random_bits[bit_width=32 shape=(2,)]" in text
