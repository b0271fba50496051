"""Continuous batching draws what every row would draw alone."""

import dataclasses

import jax
import numpy as np
import pytest

from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_programs
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config
from xlrm.sampling import scheduler

VOCABULARY = 128
# Ten tokens, EOS one of them, so that lengths differ.
SUPPORT = (np.arange(VOCABULARY) - 1) % 13 == 0
CONFIG = sampling_config.SamplingConfig(max_tokens=12)
LENGTHS = [8, 16]


@pytest.fixture(scope="module")
def tiny():
  config = t5.T5Config(
    vocab_size=VOCABULARY,
    emb_dim=16,
    num_heads=2,
    head_dim=4,
    mlp_dim=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
  )
  return language_model.EncoderDecoder(config)


@pytest.fixture(scope="module")
def params(tiny):
  return jax.jit(tiny.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def prompts():
  generator = np.random.default_rng(0)
  lengths = [3, 16, 5, 8, 9, 2, 12, 4, 6, 7, 5]
  rows = [
    generator.integers(3, VOCABULARY, n).astype(np.int32) for n in lengths
  ]
  for row in rows:
    row[-1] = 1
  return rows


def draw(model, params, prompts, config=CONFIG, support=SUPPORT, **options):
  options = {
    "num_samples": 5,
    "shape": batch_shapes.BatchShape(4, 2),
    "lengths": LENGTHS,
    "seed": 3,
    "min_rows": 1,
    **options,
  }
  found = {}
  with meshes.active(options.get("mesh")):
    weights = decode_programs.prepare(model, params, config, support)
  stream = scheduler.Scheduler(
    model, weights, config, prompts, range(100, 100 + len(prompts)), **options
  )
  usage = stream.run(
    lambda index, tokens, logprobs: found.update({index: (tokens, logprobs)})
  )
  assert sorted(found) == list(range(len(prompts)))
  return [found[i] for i in range(len(prompts))], usage


@pytest.fixture(scope="module")
def drawn(tiny, params, prompts):
  return draw(tiny, params, prompts)


def test_refilled_rows_draw_what_a_row_of_ones_own_draws(
  tiny, params, prompts, drawn
):
  inputs = np.zeros((len(prompts), 16), np.int32)
  for row, prompt in enumerate(prompts):
    inputs[row, : len(prompt)] = prompt
  hashes = np.arange(100, 100 + len(prompts), dtype=np.uint32)

  @jax.jit
  def whole(params, inputs, hashes):
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(3), hashes)
    return decoding.sample(tiny, params, inputs, keys, CONFIG, 5, SUPPORT)

  expected = jax.device_get(whole(params, inputs, hashes))
  results, usage = drawn
  for row, (tokens, logprobs) in enumerate(results):
    np.testing.assert_array_equal(tokens, expected.tokens[row])
    np.testing.assert_allclose(logprobs, expected.logprobs[row], atol=1e-5)
  assert usage.useful == np.count_nonzero(expected.tokens)
  assert len({np.count_nonzero(x) for x in expected.tokens.reshape(-1, 12)}) > 4


def test_g03_logprobs_of_refilled_rows_are_teacher_forced_ones(
  tiny, params, prompts, drawn
):
  tokens, logprobs = drawn[0][1]
  expected = jax.jit(
    lambda params, inputs, tokens: decoding.token_logprobs(
      tiny, params, inputs, tokens, support=SUPPORT
    )
  )(params, prompts[1][None], tokens[None])
  np.testing.assert_allclose(logprobs, expected[0], atol=1e-4)


@pytest.mark.parametrize(
  "options",
  [
    {"shape": batch_shapes.BatchShape(1, 1)},
    {"shape": batch_shapes.BatchShape(7, 5)},
    {"shape": batch_shapes.BatchShape(16, 2), "min_rows": 32},
  ],
)
def test_g01_the_batch_shape_changes_no_sample(
  tiny, params, prompts, drawn, options
):
  results, _ = draw(tiny, params, prompts, **options)
  for (tokens, logprobs), expected in zip(results, drawn[0]):
    np.testing.assert_array_equal(tokens, expected[0])
    np.testing.assert_allclose(logprobs, expected[1], atol=1e-5)


@pytest.mark.parametrize(
  ("data", "model"), [(4, 2), pytest.param(1, 2, marks=pytest.mark.slow)]
)
def test_g01_a_mesh_changes_no_sample(
  tiny, params, prompts, drawn, data, model
):
  mesh = meshes.MeshConfig(data, model).build(jax.devices()[: data * model])
  placed = sharding.tree_shardings(params, mesh, sharding.split_over_model)
  results, _ = draw(
    tiny,
    jax.device_put(params, placed),
    prompts,
    mesh=mesh,
    shape=batch_shapes.BatchShape(4, 2),
  )
  for (tokens, logprobs), expected in zip(results, drawn[0]):
    np.testing.assert_array_equal(tokens, expected[0])
    np.testing.assert_allclose(logprobs, expected[1], atol=1e-5)


def test_the_same_prompts_give_the_same_bytes(tiny, params, prompts, drawn):
  compiled = decode_programs.advance._cache_size()
  again, usage = draw(tiny, params, prompts)
  for found, expected in zip(again, drawn[0]):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
  assert usage == drawn[1]
  assert decode_programs.advance._cache_size() == compiled


def test_the_window_grows_in_steps(tiny, params, prompts, monkeypatch):
  """A response that outlives the window goes on in a longer one."""
  config = dataclasses.replace(CONFIG, max_tokens=20)
  expected, _ = draw(tiny, params, prompts[:4], config)
  monkeypatch.setattr(batch_shapes, "FIRST_WINDOW", 2)
  results, _ = draw(tiny, params, prompts[:4], config)
  longest = max(np.count_nonzero(x[0], axis=-1).max() for x in expected)
  assert longest > 8  # windows of 2, 8 and 20
  for found, want in zip(results, expected):
    np.testing.assert_array_equal(found[0], want[0])
    np.testing.assert_allclose(found[1], want[1], atol=1e-5)


def test_finished_rows_cost_little(tiny, params):
  """Lengths are geometric of mean 24, at most 64; 64 prompts, 8 samples."""
  support = np.arange(VOCABULARY) < 25
  support[0] = False
  config = sampling_config.SamplingConfig(max_tokens=64, temperature=1e4)
  prompts = [np.array([5, 6, 7, 1], np.int32)] * 64
  shape = batch_shapes.choose_batch_shape(
    language_model.EncoderDecoder(t5.mt5("small")),
    batch_size=32,
    num_prompts=64,
    num_samples=8,
    prompt_length=128,
  )
  results, usage = draw(
    tiny,
    params,
    prompts,
    config,
    support,
    num_samples=8,
    shape=shape,
    min_rows=scheduler.MIN_ROWS,
    lengths=[4],
  )
  lengths = np.count_nonzero(np.stack([x[0] for x in results]), axis=-1)
  # The mean of min(geometric(1/24), 64), and its error.
  mean = 24 * (1 - (23 / 24) ** 64)
  assert abs(lengths.mean() - mean) < 4 * 20 / lengths.size**0.5
  assert usage.share >= 0.85, usage.share
