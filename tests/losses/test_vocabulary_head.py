"""The vocabulary head: the dense computation, masks, meshes, memory."""

import re

import dense_head
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.distributed import meshes
from xlrm.losses import vocabulary_head


def ours(hidden, matrix, targets, **options):
  found = vocabulary_head.token_statistics(hidden, matrix, targets, **options)
  return jnp.stack([found.logprobs, found.entropy, found.log_z])


def value_and_gradients(function, arguments, coefficients, **options):
  hidden, matrix, targets = arguments

  @jax.jit
  def run(hidden, matrix):
    def weighted(hidden, matrix):
      statistics = function(hidden, matrix, targets, **options)
      return jnp.sum(coefficients * statistics), statistics

    return jax.grad(weighted, (0, 1), has_aux=True)(hidden, matrix)

  return run(hidden, matrix)


@pytest.mark.parametrize(
  "shape, chunk_size",
  [((2, 3, 5), 4), ((3, 1, 4), 256), ((7,), 3)],
)
def test_g06_value_and_gradient_equal_the_dense_computation(shape, chunk_size):
  *arguments, coefficients = dense_head.problem(shape)
  dense_head.assert_close(
    value_and_gradients(ours, arguments, coefficients, chunk_size=chunk_size),
    value_and_gradients(dense_head.dense, arguments, coefficients),
  )


def test_g04_g06_support_and_temperature_equal_the_dense_computation():
  hidden, matrix, targets, coefficients = dense_head.problem((2, 2, 6))
  support = jnp.arange(dense_head.ROWS) % 3 != 0
  targets = jnp.where(support[targets], targets, 1)
  options = {"support": support, "temperature": 0.7}
  arguments = (hidden, matrix, targets)
  dense_head.assert_close(
    value_and_gradients(ours, arguments, coefficients, chunk_size=5, **options),
    value_and_gradients(dense_head.dense, arguments, coefficients, **options),
  )


def test_g04_a_target_outside_the_support_is_impossible_and_finite():
  *arguments, _ = dense_head.problem((1, 2))
  support = jnp.zeros(dense_head.ROWS, bool).at[:2].set(True)
  arguments[2] = jnp.array([[1, 29]])
  coefficients = jnp.zeros((3, 1, 2)).at[0].set(1.0)
  (hidden, matrix), statistics = value_and_gradients(
    ours, arguments, coefficients, support=support
  )
  assert statistics[0, 0, 1] < -1e8
  assert jnp.all(jnp.isfinite(hidden)) and jnp.all(matrix[:, 2:] == 0)


def test_g01_masked_positions_may_hold_nan():
  hidden, matrix, targets, coefficients = dense_head.problem((2, 2, 4))
  mask = jnp.array([[[1, 1, 1, 0], [1, 0, 0, 0]], [[0] * 4, [1] * 4]], bool)
  garbage = jnp.where(mask[..., None], hidden, jnp.nan)
  ids = jnp.where(mask, targets, -7)
  clean = value_and_gradients(
    dense_head.dense, (hidden, matrix, targets), coefficients * mask[None]
  )
  (g_hidden, g_matrix), statistics = value_and_gradients(
    ours, (garbage, matrix, ids), coefficients, mask=mask, chunk_size=4
  )
  dense_head.assert_close(statistics, clean[1] * mask[None])
  dense_head.assert_close((g_hidden, g_matrix), clean[0])
  assert jnp.all(g_hidden[~mask] == 0)


def test_bfloat16_hidden_gives_float32_statistics():
  hidden, matrix, targets, coefficients = dense_head.problem((2, 1, 6))
  half = hidden.astype(jnp.bfloat16)
  (g_hidden, g_matrix), found = value_and_gradients(
    ours, (half, matrix, targets), coefficients
  )
  assert (found.dtype, g_hidden.dtype, g_matrix.dtype) == (
    jnp.float32,
    jnp.bfloat16,
    jnp.float32,
  )
  rounded = matrix.astype(jnp.bfloat16).astype(jnp.float32)
  (_, expected_matrix), expected = value_and_gradients(
    dense_head.dense, (half, rounded, targets), coefficients
  )
  dense_head.assert_close(found, expected, 1e-5)  # only the inputs are rounded
  dense_head.assert_close(g_matrix, expected_matrix, 0.05)


