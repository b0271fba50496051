import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import types
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.text import tokenizer

INPUTS = np.array([[5, 6, 7, 1], [8, 9, 1, 0]], np.int32)
TARGETS = np.array(
  [
    [[11, 12, 13, 14, 1], [11, 1, 0, 0, 0], [21, 22, 23, 24, 25]],
    [[31, 32, 1, 0, 0], [1, 0, 0, 0, 0], [34, 35, 36, 1, 0]],
  ],
  np.int32,
)


def batch_of(inputs, targets):
  return types.Batch(inputs, targets, (targets > 0).astype(np.float32))


BATCH = batch_of(INPUTS, TARGETS)


@functools.partial(jax.jit, static_argnums=0)
def score(scorer, params, batch, key=None):
  return scorer.scores(params, batch, dropout_key=key)


@functools.partial(jax.jit, static_argnums=0)
def token_values(scorer, params, batch):
  return scorer.token_values(params, batch)


@pytest.fixture(scope="module")
def scorer(tiny):
  return response_scorer.ResponseScorer(tiny, None, 6, 5)


@pytest.fixture(scope="module")
def params(scorer):
  return jax.jit(scorer.init)(jax.random.key(1))


@pytest.fixture(scope="module")
def scores(scorer, params):
  return score(scorer, params, BATCH)


def test_tree_has_a_head_and_no_output_matrix(scorer, params, tiny_params):
  assert set(params) == {"backbone", "head"}
  assert params["head"]["kernel"].shape == (16, 1)
  assert params["head"]["bias"].shape == (1,)
  assert "logits_dense" not in params["backbone"]["decoder"]
  started = scorer.from_language_model(jax.random.key(2), tiny_params)
  shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
  assert shapes(started) == shapes(params) == shapes(scorer.abstract())
  assert "logits_dense" in tiny_params["decoder"]
  embedding = started["backbone"]["token_embedder"]["embedding"]
  np.testing.assert_array_equal(
    embedding, tiny_params["token_embedder"]["embedding"]
  )


def test_g01_padding_and_other_rows_change_no_score(scorer, params, scores):
  assert scores.shape == (2, 3)
  assert scores.dtype == jnp.float32
  wide = batch_of(
    np.pad(INPUTS, ((0, 0), (0, 2))),
    np.pad(TARGETS, ((0, 0), (0, 0), (0, 4))),
  )
  np.testing.assert_allclose(score(scorer, params, wide), scores, atol=1e-5)
  alone = score(scorer, params, batch_of(INPUTS[1:], TARGETS[1:, 2:]))
  np.testing.assert_allclose(alone[0, 0], scores[1, 2], atol=1e-5)


def test_g01_garbage_behind_the_response_changes_no_score(
  scorer, params, scores
):
  garbage = np.where(TARGETS == 0, 49, TARGETS).astype(np.int32)
  batch = dataclasses.replace(BATCH, targets=garbage)
  np.testing.assert_allclose(score(scorer, params, batch), scores, atol=1e-5)


def test_g08_changing_only_the_last_token_changes_the_score(
  scorer, params, scores
):
  changed = TARGETS.copy()
  last = (TARGETS > 0).sum(axis=-1) - 1
  np.put_along_axis(changed, last[..., None], 40, axis=-1)
  moved = score(scorer, params, batch_of(INPUTS, changed))
  assert jnp.all(jnp.abs(moved - scores) > 1e-4)


def test_g08_score_is_the_value_read_after_the_last_token(
  scorer, params, scores
):
  longer = np.pad(TARGETS, ((0, 0), (0, 0), (0, 1)))
  values = token_values(scorer, params, batch_of(INPUTS, longer))
  after = (TARGETS > 0).sum(axis=-1)
  read = np.take_along_axis(np.asarray(values), after[..., None], axis=-1)
  np.testing.assert_allclose(read[..., 0], scores, atol=1e-5)


def test_value_of_a_token_is_read_before_it(scorer, params):
  values = token_values(scorer, params, BATCH)
  assert values.shape == TARGETS.shape
  changed = TARGETS.copy()
  changed[:, :, 2] = 40
  difference = jnp.abs(
    token_values(scorer, params, batch_of(INPUTS, changed)) - values
  )
  np.testing.assert_array_equal(difference[..., :3], 0)
  assert jnp.all(difference[..., 3:] > 1e-5)


