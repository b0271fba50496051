"""Losses of language modelling, ratings and detection, by hand."""

import dense_head
import jax
import jax.numpy as jnp
import numpy as np

from xlrm.losses import ranking_losses
from xlrm.losses import token_losses


def test_language_model_loss_sums_over_weights():
  hidden, matrix, targets, _ = dense_head.problem((2, 1, 3))
  weights = jnp.array([[[1.0, 0.5, 0.0]], [[0.0, 0.0, 2.0]]])
  loss = jax.jit(token_losses.language_model_loss, static_argnames="z_loss")(
    hidden, matrix, targets, weights, z_loss=0.1
  )
  logprobs, _, log_z = dense_head.dense(hidden, matrix, targets)
  cross_entropy = -(weights * logprobs).sum()
  penalty = 0.1 * (weights * log_z**2).sum()
  dense_head.assert_close(loss.total, cross_entropy + penalty)
  dense_head.assert_close(loss.weight, 3.5)
  dense_head.assert_close(loss.metrics["cross_entropy"], (cross_entropy, 3.5))
  dense_head.assert_close(loss.metrics["z_loss"], (penalty, 3.5))


def test_g01_language_model_loss_ignores_garbage():
  hidden, matrix, targets, _ = dense_head.problem((2, 1, 3))
  weights = jnp.array([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]])
  garbage = jnp.where(weights[..., None] > 0, hidden, jnp.nan)
  clean = dense_head.head_gradient(hidden, matrix, targets, weights)
  dense_head.assert_close(
    dense_head.head_gradient(garbage, matrix, targets, weights), clean
  )


def test_loss_of_filler_rows_is_zero_and_finite():
  hidden, matrix, targets, _ = dense_head.problem((2, 1, 3))
  total, gradients = dense_head.head_gradient(
    hidden, matrix, targets, jnp.zeros((2, 1, 3))
  )
  assert total == 0 and all(jnp.all(x == 0) for x in gradients)


def test_rating_loss_by_hand():
  scores = jnp.array([[0.0, 2.0], [-1.0, jnp.nan]])
  ratings = jnp.array([[1.0, 0.25], [0.0, jnp.nan]])
  counted = jnp.array([[True, True], [True, False]])
  total = lambda s: token_losses.rating_loss(s, ratings, counted).total
  value, gradient = jax.value_and_grad(total)(scores)
  sigmoid = lambda r: 1 / (1 + np.exp(-r))
  by_hand = -np.log(0.5) - 0.25 * np.log(sigmoid(2.0))
  by_hand -= 0.75 * np.log(sigmoid(-2.0)) + np.log(sigmoid(1.0))
  dense_head.assert_close(value, by_hand)
  expected = [[-0.5, sigmoid(2.0) - 0.25], [sigmoid(-1.0), 0.0]]
  dense_head.assert_close(gradient, np.array(expected))
  loss = token_losses.rating_loss(scores, ratings, counted)
  assert loss.weight == 3
  dense_head.assert_close(loss.metrics["accuracy"], (1.0, 3.0))


def test_detection_loss_counts_what_was_asked():
  logits = jnp.array([[[3.0, -1.0, jnp.nan, 2.0]]])
  replaced = jnp.array([[[1, 0, -1, 0]]])
  loss = token_losses.detection_loss(logits, replaced)
  by_hand = np.log1p(np.exp(-3)) + np.log1p(np.exp(-1)) + np.log1p(np.exp(2))
  dense_head.assert_close(loss.total, by_hand)
  assert loss.weight == 3
  dense_head.assert_close(loss.metrics["accuracy"], (2.0, 3.0))
  gradient = jax.grad(lambda x: token_losses.detection_loss(x, replaced).total)
  assert gradient(logits)[0, 0, 2] == 0


def test_no_implicit_promotion():
  scores = jnp.zeros((2, 3))
  asked = jnp.ones((2, 3), bool)
  ranks = jnp.zeros((2, 3), jnp.int32)
  replaced = jnp.zeros((2, 1, 3), jnp.int32)
  with jax.numpy_dtype_promotion("strict"):
    jax.eval_shape(token_losses.rating_loss, scores, scores, asked)
    jax.eval_shape(ranking_losses.ranking_loss, scores, ranks)
    jax.eval_shape(token_losses.detection_loss, scores[:, None], replaced)