def test_statistics_of_an_even_distribution():
  statistics = vocabulary_head.token_statistics(
    jnp.zeros((1, 1, 1, 4)), jnp.ones((4, 16)), jnp.zeros((1, 1, 1), int)
  )
  dense_head.assert_close(
    [x.item() for x in jax.tree.leaves(statistics)],
    [-np.log(16), np.log(16), np.log(16)],
  )


def test_temperature_must_be_positive():
  *arguments, _ = dense_head.problem((1, 1))
  with pytest.raises(ValueError, match=r"temperature 0\.0 is not positive"):
    vocabulary_head.token_statistics(*arguments, temperature=0.0)


def test_statistics_under_vmap():
  *arguments, _ = dense_head.problem((3, 2, 4))
  mapped = jax.jit(jax.vmap(ours, in_axes=(0, None, 0), out_axes=1))
  dense_head.assert_close(mapped(*arguments), dense_head.dense(*arguments))


def compile_head(length, rows, mesh=None, vocabulary=("model",)):
  def array(shape, dtype, *axes):
    if mesh is None:
      return jax.ShapeDtypeStruct(shape, dtype)
    spec = jax.sharding.PartitionSpec(*axes)
    sharding = jax.sharding.NamedSharding(mesh, spec)
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

  tokens = (8, 1, length)
  return (
    jax.jit(dense_head.head_gradient)
    .lower(
      array((*tokens, 64), jnp.float32, "data"),
      array((64, rows), jnp.float32, None, *vocabulary),
      array(tokens, jnp.int32, "data"),
      array(tokens, jnp.float32, "data"),
    )
    .compile()
  )


def test_g06_memory_of_the_head_does_not_grow_with_tokens_x_vocabulary():
  rows = 50_000
  short, long = (
    compile_head(length, rows).memory_analysis().temp_size_in_bytes
    for length in (64, 256)
  )
  more_logits = 8 * (256 - 64) * rows * 4
  assert long - short < 0.05 * more_logits


@pytest.fixture(scope="module")
def mesh():
  devices = np.array(jax.devices()[:8]).reshape(2, 4)
  return jax.sharding.Mesh(devices, ("data", "model"))


@pytest.mark.parametrize("active", [True, False])
def test_a_sharded_vocabulary_is_never_gathered(mesh, active):
  with meshes.active(mesh if active else None):
    program = compile_head(128, 4096, mesh).as_text()
  assert "all-gather" not in program and "all-to-all" not in program


def test_chunks_exchange_nothing_as_large_as_the_matrix(mesh):
  """Its gradient is summed over devices once, not once per chunk."""
  with meshes.active(mesh):
    program = compile_head(256, 4096, mesh).as_text()
  bodies = re.findall(r"body=(%?[\w.-]+)", program)
  assert len(bodies) == 2  # the chunks forward and backward
  for body in bodies:
    start = program.index(f"\n{body} (")
    text = program[start : program.index("\n}", start)]
    assert "f32[64,1024]" in text  # the matrix is there, and stays
    for line in text.splitlines():
      if re.search(r" (all-reduce|reduce-scatter)\(", line):
        assert "4096" not in line and "1024" not in line


@pytest.mark.parametrize("active", [True, False])
def test_a_sharded_head_equals_one_device(mesh, active):
  keys = jax.random.split(jax.random.key(0), 3)
  arguments = (
    jax.random.normal(keys[0], (8, 1, 64, dense_head.WIDTH)),
    jax.random.normal(keys[1], (dense_head.WIDTH, 64)),
    jax.random.randint(keys[2], (8, 1, 64), 0, 64),
    jnp.ones((8, 1, 64)),
  )
  spec = jax.sharding.PartitionSpec
  specs = (spec("data"), spec(None, "model"), spec("data"), spec("data"))
  sharded = [
    jax.device_put(x, jax.sharding.NamedSharding(mesh, s))
    for x, s in zip(arguments, specs, strict=True)
  ]
  with meshes.active(mesh if active else None):
    found = jax.jit(dense_head.head_gradient)(*sharded)
  dense_head.assert_close(found, jax.jit(dense_head.head_gradient)(*arguments))


def test_a_batch_that_does_not_fit_the_mesh_is_computed_all_the_same(mesh):
  *arguments, _ = dense_head.problem((3, 2, 4))
  with meshes.active(mesh):
    found = jax.jit(ours)(*arguments)
  dense_head.assert_close(found, dense_head.dense(*arguments))