def test_a_response_without_tokens_gets_the_score_of_the_start(scorer, params):
  empty = np.zeros((1, 1, 3), np.int32)
  result = score(scorer, params, batch_of(INPUTS[:1], empty))
  first = token_values(scorer, params, BATCH)[0, 0, 0]
  np.testing.assert_allclose(result[0, 0], first, atol=1e-5)


def test_a_hole_in_the_weights_does_not_end_the_response(
  scorer, params, scores
):
  weights = np.array(BATCH.weights)
  weights[0, 0, 1] = 0
  batch = dataclasses.replace(BATCH, weights=weights)
  np.testing.assert_allclose(score(scorer, params, batch), scores, atol=1e-6)


def test_scores_are_float32_under_bfloat16(scorer, params, scores, tiny):
  config = dataclasses.replace(tiny.config, dtype="bfloat16")
  half = dataclasses.replace(
    scorer, model=language_model.EncoderDecoder(config)
  )
  result = score(half, params, BATCH)
  assert result.dtype == jnp.float32
  np.testing.assert_allclose(result, scores, atol=0.1)


def test_layer_reads_an_earlier_state(scorer, params):
  first = dataclasses.replace(scorer, layer=1)
  gradient = jax.grad(lambda p: score(first, p, BATCH).sum())(params)
  layers = gradient["backbone"]["decoder"]
  assert jnp.any(layers["layers_0"]["mlp"]["wo"]["kernel"] != 0)
  assert jnp.all(layers["layers_1"]["mlp"]["wo"]["kernel"] == 0)


def test_dropout_key_reaches_the_backbone(params, tiny):
  config = dataclasses.replace(
    tiny.config, dropout_rate=0.3, num_encoder_layers=1, num_decoder_layers=1
  )
  model = language_model.EncoderDecoder(config)
  scorer = response_scorer.ResponseScorer(model, None, 6, 5)
  calm, noisy = (
    score(scorer, params, BATCH, key) for key in (None, jax.random.key(0))
  )
  assert jnp.any(calm != noisy)


def flops(tiny, num_encoder_layers, num_responses):
  config = dataclasses.replace(
    tiny.config, num_encoder_layers=num_encoder_layers
  )
  model = language_model.EncoderDecoder(config)
  scorer = response_scorer.ResponseScorer(model, None, 64, 8)
  shape = (2, num_responses, 8)
  batch = types.Batch(
    jax.ShapeDtypeStruct((2, 64), jnp.int32),
    jax.ShapeDtypeStruct(shape, jnp.int32),
    jax.ShapeDtypeStruct(shape, jnp.float32),
  )
  lowered = jax.jit(scorer.scores).lower(scorer.abstract(), batch)
  return lowered.compile().cost_analysis()["flops"]


def test_encoder_compute_of_16_candidates_is_that_of_one_prompt(tiny):
  one = flops(tiny, 2, 1) - flops(tiny, 1, 1)
  sixteen = flops(tiny, 2, 16) - flops(tiny, 1, 16)
  assert one > 2 * 2 * 64 * (4 * 16 * 8 + 3 * 16 * 24)  # its kernels alone
  np.testing.assert_allclose(sixteen, one, rtol=0.01)


class Letters(tokenizer.Tokenizer):
  """A tokenizer of lower-case letters: a is 3."""

  def encode(self, text):
    return [ord(letter) - ord("a") + 3 for letter in text]


def test_prepare_pads_right_and_keeps_eos_on_truncation(scorer):
  scorer = dataclasses.replace(scorer, tokenizer=Letters("letters"))
  batch = scorer.prepare(["ab", "abcdefgh"], [["a", "abcdefg"], [""]])
  np.testing.assert_array_equal(
    batch.inputs, [[3, 4, 1, 0, 0, 0], [3, 4, 5, 6, 7, 1]]
  )
  np.testing.assert_array_equal(
    batch.targets,
    [
      [[3, 1, 0, 0, 0], [3, 4, 5, 6, 1]],
      [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
    ],
  )
  np.testing.assert_array_equal(batch.weights, batch.targets > 0)
  assert batch.weights.dtype == np.float32


def test_prepare_says_what_is_wrong(scorer):
  with pytest.raises(ValueError, match="needs a tokenizer"):
    scorer.prepare(["a"], [["b"]])
  scorer = dataclasses.replace(scorer, tokenizer=Letters("letters"))
  with pytest.raises(ValueError, match="1 reward_inputs for 2 groups"):
    scorer.prepare(["a"], [["b"], ["c"]])
