import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.models import attention


def exact_bucket(distance, bidirectional, num_buckets, max_distance):
  """In integers: wide bucket k begins at exact * (max/exact)^(k/wide)."""
  start = 0
  if bidirectional:
    num_buckets //= 2
    start = num_buckets if distance > 0 else 0
    distance = abs(distance)
  else:
    distance = max(-distance, 0)
  exact = num_buckets // 2
  if distance < exact:
    return start + distance
  wide = num_buckets - exact
  k = 0
  while (
    k + 1 < wide
    and distance**wide * exact ** (k + 1)
    >= max_distance ** (k + 1) * exact**wide
  ):
    k += 1
  return start + exact + k


@pytest.mark.parametrize("bidirectional", [True, False])
def test_relative_buckets_match_exact_arithmetic(bidirectional):
  distances = np.arange(-300, 301, dtype=np.int32)
  buckets = attention.relative_buckets(
    distances, bidirectional=bidirectional, num_buckets=32, max_distance=128
  )
  expected = [exact_bucket(int(d), bidirectional, 32, 128) for d in distances]
  np.testing.assert_array_equal(buckets, expected)


def test_g02_decoder_starts_from_id_0():
  targets = np.array([[[5, 6, 1, 0], [1, 0, 0, 0]]], np.int32)
  expected = [[[0, 5, 6, 1], [0, 1, 0, 0]]]
  np.testing.assert_array_equal(attention.shift_right(targets), expected)


def test_shift_right_restarts_at_each_segment():
  targets = np.array([[[5, 1, 7, 8, 1, 0]]], np.int32)
  segments = np.array([[[1, 1, 2, 2, 2, 0]]], np.int32)
  expected = [[[0, 5, 0, 7, 8, 0]]]
  shifted = attention.shift_right(targets, segments)
  np.testing.assert_array_equal(shifted, expected)


def attend_in_loops(queries, keys, values, bias, mask):
  result = np.zeros(queries.shape)
  for i in np.ndindex(queries.shape[:-1]):
    row, _, position, head = i
    logits = keys[row, :, head] @ queries[i] + bias[head, position]
    logits[~mask[row]] = -np.inf
    weights = np.exp(logits - logits.max())
    result[i] = weights @ values[row, :, head] / weights.sum()
  return result


def test_shared_keys_equal_repeated_keys_and_a_slow_loop():
  rng = np.random.default_rng(0)
  queries = rng.normal(size=(2, 3, 4, 2, 5)).astype(np.float32)
  keys, values = rng.normal(size=(2, 2, 6, 2, 5)).astype(np.float32)
  bias = rng.normal(size=(2, 4, 6)).astype(np.float32)
  mask = np.arange(6) < np.array([[6], [2]])
  shared = attention.attend(
    queries, keys, values, bias=bias, mask=mask[:, None, None, None]
  )
  repeated = attention.attend(
    queries,
    jnp.repeat(keys[:, None], 3, axis=1),
    jnp.repeat(values[:, None], 3, axis=1),
    bias=bias,
    mask=mask[:, None, None, None],
  )
  slow = attend_in_loops(queries, keys, values, bias, mask)
  np.testing.assert_allclose(shared, slow, atol=1e-5)
  np.testing.assert_allclose(repeated, slow, atol=1e-5)


def test_a_query_without_keys_is_finite():
  x = jnp.ones((1, 1, 1, 1, 2))
  mask = jnp.zeros((1, 1, 1, 1, 1), bool)
  gradient = jax.grad(lambda q: attention.attend(q, x, x, mask=mask).sum())(x)
  assert jnp.all(jnp.isfinite(gradient))
