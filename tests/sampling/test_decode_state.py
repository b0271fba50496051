"""The state of decoding: its output matrix, its rows, and when it stops."""

import jax
import jax.numpy as jnp
import letters
import numpy as np
import pytest

from xlrm.losses import vocabulary_head
from xlrm.sampling import decode_state
from xlrm.sampling import sampling_config

SUPPORT = np.arange(32) % 3 != 0


@pytest.fixture(scope="module")
def tiny():
  model = letters.model()
  return model, jax.jit(model.init)(jax.random.key(0))


def layer_of(tiny, int8: bool) -> decode_state.OutputLayer:
  config = sampling_config.SamplingConfig(int8_output_matrix=int8)
  return decode_state.output_layer(*tiny, config, SUPPORT)


def test_the_output_matrix_says_what_cannot_be_drawn_in_its_columns(tiny):
  """A state that meets the first of them with a one has the model's logits."""
  model, params = tiny
  layer = layer_of(tiny, int8=False)
  assert layer.penalty is None and layer.scales is None
  state = np.random.default_rng(0).normal(size=16)
  extended = np.zeros(layer.matrix.shape[1])
  extended[:16], extended[16] = state, 1
  found = np.asarray(layer.matrix) @ extended
  expected = state @ np.asarray(model.output_matrix(params))
  np.testing.assert_allclose(found[:32][SUPPORT], expected[SUPPORT], atol=1e-5)
  assert (found[:32][~SUPPORT] < vocabulary_head.EXCLUDED / 2).all()
  assert len(found) % 64 == 0  # blocks of tokens
  assert (found[32:] == vocabulary_head.EXCLUDED).all()


def test_int8_is_off_by_half_a_level_at_most(tiny):
  model, params = tiny
  layer = layer_of(tiny, int8=True)
  matrix = np.asarray(model.output_matrix(params)).T
  levels, scales = np.asarray(layer.matrix), np.asarray(layer.scales)
  assert levels.dtype == np.int8
  rounded = levels[:32] * scales[:32, None]
  assert (np.abs(rounded - matrix) <= scales[:32, None] * 0.5001).all()
  assert (np.abs(levels[:32]).max(axis=1) == 127).all()
  excluded = np.asarray(layer.penalty) == vocabulary_head.EXCLUDED
  np.testing.assert_array_equal(excluded[:32], ~SUPPORT)
  assert excluded[32:].all()


def begun(tiny, wanted, rows_per_slot=2, num_samples=5, max_tokens=6):
  model, params = tiny
  inputs = jnp.array([[5, 6, 1], [7, 1, 0], [8, 1, 0]], jnp.int32)
  cache = model.start(
    params, model.encode(params, inputs), rows_per_slot, max_tokens
  )
  return decode_state.begin(
    cache,
    jax.random.split(jax.random.key(0), 3),
    jnp.array(wanted, jnp.int32),
    rows_per_slot=rows_per_slot,
    num_samples=num_samples,
    max_tokens=max_tokens,
  )


def test_rows_begin_with_the_first_responses_that_are_wanted(tiny):
  state = begun(tiny, wanted=[5, 1, 0])
  np.testing.assert_array_equal(
    state.busy, [[True, True], [True, False], [False, False]]
  )
  np.testing.assert_array_equal(state.started, [2, 1, 0])
  assert state.tokens.shape == state.logprobs.shape == (3, 5, 6)


@pytest.mark.parametrize(
  ("limits", "busy_slots", "most_rows"), [((0, 0), 0, 0), ((2, 0), 2, 2)]
)
def test_it_stops_as_soon_as_few_enough_are_busy(
  tiny, limits, busy_slots, most_rows
):
  model, params = tiny
  config = sampling_config.SamplingConfig(max_tokens=6)
  weights = decode_state.Weights(
    params, decode_state.output_layer(model, params, config)
  )
  state = begun(tiny, wanted=[5, 3, 1])
  advance = jax.jit(
    lambda state: decode_state.advance(
      model, config, weights, state, 6, *map(jnp.int32, limits)
    )
  )
  state = advance(state)
  busy = np.asarray(state.busy)
  assert busy.any(axis=1).sum() <= busy_slots
  assert busy.sum(axis=1).max() <= most_rows
  drawn = np.asarray(state.tokens) != 0
  for slot, wanted in enumerate((5, 3, 1)):
    if not busy[slot].any():  # then all of its responses are there
      assert drawn[slot].any(axis=-1).tolist() == [True] * wanted + [False] * (
        5 - wanted
      )


def test_a_window_that_is_full_stops_it(tiny):
  model, params = tiny
  config = sampling_config.SamplingConfig(max_tokens=6)
  support = jnp.arange(32) > 1  # no EOS: no response ends by itself
  weights = decode_state.Weights(
    params, decode_state.output_layer(model, params, config, support)
  )
  state = begun(tiny, wanted=[2, 2, 2])
  state = jax.jit(
    lambda state: decode_state.advance(model, config, weights, state, 4)
  )(state)
  assert int(state.steps) == 4 and (np.asarray(state.age) == 4).all()
  assert np.asarray(state.busy).all()
