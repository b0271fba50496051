import jax
import jax.numpy as jnp
import numpy as np

from xlrm.models import t5_layers


def test_rms_norm_divides_by_the_root_mean_square():
  x = jnp.array([[[[3.0, 4.0]]]])
  params = {"params": {"scale": jnp.array([1.0, 2.0])}}
  y = t5_layers.RMSNorm("float32").apply(params, x)
  rms = np.sqrt((9 + 16) / 2 + 1e-6)
  np.testing.assert_allclose(y[0, 0, 0], [3 / rms, 8 / rms], rtol=1e-6)


def test_rms_norm_of_large_bfloat16_does_not_overflow():
  x = jnp.full((1, 1, 1, 4), 1e18, jnp.bfloat16)
  params = {"params": {"scale": jnp.ones(4)}}
  y = t5_layers.RMSNorm("bfloat16").apply(params, x)
  np.testing.assert_allclose(y.astype(np.float32), 1.0, rtol=1e-2)
  assert y.dtype == jnp.bfloat16


def test_dropout_mask_is_shared_along_the_sequence_only():
  x = jnp.ones((2, 3, 5, 40))
  y = t5_layers.Dropout(0.5).apply({}, x, rngs={"dropout": jax.random.key(0)})
  assert set(np.unique(y)) == {0.0, 2.0}
  np.testing.assert_array_equal(y, jnp.broadcast_to(y[:, :, :1], y.shape))
  rows = y[:, :, 0].reshape(6, -1)
  assert len({row.tobytes() for row in np.asarray(rows)}) == 6


def test_dropout_is_off_without_a_key():
  x = jnp.ones((1, 1, 2, 3))
  np.testing.assert_array_equal(t5_layers.Dropout(0.5).apply({}, x), x)


def test_embedding_clips_ids_outside_the_table():
  params = {"params": {"embedding": jnp.arange(6.0).reshape(3, 2)}}
  ids = jnp.array([-1, 0, 2, 99])
  rows = t5_layers.Embedding(3, 2, "float32").apply(params, ids)
  np.testing.assert_array_equal(rows[:, 0], [0, 0, 4, 4])


def test_initial_standard_deviations():
  attention = t5_layers.Attention(4, 16, 0.0, "float32", 256)
  x = jnp.zeros((1, 1, 1, 256))
  kv = jnp.zeros((1, 1, 1, 4, 16))
  mask = jnp.ones((1, 1, 1, 1, 1), bool)

  def touch_all(module):
    module.keys_values(x)
    return module(x, kv, kv, mask=mask)

  params = attention.init(jax.random.key(0), method=touch_all)["params"]
  deviations = {name: params[name]["kernel"].std() for name in params}
  np.testing.assert_allclose(deviations["query"], 1 / 64, rtol=0.03)
  np.testing.assert_allclose(deviations["key"], 1 / 16, rtol=0.03)
  np.testing.assert_allclose(deviations["value"], 1 / 16, rtol=0.03)
  np.testing.assert_allclose(deviations["out"], 1 / 8, rtol=0.03)
