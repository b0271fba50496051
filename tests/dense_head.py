"""The vocabulary head as one dense computation, to compare with."""

import jax
import jax.numpy as jnp
import numpy as np

from xlrm.losses import token_losses

WIDTH, ROWS = 8, 30


def problem(shape, seed=0):
  """hidden, output matrix, targets, and a random weighting of the results."""
  keys = jax.random.split(jax.random.key(seed), 4)
  return (
    jax.random.normal(keys[0], (*shape, WIDTH)),
    jax.random.normal(keys[1], (WIDTH, ROWS)),
    jax.random.randint(keys[2], shape, 0, ROWS),
    jax.random.normal(keys[3], (3, *shape)),
  )


def dense(hidden, matrix, targets, support=None, temperature=1.0):
  """The same statistics from all logits at once."""
  logits = jnp.dot(hidden.astype(jnp.float32), matrix) / temperature
  if support is not None:
    support = jnp.expand_dims(support, range(logits.ndim - 1))
    logits = jnp.where(support, logits, -1e30)
  log_z = jax.nn.logsumexp(logits, axis=-1)
  logprobs = logits - log_z[..., None]
  chosen = jnp.take_along_axis(logprobs, targets[..., None], axis=-1)[..., 0]
  probabilities = jnp.exp(logprobs)
  entropy = -jnp.sum(
    jnp.where(probabilities > 0, probabilities * logprobs, 0.0), axis=-1
  )
  return jnp.stack([chosen, entropy, log_z])


def assert_close(found, expected, tolerance=1e-5):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance
    ),
    found,
    expected,
  )


def head_gradient(hidden, matrix, targets, weights):
  total = lambda h, w: (
    token_losses.language_model_loss(h, w, targets, weights).total
  )
  return jax.value_and_grad(total, (0, 1))(hidden, matrix)
