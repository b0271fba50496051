"""Slots are filled, grown, shortened and taken out, and draw as before."""

import jax
import letters
import numpy as np
import pytest

from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_programs
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config

CONFIG = sampling_config.SamplingConfig(max_tokens=8)
SUPPORT = np.arange(32) > 0
PROMPTS = np.array([[5, 6, 7, 1], [8, 9, 1, 0], [4, 1, 0, 0]], np.int32)
HASHES = np.array([11, 12, 13], np.uint32)
SEED = np.uint32(3)


@pytest.fixture(scope="module")
def tiny():
  model = letters.model()
  return model, jax.jit(model.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def weights(tiny):
  return decode_programs.prepare(*tiny, CONFIG, SUPPORT)


def filled(tiny, slots, wanted, window=8):
  """A state of four slots with two rows each."""
  model, params = tiny
  shape = batch_shapes.BatchShape(4, 2)
  state = decode_programs.empty(model, params, shape, 3, 6, 8, window)
  slots, wanted = (np.array(x, np.int32) for x in (slots, wanted))
  return decode_programs.prefill(
    model, params, state, PROMPTS, HASHES, SEED, slots, wanted
  )


def advance(tiny, weights, state, slots=0, rows=0):
  limits = np.int32(slots), np.int32(rows)
  return decode_programs.advance(tiny[0], CONFIG, weights, state, *limits)


@pytest.fixture(scope="module")
def expected(tiny):
  """Tokens of each prompt, every response in a row of its own."""
  model, params = tiny

  @jax.jit
  def whole(params):
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3), HASHES)
    return decoding.sample(model, params, PROMPTS, keys, CONFIG, 3, SUPPORT)

  return np.asarray(whole(params).tokens)


def test_an_empty_state_holds_no_prompt(tiny):
  model, params = tiny
  shape = batch_shapes.BatchShape(4, 2)
  state = decode_programs.empty(model, params, shape, 3, 4, 8, 8)
  assert not np.asarray(state.busy).any()
  assert state.tokens.shape == (4, 3, 8)


def test_prompts_in_any_slots_draw_what_is_theirs(tiny, weights, expected):
  state = filled(tiny, slots=[2, 0, 4], wanted=[3, 2, 3])  # there is no slot 4
  np.testing.assert_array_equal(
    np.asarray(state.busy).any(axis=1), [True, False, True, False]
  )
  state, (busy, oldest, steps) = advance(tiny, weights, state)
  assert not np.asarray(busy).any() and int(oldest) == 0
  assert int(steps) == int(state.steps) > 0
  tokens, logprobs = decode_programs.responses(
    state, np.array([0, 2, 0], np.int32)
  )
  np.testing.assert_array_equal(tokens[0, :2], expected[1, :2])
  assert not np.asarray(tokens[0, 2]).any()  # two were wanted
  np.testing.assert_array_equal(tokens[1], expected[0])
  np.testing.assert_array_equal(tokens[2], tokens[0])
  assert (np.asarray(logprobs)[np.asarray(tokens) > 0] < 0).all()


def test_a_state_that_changes_its_size_goes_on_as_before(
  tiny, weights, expected
):
  """Two slots of four, a longer window, prompts without their padding."""
  state = filled(tiny, slots=[1, 3, 4], wanted=[3, 3, 0], window=2)
  state, (_, oldest, _) = advance(tiny, weights, state)
  assert int(oldest) == 2  # the window is full
  state = decode_programs.grow(state, 8)
  state = decode_programs.shorten(state, 4)
  state = decode_programs.take(state, np.array([3, 1], np.int32), 2)
  assert (state.cache.length, state.cache.prompt_length) == (8, 4)
  assert state.tokens.shape[0] == 2
  state, _ = advance(tiny, weights, state)
  tokens, _ = decode_programs.responses(state, np.array([0, 1], np.int32))
  np.testing.assert_array_equal(tokens[0], expected[1])
  np.testing.assert_array_equal(tokens[1], expected[0])


def test_busy_rows_are_taken_first(tiny):
  state = filled(tiny, slots=[0, 1, 2], wanted=[3, 1, 0])
  idle_first = state.replace(sample=state.sample[:, ::-1])  # [1, 0]
  taken = decode_programs.take(idle_first, np.array([1, 0], np.int32), 1)
  np.testing.assert_array_equal(taken.sample, [[0], [1]])
  assert np.asarray(taken.busy).all()
