"""Estimators of the KL divergence against sums over all of a vocabulary."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.ppo import kl_estimators

ESTIMATORS = (kl_estimators.k1, kl_estimators.k2, kl_estimators.k3)


def test_means_against_the_exact_sum():
  """Expectations by enumeration of a vocabulary of seven."""
  draw = np.random.default_rng(0)
  logits = draw.normal(0, 1.5, (2, 20, 7))
  logprobs, reference = jax.nn.log_softmax(jnp.asarray(logits))
  probabilities = np.exp(np.float64(logprobs))
  exact = (probabilities * np.float64(logprobs - reference)).sum(-1)
  means = [
    (probabilities * np.float64(estimator(logprobs, reference))).sum(-1)
    for estimator in ESTIMATORS
  ]
  np.testing.assert_allclose(means[0], exact, rtol=1e-5)
  np.testing.assert_allclose(means[2], exact, rtol=1e-5)
  # k2 is biased: half the second moment, which is near the KL if that is small.
  assert (np.abs(means[1] / exact - 1) > 0.02).all()
  near = reference + 0.01 * draw.normal(size=reference.shape)
  near = jax.nn.log_softmax(near)
  weights = np.exp(np.float64(near))
  small = (weights * np.float64(kl_estimators.k2(near, reference))).sum(-1)
  exact = (weights * np.float64(kl_estimators.k3(near, reference))).sum(-1)
  np.testing.assert_allclose(small, exact, rtol=0.05)


def test_they_have_their_signs_and_zeros():
  logprobs = jnp.linspace(-12, 0, 97)[:, None] + jnp.zeros((1, 2))
  reference = jnp.linspace(0, -12, 97)[:, None] + jnp.array([[0.0, -3.0]])
  assert (kl_estimators.k1(logprobs, reference) < 0).any()
  for estimator in ESTIMATORS:
    np.testing.assert_array_equal(estimator(logprobs, logprobs), 0)
  for estimator in (kl_estimators.k2, kl_estimators.k3):
    assert (estimator(logprobs, reference) >= 0).all()
  # expm1: no cancellation near 0, where exp(x) - 1 - x loses all digits.
  tiny = jnp.float32(1e-3)
  assert kl_estimators.k3(tiny, jnp.float32(0)) == pytest.approx(5e-7, rel=0.2)
