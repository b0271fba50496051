"""Draws of one token against distributions found by sorting."""

import functools

import distributions
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from xlrm.sampling import token_sampling

VOCABULARY = 50


@functools.partial(jax.jit, static_argnums=(1, 2))
def _draws(logits, options, num, key):
  words = jax.random.bits(key, (10, num // 10, 2), jnp.uint32)
  draw = lambda part: jax.vmap(
    lambda words: token_sampling.draw(
      logits[:, None], words[:, None], **dict(options)
    )
  )(part)
  return jax.tree.map(jnp.ravel, jax.lax.map(draw, words))


def draws(logits, num, seed, **options):
  """num draws from one row of logits, in ten parts."""
  logits = jnp.asarray(logits, jnp.float32)
  options = tuple(options.items())
  return jax.device_get(_draws(logits, options, num, jax.random.key(seed)))


@pytest.mark.parametrize(
  "options",
  [{}, {"top_k": 7}, {"top_p": 0.8}, {"top_k": 20, "top_p": 0.6}],
)
def test_draws_match_the_analytic_distribution(options):
  logits = np.random.default_rng(0).normal(size=VOCABULARY, scale=1.5)
  tokens, logprobs = draws(logits, 200_000, 1, **options)
  counts = np.bincount(tokens, minlength=VOCABULARY)
  distributions.check_counts(
    counts, distributions.reference_distribution(logits, **options)
  )
  full = np.log(distributions.reference_distribution(logits))
  np.testing.assert_allclose(logprobs, full[tokens], atol=1e-5)


def test_the_rarest_half_of_a_large_vocabulary_is_drawn_as_often_as_it_should():
  size, num = 250_112, 1_000_000
  logits = np.random.default_rng(0).normal(size=size, scale=3)
  logits = logits.astype(np.float32)
  probabilities = distributions.reference_distribution(logits)
  tokens, _ = draws(logits, num, 2)
  rare = np.zeros(size, bool)
  rare[np.argsort(logits)[: size // 2]] = True
  counts = np.bincount(tokens, minlength=size)
  mass = probabilities[rare].sum()  # 0.00135
  error = counts[rare].sum() / num - mass
  assert abs(error) < 4 * (mass / num) ** 0.5
  # And inside that half, in 100 bins of about equal mass along the vocabulary.
  bins = np.minimum(
    (np.cumsum(probabilities * rare) / mass * 100).astype(int), 99
  )
  found = np.bincount(bins[rare], counts[rare])
  expected = np.bincount(bins[rare], probabilities[rare])
  expected *= found.sum() / expected.sum()
  assert stats.chisquare(found, expected).pvalue > 1e-3


def test_top_k_and_top_p_keep_exactly_the_likeliest_of_a_large_vocabulary():
  logits = np.random.default_rng(3).normal(size=250_112, scale=3)
  logits = jnp.asarray(logits, jnp.float32)
  for options in ({"top_k": 50}, {"top_p": 0.5}):
    limits = (options.get("top_k", 0), options.get("top_p", 1.0))
    restrict = jax.jit(
      lambda x, limits=limits: token_sampling._restrict(
        x, jnp.max(x, axis=(0, 1), keepdims=True), *limits
      )
    )
    blocks = logits.reshape(-1, token_sampling.BLOCK, 1)
    kept = np.asarray(restrict(blocks)).ravel() > -1e8
    expected = distributions.reference_distribution(logits, **options) > 0
    np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize(
  ("logits", "options", "expected"),
  [
    ([1.0, 3.0, 3.0, 0.0], {"top_k": 1}, {1, 2}),  # ties are kept
    ([1.0, 3.0, 2.0, 0.0], {"top_k": 9}, {0, 1, 2, 3}),
    ([0.0, 0.0, 0.0, -0.0], {"top_p": 0.1}, {0, 1, 2, 3}),
    ([9.0, 0.0, 0.0, 0.0], {"top_p": 1e-9}, {0}),
    ([-1e9, 5.0, -1e9, 4.0], {"top_k": 3}, {1, 3}),  # outside the support
  ],
)
def test_edges_of_restricted_draws(logits, options, expected):
  tokens, _ = draws(logits, 2000, 0, **options)
  assert set(tokens.tolist()) == expected


@pytest.mark.parametrize("word", [0, 2**31 - 1, 2**31, 2**32 - 1])
def test_g04_extreme_random_words_draw_only_tokens_of_the_support(word):
  logits = np.full(1000, -1e9, np.float32)
  logits[[3, 300, 301, 970]] = [-3, 80, 79, -60]
  words = jnp.full((2, 1), word, jnp.uint32)
  token, logprob = jax.jit(token_sampling.draw)(
    jnp.asarray(logits)[:, None], words
  )
  assert int(token[0]) in (300, 301)
  assert np.isfinite(logprob).all()


def test_greedy_takes_the_lowest_of_equal_ids():
  logits = np.zeros(600, np.float32)
  logits[[300, 301, 599]] = 2
  draw = jax.jit(functools.partial(token_sampling.draw, greedy=True))
  token, logprob = draw(
    jnp.asarray(logits)[:, None], jnp.zeros((2, 1), jnp.uint32)
  )
  assert int(token[0]) == 300
  full = np.log(distributions.reference_distribution(logits))
  assert float(logprob[0]) == pytest.approx(full[300], abs=1e-5)
