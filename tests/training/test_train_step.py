"""One step: device layouts, microbatches, frozen leaves, infinite losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run

from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.training import frozen_params
from xlrm.training import optimizers
from xlrm.training import train_step


def _mesh(data=1, model=1):
  return meshes.MeshConfig(data, model).build(jax.devices()[: data * model])


def _train(mesh, *, parts=1, steps=5, frozen=(), source=None, optimizer=None):
  optimizer = optimizer or optimizers.adafactor(1e-2)
  source = source or tiny_run.Source()
  params = tiny_run.new_params()
  mask = frozen_params.frozen_mask(params, frozen) if frozen else None
  state = train_step.initial_state(params, optimizer, mesh, mask)
  step = train_step.make_train_step(
    tiny_run.make_loss(), optimizer, num_microbatches=parts, mask=mask
  )
  abstract = train_step.abstract_state(params, optimizer, mesh, mask)
  step = train_step.jit_train_step(step, abstract)
  history, stream = [], source.train_batches(0)
  for _ in range(steps):
    batch = sharding.shard(next(stream), mesh)
    state, metrics = step(state, batch, jax.random.key(0))
    history.append(jax.device_get(metrics))
  return state, history


@pytest.fixture(scope="module")
def one_device():
  return _train(_mesh())


@pytest.mark.parametrize(
  "data, model, parts",
  [(8, 1, 1), (4, 2, 1), (1, 8, 1), (1, 1, 4), (4, 2, 2)],
)
def test_g07_layout_and_microbatches_do_not_change_the_parameters(
  one_device, data, model, parts
):
  expected, losses = one_device
  state, history = _train(_mesh(data, model), parts=parts)
  for a, b in zip(
    jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True
  ):
    np.testing.assert_allclose(a, b, atol=1e-5, rtol=0)
  for a, b in zip(history, losses):
    assert a["loss"][1] == b["loss"][1]
    np.testing.assert_allclose(a["loss"][0], b["loss"][0], rtol=1e-5)
  embedding = state.params["token_embedder"]["embedding"]
  shard = embedding.addressable_shards[0].data.shape
  assert shard == (tiny_run.VOCAB // model, tiny_run.WIDTH // data) or (
    data > 1 and model == 1 and shard == (tiny_run.VOCAB // data, 16)
  )


def test_g07_rows_of_weight_zero_change_nothing(one_device):
  """Uneven weights in microbatches: one of them may even weigh nothing."""

  class Half(tiny_run.Source):
    def batch(self, index):
      batch = super().batch(index)
      batch["weights"][::2] = 0
      return batch

  one, _ = _train(_mesh(), source=Half())
  two, _ = _train(_mesh(), source=Half(), parts=2)
  for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(two.params)):
    np.testing.assert_allclose(a, b, atol=1e-5, rtol=0)


def test_a_step_divides_the_gradient_by_the_sum_of_weights():
  """With SGD of rate 1 the step IS the gradient of total / weight."""
  import optax

  state, _ = _train(_mesh(), steps=1, parts=4, optimizer=optax.sgd(1.0))
  batch = tiny_run.Source().batch(0)
  params = tiny_run.new_params()

  def mean(params):
    loss = tiny_run.make_loss()(params, batch)
    return loss.total / loss.weight

  expected = jax.grad(mean)(params)
  moved = jax.tree.map(lambda a, b: a - b, params, state.params)
  for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_frozen_parameters_do_not_move_and_cost_nothing():
  frozen = ("^token_embedder/", "logits_dense")
  state, history = _train(_mesh(), steps=2, frozen=frozen)
  before = tiny_run.new_params()
  for name in ("token_embedder", "decoder/logits_dense"):
    a, b = state.params, before
    for key in name.split("/"):
      a, b = a[key], b[key]
    np.testing.assert_array_equal(jax.tree.leaves(a)[0], jax.tree.leaves(b)[0])
  moved = state.params["decoder"]["mlp"]["kernel"]
  assert float(jnp.abs(moved - before["decoder"]["mlp"]["kernel"]).max()) > 0
  large = [x for x in jax.tree.leaves(state.opt_state) if x.size >= 4096]
  assert [x.shape for x in large] == [(tiny_run.WIDTH, 256)]
  assert history[1]["gradient_norm"][0] > 0


def test_g22_an_update_that_is_not_finite_is_skipped_and_counted():
  source = tiny_run.Source(bad_from=2, bad_until=4)
  state, history = _train(_mesh(), steps=5, source=source)
  two, _ = _train(_mesh(), steps=2)
  assert [int(m["skipped"][0]) for m in history] == [0, 0, 1, 1, 0]
  assert [float(m["loss"][1] > 0) for m in history] == [1, 1, 0, 0, 1]
  assert int(state.step) == 5
  assert (int(state.nonfinite_streak), int(state.nonfinite_total)) == (0, 2)
  bad, _ = _train(_mesh(), steps=4, source=source)
  assert int(bad.nonfinite_streak) == 2
  for part in ("params", "opt_state"):
    a, b = getattr(bad, part), getattr(two, part)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
      np.testing.assert_array_equal(x, y)


def test_the_state_is_made_in_place_from_a_function():
  mesh, optimizer = _mesh(4, 2), optimizers.adamw(1.0)
  lazy = lazy_params.LazyParams.computed(tiny_run.new_params)
  made = train_step.initial_state(lazy, optimizer, mesh)
  given = train_step.initial_state(tiny_run.new_params(), optimizer, mesh)
  for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(given), strict=True):
    assert a.sharding == b.sharding
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_given_parameters_survive_the_donation_of_the_state():
  mesh, optimizer = _mesh(), optimizers.adamw(1.0)
  params = jax.device_put(tiny_run.new_params(), jax.devices()[0])
  state = train_step.initial_state(params, optimizer, mesh)
  jax.tree.map(lambda x: x.delete(), state.params)
  assert np.isfinite(np.asarray(jax.tree.leaves(params)[0])).all()
  train_step.initial_state(params, optimizer, _mesh(8))  # committed elsewhere
