import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

PROMPTS = np.array(
  [[5, 6, 7, 8, 9, 1], [8, 9, 1, 0, 0, 0], [6, 6, 1, 0, 0, 0]], np.int32
)
# Responses of each prompt: [3 prompts, 3 responses, 5 tokens].
RESPONSES = np.random.default_rng(0).integers(3, 50, (3, 3, 5)).astype(np.int32)


@pytest.fixture(scope="module")
def expected(tiny, tiny_params):
  memory = jax.jit(tiny.encode)(tiny_params, PROMPTS)
  return np.asarray(jax.jit(tiny.hidden)(tiny_params, memory, RESPONSES))


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def start(model, params, inputs, rows, window):
  return model.start(params, model.encode(params, inputs), rows, window)


class Decoding:
  """Steps of rows that each draw given responses, one after the other."""

  def __init__(self, model, params, cache, prompts, queues):
    self.step = jax.jit(model.step)
    self.params, self.cache, self.prompts = params, cache, list(prompts)
    self.queues = queues  # [P][N] lists of responses
    self.age = np.zeros((len(queues), len(queues[0])), np.int32)

  def advance(self, expected):
    tokens = np.zeros_like(self.age)
    for (p, n), age in np.ndenumerate(self.age):
      if age and self.queues[p][n]:
        response = self.queues[p][n][0]
        tokens[p, n] = RESPONSES[self.prompts[p], response, age - 1]
    states, self.cache = self.step(self.params, self.cache, tokens, self.age)
    for (p, n), age in np.ndenumerate(self.age):
      if self.queues[p][n]:
        want = expected[self.prompts[p], self.queues[p][n][0], age]
        np.testing.assert_allclose(states[p, n], want, atol=1e-5)
        self.age[p, n] = (age + 1) % 5
        if age == 4:
          self.queues[p][n].pop(0)


def test_rows_begin_while_others_go_on(tiny, tiny_params, expected):
  """The window wraps, and what a row drew before is not seen."""
  cache = start(tiny, tiny_params, PROMPTS[:2], 2, 5)
  decoding = Decoding(
    tiny, tiny_params, cache, [0, 1], [[[0, 1], []], [[2], [1, 0]]]
  )
  for step in range(13):
    if step == 3:  # a row that was idle begins
      decoding.queues[0][1] = [2, 0]
    decoding.advance(expected)
  assert decoding.queues == [[[], []], [[], []]]


def test_slots_are_replaced_shortened_and_grown(tiny, tiny_params, expected):
  cache = start(tiny, tiny_params, PROMPTS[:2], 2, 2)
  decoding = Decoding(tiny, tiny_params, cache, [0, 1], [[[0], []], [[1], []]])
  decoding.advance(expected)
  decoding.advance(expected)
  # Prompt 2 comes in place of prompt 0; slot 7 does not exist.
  fresh = start(tiny, tiny_params, PROMPTS[[2, 0], :3], 2, 1)
  decoding.cache = decoding.cache.insert(fresh, jnp.array([0, 7]))
  decoding.prompts[0] = 2
  decoding.queues[0], decoding.age[0] = [[0, 2], [1]], 0
  decoding.cache = decoding.cache.grown(4)
  assert decoding.cache.length == 4
  decoding.cache = decoding.cache.shortened(3)
  assert decoding.cache.prompt_length == 3
  decoding.advance(expected)
  decoding.advance(expected)
  decoding.cache = decoding.cache.grown(5)
  # Slot 1, and of slot 0 the rows in another order.
  decoding.cache = decoding.cache.take(
    jnp.array([1, 0]), jnp.array([[0, 1], [1, 0]])
  )
  decoding.prompts = decoding.prompts[::-1]
  decoding.queues = [decoding.queues[1], decoding.queues[0][::-1]]
  decoding.age = np.stack([decoding.age[1], decoding.age[0, ::-1]])
  for _ in range(10):
    decoding.advance(expected)
  assert decoding.queues == [[[], []], [[], []]]
