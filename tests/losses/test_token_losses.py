import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.distributed import meshes
from xlrm.losses import ranking_losses
from xlrm.losses import token_losses
from xlrm.losses import vocabulary_head

WIDTH, ROWS = 8, 30


def problem(shape, seed=0):
  """hidden, output matrix, targets, and a random weighting of the results."""
  keys = jax.random.split(jax.random.key(seed), 4)
  return (
    jax.random.normal(keys[0], (*shape, WIDTH)),
    jax.random.normal(keys[1], (WIDTH, ROWS)),
    jax.random.randint(keys[2], shape, 0, ROWS),
    jax.random.normal(keys[3], (3, *shape)),
  )


def dense(hidden, matrix, targets, support=None, temperature=1.0):
  """The same statistics from all logits at once."""
  logits = jnp.dot(hidden.astype(jnp.float32), matrix) / temperature
  if support is not None:
    support = jnp.expand_dims(support, range(logits.ndim - 1))
    logits = jnp.where(support, logits, -1e30)
  log_z = jax.nn.logsumexp(logits, axis=-1)
  logprobs = logits - log_z[..., None]
  chosen = jnp.take_along_axis(logprobs, targets[..., None], axis=-1)[..., 0]
  probabilities = jnp.exp(logprobs)
  entropy = -jnp.sum(
    jnp.where(probabilities > 0, probabilities * logprobs, 0.0), axis=-1
  )
  return jnp.stack([chosen, entropy, log_z])


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


def assert_close(found, expected, tolerance=1e-5):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance
    ),
    found,
    expected,
  )


@pytest.mark.parametrize(
  "shape, chunk_size",
  [((2, 3, 5), 4), ((3, 1, 4), 256), ((7,), 3)],
)
def test_g06_value_and_gradient_equal_the_dense_computation(shape, chunk_size):
  *arguments, coefficients = problem(shape)
  assert_close(
    value_and_gradients(ours, arguments, coefficients, chunk_size=chunk_size),
    value_and_gradients(dense, arguments, coefficients),
  )


def test_g04_g06_support_and_temperature_equal_the_dense_computation():
  hidden, matrix, targets, coefficients = problem((2, 2, 6))
  support = jnp.arange(ROWS) % 3 != 0
  targets = jnp.where(support[targets], targets, 1)
  options = {"support": support, "temperature": 0.7}
  arguments = (hidden, matrix, targets)
  assert_close(
    value_and_gradients(ours, arguments, coefficients, chunk_size=5, **options),
    value_and_gradients(dense, arguments, coefficients, **options),
  )


def test_g04_a_target_outside_the_support_is_impossible_and_finite():
  *arguments, _ = problem((1, 2))
  support = jnp.zeros(ROWS, bool).at[:2].set(True)
  arguments[2] = jnp.array([[1, 29]])
  coefficients = jnp.zeros((3, 1, 2)).at[0].set(1.0)
  (hidden, matrix), statistics = value_and_gradients(
    ours, arguments, coefficients, support=support
  )
  assert statistics[0, 0, 1] < -1e8
  assert jnp.all(jnp.isfinite(hidden)) and jnp.all(matrix[:, 2:] == 0)


def test_g01_masked_positions_may_hold_nan():
  hidden, matrix, targets, coefficients = problem((2, 2, 4))
  mask = jnp.array([[[1, 1, 1, 0], [1, 0, 0, 0]], [[0] * 4, [1] * 4]], bool)
  garbage = jnp.where(mask[..., None], hidden, jnp.nan)
  ids = jnp.where(mask, targets, -7)
  clean = value_and_gradients(
    dense, (hidden, matrix, targets), coefficients * mask[None]
  )
  (g_hidden, g_matrix), statistics = value_and_gradients(
    ours, (garbage, matrix, ids), coefficients, mask=mask, chunk_size=4
  )
  assert_close(statistics, clean[1] * mask[None])
  assert_close((g_hidden, g_matrix), clean[0])
  assert jnp.all(g_hidden[~mask] == 0)


def test_bfloat16_hidden_gives_float32_statistics():
  hidden, matrix, targets, coefficients = problem((2, 1, 6))
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
    dense, (half, rounded, targets), coefficients
  )
  assert_close(found, expected, 1e-5)  # only the inputs are rounded
  assert_close(g_matrix, expected_matrix, 0.05)


def test_statistics_of_an_even_distribution():
  statistics = vocabulary_head.token_statistics(
    jnp.zeros((1, 1, 1, 4)), jnp.ones((4, 16)), jnp.zeros((1, 1, 1), int)
  )
  assert_close(
    [x.item() for x in jax.tree.leaves(statistics)],
    [-np.log(16), np.log(16), np.log(16)],
  )


def test_temperature_must_be_positive():
  *arguments, _ = problem((1, 1))
  with pytest.raises(ValueError, match=r"temperature 0\.0 is not positive"):
    vocabulary_head.token_statistics(*arguments, temperature=0.0)


def test_statistics_under_vmap():
  *arguments, _ = problem((3, 2, 4))
  mapped = jax.jit(jax.vmap(ours, in_axes=(0, None, 0), out_axes=1))
  assert_close(mapped(*arguments), dense(*arguments))


