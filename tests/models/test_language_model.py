import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.losses import vocabulary_head
from xlrm.models import language_model

INPUTS = np.array([[5, 6, 7, 1], [8, 9, 1, 0]], np.int32)
TARGETS = np.array(
  [
    [[11, 12, 13, 14, 1], [11, 1, 0, 0, 0], [21, 22, 23, 24, 25]],
    [[31, 32, 1, 0, 0], [1, 0, 0, 0, 0], [34, 35, 36, 1, 0]],
  ],
  np.int32,
)


@functools.partial(jax.jit, static_argnames=("model", "layer"))
def run(model, params, inputs=INPUTS, targets=TARGETS, key=None, layer=None):
  memory = model.encode(params, inputs, dropout_key=key)
  return model.hidden(params, memory, targets, dropout_key=key, layer=layer)


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def begin(model, params, num_samples, max_tokens):
  memory = model.encode(params, INPUTS)
  return model.start(params, memory, num_samples, max_tokens)


def test_g01_prompt_padding_and_other_rows_change_nothing(tiny, tiny_params):
  hidden = run(tiny, tiny_params)
  wide = np.pad(INPUTS, ((0, 0), (0, 3)))
  np.testing.assert_allclose(run(tiny, tiny_params, wide), hidden, atol=1e-5)
  for row in range(2):
    alone = run(
      tiny, tiny_params, INPUTS[row : row + 1], TARGETS[row : row + 1, 1:2]
    )
    np.testing.assert_allclose(alone[0, 0], hidden[row, 1], atol=1e-5)


def test_g01_garbage_after_the_last_token_changes_nothing_before(
  tiny, tiny_params
):
  garbage = np.where(TARGETS == 0, 999_999, TARGETS).astype(np.int32)
  garbage = np.pad(garbage, ((0, 0), (0, 0), (0, 2)), constant_values=-7)
  hidden, changed = (
    run(tiny, tiny_params, targets=x) for x in (TARGETS, garbage)
  )
  real = TARGETS > 0
  np.testing.assert_allclose(changed[:, :, :5][real], hidden[real], atol=1e-5)
  assert jnp.all(jnp.isfinite(changed))


def test_g02_position_t_has_read_the_targets_before_t(tiny, tiny_params):
  hidden = run(tiny, tiny_params)
  for t in range(5):
    changed = TARGETS.copy()
    changed[:, :, t] = 40
    difference = jnp.abs(run(tiny, tiny_params, targets=changed) - hidden).max(
      axis=(0, 1, 3)
    )
    np.testing.assert_array_equal(difference[: t + 1], 0)
    assert np.all(difference[t + 1 :] > 1e-4)


def test_g02_prompt_tokens_and_eos_count_and_padding_does_not(
  tiny, tiny_params
):
  hidden = run(tiny, tiny_params)
  for position, matters in enumerate([True, True, True, False]):
    inputs = INPUTS[1:].copy()
    # Row 1 is [8, 9, EOS, pad]: another prompt of one token less each time.
    inputs[0, position] = 0
    changed = run(tiny, tiny_params, inputs, TARGETS[1:])
    difference = jnp.abs(changed[0] - hidden[1]).max()
    assert (difference > 1e-4) == matters


@pytest.mark.parametrize("max_tokens", [5, 8])
def test_g03_cached_decoding_is_teacher_forcing(tiny, tiny_params, max_tokens):
  hidden = run(tiny, tiny_params)
  cache = begin(tiny, tiny_params, 3, max_tokens)
  step = jax.jit(tiny.step)
  token = np.zeros((2, 3), np.int32)
  for t in range(5):
    state, cache = step(tiny_params, cache, token, np.full((2, 3), t))
    np.testing.assert_allclose(state, hidden[:, :, t], atol=1e-5)
    token = TARGETS[:, :, t]


def test_cache_holds_cross_keys_once_per_prompt(tiny, tiny_params):
  cache = begin(tiny, tiny_params, 7, 5)
  for keys, values in cache.cross:
    # [B H K S] and [B H S K]; all four sizes are 2 or 4 here.
    assert keys.shape == (2, 2, 4, 4) == values.shape


def test_segments_equal_separate_rows(tiny, tiny_params):
  inputs = np.array([[5, 6, 1, 8, 9, 7, 1, 0]], np.int32)
  input_segments = np.array([[1, 1, 1, 2, 2, 2, 2, 0]], np.int32)
  targets = np.array([[[11, 1, 21, 22, 1, 0]]], np.int32)
  segments = np.array([[[1, 1, 2, 2, 2, 0]]], np.int32)

  @jax.jit
  def run_packed(params):
    memory = tiny.encode(params, inputs, segments=input_segments)
    return tiny.hidden(params, memory, targets, segments=segments)

  packed = run_packed(tiny_params)
  first = run(tiny, tiny_params, inputs[:, :3], targets[:, :, :2])
  second = run(tiny, tiny_params, inputs[:, 3:7], targets[:, :, 2:5])
  separate = np.concatenate([first, second], axis=2)
  np.testing.assert_allclose(packed[:, :, :5], separate, atol=1e-5)


def test_segments_of_one_side_are_an_error(tiny, tiny_params):
  memory = language_model.Memory(np.zeros((2, 4, 16)), INPUTS > 0)
  with pytest.raises(ValueError, match="segments"):
    tiny.hidden(tiny_params, memory, TARGETS, segments=np.ones_like(TARGETS))


