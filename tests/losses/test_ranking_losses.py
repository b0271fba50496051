"""Plackett-Luce against a sum over all orders, by hand, and at the limits."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.losses import ranking_losses
from xlrm.losses import token_losses


def assert_close(found, expected, tolerance=1e-5):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance
    ),
    found,
    expected,
  )


@jax.jit
def compiled_ranking(scores, ranks, margins):
  total = lambda s: ranking_losses.ranking_loss(s, ranks, margins).total
  return jax.value_and_grad(total)(scores)


def ranking(scores, ranks, margin=0.0):
  scores = jnp.asarray(scores, jnp.float32)
  margins = jnp.full(len(scores), margin, jnp.float32)
  return compiled_ranking(scores, jnp.asarray(ranks), margins)


def plackett_luce(scores, ranks, margin=0.0):
  """-log of the summed probability of every order that the ranking allows.

  An order is drawn one response after the other, in proportion to e^score
  among those left; those ranked below the one drawn have `margin` more.
  """
  responses = [i for i, rank in enumerate(ranks) if rank >= 0]
  allowed = 0.0
  for order in itertools.permutations(responses):
    drawn = [ranks[i] for i in order]
    if drawn != sorted(drawn):
      continue
    probability = 1.0
    for place, i in enumerate(order):
      left = [
        np.exp(scores[j] + margin * (ranks[j] > ranks[i]))
        for j in order[place:]
      ]
      probability *= np.exp(scores[i]) / sum(left)
    allowed += probability
  return -np.log(allowed)


@pytest.mark.parametrize(
  "ranks",
  [
    [0, 1, 2, 3],
    [3, 1, 0, 2],
    [0, 0, 1, 1],
    [1, 0, 0, 0],
    [0, 0, 0, 0],
    [1, -1, 0, -1],
    [-1, 0, -1, -1],
    [5, 7, -1, 5],
    [0, 1, 2, 3, 4],
    [0, 0, 0, 1, 1],
    [2, 0, -1, 0, 1],
    [1, 1, 0, 1, 1],
    [3, 3, 3, -1, 9],
    [0, 1, 1, 1, 1],
    [0, 0, 0, 0, 1],
  ],
)
@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_g09_ranking_loss_is_the_sum_over_all_orders(ranks, margin):
  size = len(ranks)
  scores = np.random.default_rng(1).normal(size=size) * 2
  value, gradient = ranking([scores], [ranks], margin)
  assert_close(value, plackett_luce(scores, ranks, margin))
  plackett = lambda s, r: plackett_luce(s, r, margin)
  for i in range(size):
    step = np.eye(size)[i] * 1e-5
    slope = plackett(scores + step, ranks)
    slope = (slope - plackett(scores - step, ranks)) / 2e-5
    np.testing.assert_allclose(gradient[0, i], slope, atol=1e-4)


def test_ranking_probabilities_of_all_orders_sum_to_one():
  scores = np.random.default_rng(2).normal(size=(1, 4))
  orders = itertools.permutations(range(4))
  likelihoods = [np.exp(-ranking(scores, [order])[0]) for order in orders]
  assert_close(sum(likelihoods), 1.0)


def test_g09_two_responses_are_bradley_terry_and_a_swap_flips_the_sign():
  for difference in (-3.0, 0.0, 0.5):
    scores = [[1.0 + difference, 1.0]]
    value, gradient = ranking(scores, [[0, 1]])
    assert_close(value, np.log1p(np.exp(-difference)))
    slope = 1 / (1 + np.exp(difference))
    assert_close(gradient, np.array([[-slope, slope]]))
    _, swapped = ranking([scores[0][::-1]], [[0, 1]])
    assert np.all(np.sign(swapped) == np.sign(gradient))
    _, other = ranking(scores, [[1, 0]])
    assert np.all(np.sign(other) == -np.sign(gradient))


@pytest.mark.parametrize("difference", [1e2, 1e4, -1e4])
def test_g09_finite_for_large_score_differences(difference):
  scores = jnp.array([[difference, 0.0, 0.0, 17.0]])
  for ranks in ([0, 1, 2, -1], [0, 0, 1, 1], [1, 0, -1, -1], [0, 0, -1, -1]):
    value, gradient = ranking(scores, [ranks])
    assert jnp.isfinite(value) and jnp.all(jnp.isfinite(gradient))
  value, gradient = ranking(scores[:, :2], [[0, 1]])
  np.testing.assert_allclose(value, max(-difference, 0.0), atol=1e-6)
  wrong = float(difference < 0)
  np.testing.assert_allclose(gradient, [[-wrong, wrong]], atol=1e-6)
  rating = lambda s: (
    token_losses.rating_loss(s, jnp.ones((1, 4)), jnp.ones((1, 4), bool)).total
  )
  assert jnp.isfinite(rating(scores))
  assert jnp.all(jnp.isfinite(jax.grad(rating)(scores)))


def test_g09_large_groups_of_ties_are_exact_and_finite():
  # Equal scores: k best of n in any order are one of n over k choices.
  for k, n in ((3, 8), (8, 64)):
    ranks = [0] * k + [1] * (n - k)
    value, gradient = ranking([[0.3] * n], [ranks])
    np.testing.assert_allclose(value, np.log(math.comb(n, k)), rtol=1e-5)
    np.testing.assert_allclose(gradient.sum(), 0.0, atol=1e-5)
  for spread in (1e2, 1e4):
    scores = jnp.linspace(-spread, spread, 6)[None]
    for ranks in ([0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 2, 2]):
      value, gradient = ranking(scores, [ranks])
      assert jnp.isfinite(value) and jnp.all(jnp.isfinite(gradient))


def test_a_tie_alone_says_nothing():
  for ranks in ([0, 0, -1], [2, 2, 2]):
    value, gradient = ranking([[2.0, 0.5, 1.0]], [ranks])
    assert value == 0 and jnp.all(gradient == 0)
    loss = ranking_losses.ranking_loss(jnp.ones((1, 3)), jnp.array([ranks]))
    assert loss.weight == 0


def test_margins_and_centring_are_those_of_trl():
  scores = jnp.array([[1.5, 0.25], [-1.0, 2.0]])
  ranks = jnp.array([[0, 1], [0, 1]])
  margins = jnp.array([0.5, 0.0])
  loss = ranking_losses.ranking_loss(scores, ranks, margins)
  by_hand = np.log1p(np.exp(-(1.25 - 0.5))) + np.log1p(np.exp(3.0))
  assert_close(loss.total, by_hand)
  assert_close(loss.metrics["score_gap"], (1.25 - 3.0, 2.0))
  centred = ranking_losses.centring_loss(scores, ranks >= 0)
  assert_close(centred, 1.75**2 + 1.0**2)
  one = ranking_losses.centring_loss(
    jnp.array([[3.0, jnp.nan]]), jnp.array([[True, False]])
  )
  assert_close(one, 36.0)


def test_g01_missing_responses_may_hold_nan():
  scores = [[0.3, jnp.nan, -0.2], [jnp.nan] * 3, [1.0, jnp.nan, jnp.nan]]
  ranks = [[1, -1, 0], [-1] * 3, [0, -1, -1]]
  value, gradient = ranking(scores, ranks)
  alone, alone_gradient = ranking([[0.3, -0.2]], [[1, 0]])
  assert_close(value, alone)
  assert_close(gradient[0, ::2], alone_gradient[0])
  assert jnp.all(gradient[0, 1] == 0) and jnp.all(gradient[1:] == 0)
  loss = ranking_losses.ranking_loss(jnp.array(scores), jnp.array(ranks))
  assert loss.weight == 1  # prompts with something to rank
  assert_close(loss.metrics["accuracy"], (0.0, 1.0))


def test_ranking_accuracy_counts_pairs_and_equal_scores_by_half():
  scores = jnp.array([[3.0, 2.0, 2.0, 5.0]])
  loss = ranking_losses.ranking_loss(scores, jnp.array([[0, 1, 2, 2]]))
  # pairs 0-1, 0-2 right; 0-3 wrong; 1-2 equal; 1-3 wrong; 2-3 a tie
  assert_close(loss.metrics["accuracy"], (2.5, 5.0))
