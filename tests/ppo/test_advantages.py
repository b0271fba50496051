"""Advantages against slow loops over the real tokens of ragged batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.ppo import advantages

LENGTH = 5
# Full, empty, one token; a prompt of one response; a prompt of nothing.
LENGTHS = np.array([[5, 0, 1, 3], [0, 2, 0, 0], [0, 0, 0, 0], [4, 5, 5, 2]])
MASK = np.arange(LENGTH) < LENGTHS[..., None]
UNDISCOUNTED = advantages.GeneralizedAdvantage(1.0, 1.0, whiten=False)
ESTIMATORS = {
  "plain": UNDISCOUNTED,
  "whitened": advantages.GeneralizedAdvantage(0.9, 0.95),
  "leave_one_out": advantages.LeaveOneOut(),
  "group_normalised": advantages.GroupNormalised(),
}


def ragged(seed, mask=MASK):
  """Numbers at real tokens, NaN at all others."""
  draw = np.random.default_rng(seed).normal(size=mask.shape)
  return np.where(mask, draw, np.nan).astype(np.float32)


def each_response(function, *arrays):
  """function([n] real tokens of each array) -> [B N T], 0 elsewhere."""
  found = np.zeros(MASK.shape)
  for place, length in np.ndenumerate(LENGTHS):
    if length:
      tokens = [x[place][:length].astype(np.float64) for x in arrays]
      found[place][:length] = function(*tokens)
  return found


def slow_advantages(rewards, values, discount, smoothing):
  """sum over l of (discount smoothing)^l delta_{t+l}, written out."""
  found = []
  for t in range(len(rewards)):
    total = 0.0
    for later in range(t, len(rewards)):
      ahead = values[later + 1] if later + 1 < len(rewards) else 0.0
      delta = rewards[later] + discount * ahead - values[later]
      total += (discount * smoothing) ** (later - t) * delta
    found.append(total)
  return found


@pytest.mark.parametrize(
  ("discount", "smoothing"), [(1.0, 0.95), (0.9, 0.8), (1.0, 0.0), (0.0, 1.0)]
)
def test_g13_advantages_equal_the_sum_of_deltas(discount, smoothing):
  rewards, values = ragged(0), ragged(1)
  found, returns = advantages.GeneralizedAdvantage(
    discount, smoothing, whiten=False
  )(rewards, values, MASK)
  expected = each_response(
    lambda r, v: slow_advantages(r, v, discount, smoothing), rewards, values
  )
  np.testing.assert_allclose(found, expected, atol=1e-5)
  expected += np.where(MASK, values, 0.0)
  np.testing.assert_allclose(returns, expected, atol=1e-5)


def test_g13_without_discount_and_smoothing_it_is_return_minus_value():
  rewards, values = ragged(0), ragged(1)
  found, returns = UNDISCOUNTED(rewards, values, MASK)
  to_go = each_response(lambda r: np.cumsum(r[::-1])[::-1], rewards)
  np.testing.assert_allclose(returns, to_go, atol=1e-5)
  expected = np.where(MASK, to_go - np.where(MASK, values, 0.0), 0.0)
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_g13_padding_takes_and_gives_nothing(name):
  rewards, values = ragged(0), ragged(1)
  found = ESTIMATORS[name](rewards, values, MASK)
  wide = [np.pad(x, ((0, 0), (0, 0), (0, 4))) for x in (rewards, values, MASK)]
  wide[0][..., LENGTH:] = 1e30
  again = ESTIMATORS[name](*wide)
  for narrow, padded in zip(found, again):
    narrow, padded = np.asarray(narrow), np.asarray(padded)
    assert narrow.dtype == np.float32
    assert not narrow[~MASK].any() and not padded[..., LENGTH:].any()
    np.testing.assert_allclose(padded[..., :LENGTH], narrow, atol=1e-6)


def test_g13_no_response_knows_of_another():
  """Unwhitened: row by row the same as each alone."""
  rewards, values = ragged(0), ragged(1)
  found, _ = UNDISCOUNTED(rewards, values, MASK)
  of_one = jax.jit(UNDISCOUNTED)
  for place in np.ndindex(*LENGTHS.shape):
    one = [x[place][None, None] for x in (rewards, values, MASK)]
    alone, _ = of_one(*one)
    np.testing.assert_allclose(alone[0, 0], found[place], atol=1e-6)


def test_g13_whitening_takes_two_passes_and_the_biased_variance():
  x = 1e4 + ragged(2)  # E[x^2] - E[x]^2 would lose every digit in float32
  real = x[MASK].astype(np.float64)
  expected = (real - real.mean()) / real.std()
  found = np.asarray(advantages.whiten(x, MASK))
  np.testing.assert_allclose(found[MASK], expected, atol=2e-3)
  assert not found[~MASK].any()
  # The biased one: 1 and 3 become -1 and 1, not -0.71 and 0.71.
  pair = advantages.whiten(jnp.array([1.0, 3.0]), jnp.array([True, True]))
  np.testing.assert_allclose(pair, [-1, 1], atol=1e-6)
  kept = advantages.whiten(x, MASK, keep_mean=True)
  np.testing.assert_allclose(
    np.asarray(kept)[MASK], expected + real.mean(), atol=4e-3
  )


@pytest.mark.parametrize("keep_mean", [False, True])
@pytest.mark.parametrize("number", [0, 1])
def test_g13_whitening_fewer_than_two_gives_zeros(number, keep_mean):
  mask = np.arange(3) < number
  x = np.where(mask, 7.0, np.nan).astype(np.float32)
  np.testing.assert_array_equal(advantages.whiten(x, mask, keep_mean), 0)


def test_whitening_equal_numbers_gives_zeros():
  found = advantages.whiten(jnp.full((2, 3), 0.1), jnp.ones((2, 3), bool))
  np.testing.assert_allclose(found, 0, atol=1e-3)


def test_whitened_advantages_are_whitened_over_the_batch_returns_are_not():
  rewards, values = ragged(0), ragged(1)
  plain, returns = advantages.GeneralizedAdvantage(whiten=False)(
    rewards, values, MASK
  )
  found, same = advantages.GeneralizedAdvantage()(rewards, values, MASK)
  real = np.asarray(plain)[MASK].astype(np.float64)
  expected = (real - real.mean()) / real.std()
  np.testing.assert_allclose(np.asarray(found)[MASK], expected, atol=1e-5)
  np.testing.assert_array_equal(same, returns)


def slow_groups(rewards, of_group):
  """of_group(totals of the responses that take part) -> their advantages."""
  found = np.zeros(MASK.shape)
  for b, lengths in enumerate(LENGTHS):
    part = [n for n, length in enumerate(lengths) if length]
    totals = [float(rewards[b, n, : lengths[n]].sum()) for n in part]
    for n, advantage in zip(part, of_group(totals)):
      found[b, n, : lengths[n]] = advantage
  return found


def leave_one_out(totals):
  for i, total in enumerate(totals):
    others = totals[:i] + totals[i + 1 :]
    yield total - sum(others) / len(others) if others else 0.0


def group_normalised(totals):
  mean = sum(totals) / max(len(totals), 1)
  variance = sum((x - mean) ** 2 for x in totals) / max(len(totals), 1)
  return [(x - mean) / (variance**0.5 + 1e-4) for x in totals]


@pytest.mark.parametrize(
  ("estimator", "of_group"),
  [
    (advantages.LeaveOneOut(), leave_one_out),
    (advantages.GroupNormalised(), group_normalised),
  ],
)
def test_groups_are_compared_within_a_prompt(estimator, of_group):
  rewards = ragged(3)
  found, returns = estimator(rewards, np.full_like(rewards, np.nan), MASK)
  np.testing.assert_allclose(found, slow_groups(rewards, of_group), atol=1e-5)
  np.testing.assert_array_equal(returns, 0)
  # A response without a companion that takes part has nothing to learn.
  assert not np.asarray(found)[1].any()
  assert not np.asarray(
    estimator(rewards[1:2], rewards[1:2], MASK[1:2])[0]
  ).any()


@pytest.mark.parametrize(
  "estimator", [advantages.LeaveOneOut(), advantages.GroupNormalised()]
)
def test_equal_returns_teach_nothing(estimator):
  rewards = np.where(MASK, 0.0, np.nan).astype(np.float32)
  rewards[..., 0] = np.where(MASK[..., 0], 0.3, np.nan)
  found, _ = estimator(rewards, rewards, MASK)
  np.testing.assert_allclose(found, 0, atol=1e-3)


def test_what_a_prompt_needs():
  UNDISCOUNTED.check(1)
  assert UNDISCOUNTED.needs_values
  for name in ("LeaveOneOut", "GroupNormalised"):
    estimator = getattr(advantages, name)()
    assert not estimator.needs_values
    estimator.check(2)
    with pytest.raises(ValueError, match=f"{name} .* num_samples 1 must be"):
      estimator.check(1)


@pytest.mark.parametrize("name", ["discount", "smoothing"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_bad_options_are_named(name, value):
  with pytest.raises(ValueError, match=rf"{name} {value} is not in \[0, 1\]"):
    advantages.GeneralizedAdvantage(**{name: value})


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_implicit_promotion(name):
  arrays = (jnp.asarray(x) for x in (ragged(0), ragged(1), MASK))
  with jax.numpy_dtype_promotion("strict"):
    jax.eval_shape(ESTIMATORS[name], *arrays)