def test_layer_reads_an_earlier_state(tiny, tiny_params):
  hidden = run(tiny, tiny_params)
  np.testing.assert_array_equal(run(tiny, tiny_params, layer=2), hidden)
  shallow = dataclasses.replace(tiny.config, num_decoder_layers=1)
  shallow = run(language_model.EncoderDecoder(shallow), tiny_params)
  np.testing.assert_allclose(
    run(tiny, tiny_params, layer=1), shallow, atol=1e-6
  )
  with pytest.raises(ValueError, match=r"layer 3 is not in \[0, 2\]"):
    run(tiny, tiny_params, layer=3)


def test_filler_rows_are_finite(tiny, tiny_params):
  hidden = run(tiny, tiny_params, np.zeros_like(INPUTS), np.zeros_like(TARGETS))
  assert jnp.all(jnp.isfinite(hidden))


def test_length_1_and_batch_1(tiny, tiny_params):
  one = run(tiny, tiny_params, INPUTS[:1, :1], TARGETS[:1, :1, :1])
  assert one.shape == (1, 1, 1, 16)


def one_layer(tiny, **options):
  """Dropout compiles slowly on CPU: one layer each is enough."""
  return language_model.EncoderDecoder(
    dataclasses.replace(
      tiny.config, num_encoder_layers=1, num_decoder_layers=1, **options
    )
  )


def test_dropout_is_a_function_of_its_key(tiny, tiny_params):
  model = one_layer(tiny, dropout_rate=0.2)
  # Rows 0 and 1 of a group hold the same response: two masks.
  twice = TARGETS[:, [0, 0, 2]]
  dropped = [
    run(model, tiny_params, targets=twice, key=jax.random.key(i))
    for i in (0, 0, 1)
  ]
  np.testing.assert_array_equal(dropped[0], dropped[1])
  assert jnp.any(dropped[0] != dropped[2])
  assert jnp.any(dropped[0][:, 0] != dropped[0][:, 1])


def test_g05_no_key_means_no_dropout_whatever_the_config(tiny, tiny_params):
  model, plain = one_layer(tiny, dropout_rate=0.2), one_layer(tiny)
  np.testing.assert_array_equal(
    run(model, tiny_params), run(plain, tiny_params)
  )


@pytest.mark.parametrize(
  "dropout_rate", [0.0, pytest.param(0.2, marks=pytest.mark.slow)]
)
def test_remat_changes_no_number(tiny, tiny_params, dropout_rate):
  def loss(params, remat):
    model = one_layer(tiny, dropout_rate=dropout_rate, remat=remat)
    return jnp.square(run(model, params, key=jax.random.key(0))).sum()

  gradients = []
  for remat in (True, False):
    traced = jax.jit(jax.grad(loss), static_argnums=1).trace(tiny_params, remat)
    assert ("prevent_cse" in str(traced.jaxpr)) == remat
    gradients.append(traced.lower().compile()(tiny_params))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    *gradients,
  )


def test_bfloat16_computes_in_bfloat16_over_float32_parameters(
  tiny, tiny_params
):
  model = language_model.EncoderDecoder(
    dataclasses.replace(tiny.config, dtype="bfloat16")
  )
  shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
  assert shapes(model.abstract()) == shapes(tiny.abstract())
  hidden = run(model, tiny_params)
  assert hidden.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    hidden.astype(np.float32), run(tiny, tiny_params), atol=0.1
  )
  cache = begin(model, tiny_params, 3, 5)
  state, cache = jax.jit(model.step)(
    tiny_params, cache, *[np.zeros((2, 3), np.int32)] * 2
  )
  assert {x.dtype for x in jax.tree.leaves(cache.past)} == {
    jnp.dtype("bfloat16")
  }
  np.testing.assert_allclose(
    state.astype(np.float32), hidden[:, :, 0].astype(np.float32), atol=0.05
  )


def test_tied_output_matrix_is_the_scaled_embedding(tiny, tiny_params):
  model = one_layer(tiny, tie_embeddings=True)
  assert "logits_dense" not in model.abstract()["decoder"]
  np.testing.assert_allclose(
    model.output_matrix(tiny_params),
    tiny_params["token_embedder"]["embedding"].T / 4,
    rtol=1e-6,
  )


def test_hidden_under_vmap_over_parameters(tiny, tiny_params):
  stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), tiny_params)
  both = jax.vmap(lambda params: run(tiny, params))(stacked)
  np.testing.assert_allclose(both[0], run(tiny, tiny_params), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_implicit_promotion(tiny, tiny_params, dtype):
  model = one_layer(tiny, dropout_rate=0.1, dtype=dtype, remat=True)

  def total(params, key):
    hidden = run(model, params, key=key)
    cache = begin(model, params, 3, 5)
    state, _ = model.step(params, cache, *[jnp.zeros((2, 3), jnp.int32)] * 2)
    assert hidden.dtype == state.dtype == dtype
    statistics = vocabulary_head.token_statistics(
      hidden,
      model.output_matrix(params),
      TARGETS,
      mask=TARGETS > 0,
      support=np.arange(50) > 0,
      temperature=0.7,
    )
    return sum(jnp.sum(x) for x in jax.tree.leaves(statistics))

  with jax.numpy_dtype_promotion("strict"):
    gradient = jax.eval_shape(jax.grad(total), tiny_params, jax.random.key(0))
  assert {x.dtype for x in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