def head_gradient(hidden, matrix, targets, weights):
  total = lambda h, w: (
    token_losses.language_model_loss(h, w, targets, weights).total
  )
  return jax.value_and_grad(total, (0, 1))(hidden, matrix)


def compile_head(length, rows, mesh=None, vocabulary=("model",)):
  def array(shape, dtype, *axes):
    if mesh is None:
      return jax.ShapeDtypeStruct(shape, dtype)
    spec = jax.sharding.PartitionSpec(*axes)
    sharding = jax.sharding.NamedSharding(mesh, spec)
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

  tokens = (8, 1, length)
  return (
    jax.jit(head_gradient)
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
    jax.random.normal(keys[0], (8, 1, 64, WIDTH)),
    jax.random.normal(keys[1], (WIDTH, 64)),
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
    found = jax.jit(head_gradient)(*sharded)
  assert_close(found, jax.jit(head_gradient)(*arguments))


def test_a_batch_that_does_not_fit_the_mesh_is_computed_all_the_same(mesh):
  *arguments, _ = problem((3, 2, 4))
  with meshes.active(mesh):
    found = jax.jit(ours)(*arguments)
  assert_close(found, dense(*arguments))


def test_language_model_loss_sums_over_weights():
  hidden, matrix, targets, _ = problem((2, 1, 3))
  weights = jnp.array([[[1.0, 0.5, 0.0]], [[0.0, 0.0, 2.0]]])
  loss = jax.jit(token_losses.language_model_loss, static_argnames="z_loss")(
    hidden, matrix, targets, weights, z_loss=0.1
  )
  logprobs, _, log_z = dense(hidden, matrix, targets)
  cross_entropy = -(weights * logprobs).sum()
  penalty = 0.1 * (weights * log_z**2).sum()
  assert_close(loss.total, cross_entropy + penalty)
  assert_close(loss.weight, 3.5)
  assert_close(loss.metrics["cross_entropy"], (cross_entropy, 3.5))
  assert_close(loss.metrics["z_loss"], (penalty, 3.5))


def test_g01_language_model_loss_ignores_garbage():
  hidden, matrix, targets, _ = problem((2, 1, 3))
  weights = jnp.array([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]])
  garbage = jnp.where(weights[..., None] > 0, hidden, jnp.nan)
  clean = head_gradient(hidden, matrix, targets, weights)
  assert_close(head_gradient(garbage, matrix, targets, weights), clean)


def test_loss_of_filler_rows_is_zero_and_finite():
  hidden, matrix, targets, _ = problem((2, 1, 3))
  total, gradients = head_gradient(
    hidden, matrix, targets, jnp.zeros((2, 1, 3))
  )
  assert total == 0 and all(jnp.all(x == 0) for x in gradients)


def test_rating_loss_by_hand():
  scores = jnp.array([[0.0, 2.0], [-1.0, jnp.nan]])
  ratings = jnp.array([[1.0, 0.25], [0.0, jnp.nan]])
  counted = jnp.array([[True, True], [True, False]])
  total = lambda s: token_losses.rating_loss(s, ratings, counted).total
  value, gradient = jax.value_and_grad(total)(scores)
  sigmoid = lambda r: 1 / (1 + np.exp(-r))
  by_hand = -np.log(0.5) - 0.25 * np.log(sigmoid(2.0))
  by_hand -= 0.75 * np.log(sigmoid(-2.0)) + np.log(sigmoid(1.0))
  assert_close(value, by_hand)
  expected = [[-0.5, sigmoid(2.0) - 0.25], [sigmoid(-1.0), 0.0]]
  assert_close(gradient, np.array(expected))
  loss = token_losses.rating_loss(scores, ratings, counted)
  assert loss.weight == 3
  assert_close(loss.metrics["accuracy"], (1.0, 3.0))


def test_detection_loss_counts_what_was_asked():
  logits = jnp.array([[[3.0, -1.0, jnp.nan, 2.0]]])
  replaced = jnp.array([[[1, 0, -1, 0]]])
  loss = token_losses.detection_loss(logits, replaced)
  by_hand = np.log1p(np.exp(-3)) + np.log1p(np.exp(-1)) + np.log1p(np.exp(2))
  assert_close(loss.total, by_hand)
  assert loss.weight == 3
  assert_close(loss.metrics["accuracy"], (2.0, 3.0))
  gradient = jax.grad(lambda x: token_losses.detection_loss(x, replaced).total)
  assert gradient(logits)[0, 0, 2] == 0


def test_no_implicit_promotion():
  scores = jnp.zeros((2, 3))
  asked = jnp.ones((2, 3), bool)
  ranks = jnp.zeros((2, 3), jnp.int32)
  replaced = jnp.zeros((2, 1, 3), jnp.int32)
  with jax.numpy_dtype_promotion("strict"):
    jax.eval_shape(token_losses.rating_loss, scores, scores, asked)
    jax.eval_shape(ranking_losses.ranking_loss, scores, ranks)
    jax.eval_shape(token_losses.detection_loss, scores[:, None], replaced)
