"""Path rules, meshes and batches on 8 fake devices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import types
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.jobs import sft
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config

P = jax.sharding.PartitionSpec


def _mesh(data, model):
  return meshes.MeshConfig(data, model).build(jax.devices()[: data * model])


def _spec(tree, mesh):
  return jax.tree.map(lambda s: s.spec, sharding.tree_shardings(tree, mesh))


def _leaf(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_rules_spread_the_t5x_tree():
  tree = {
    "token_embedder": {"embedding": _leaf(512, 64)},
    "encoder": {
      "layers_0": {
        "attention": {
          "query": {"kernel": _leaf(64, 128)},
          "out": {"kernel": _leaf(128, 64)},
        },
        "mlp": {
          "wi_0": {"kernel": _leaf(64, 256)},
          "wo": {"kernel": _leaf(256, 64)},
        },
      },
      "relpos_bias": {"rel_embedding": _leaf(4, 32)},
      "encoder_norm": {"scale": _leaf(64)},
    },
    "decoder": {"logits_dense": {"kernel": _leaf(64, 512)}},
  }
  spec = _spec(tree, _mesh(4, 2))
  assert spec["token_embedder"]["embedding"] == P("model", "data")
  assert spec["decoder"]["logits_dense"]["kernel"] == P("data", "model")
  layer = spec["encoder"]["layers_0"]
  assert layer["attention"]["query"]["kernel"] == P("data", "model")
  assert layer["attention"]["out"]["kernel"] == P("model", "data")
  assert layer["mlp"]["wi_0"]["kernel"] == P("data", "model")
  assert layer["mlp"]["wo"]["kernel"] == P("model", "data")
  assert spec["encoder"]["relpos_bias"]["rel_embedding"] == P()  # small
  assert spec["encoder"]["encoder_norm"]["scale"] == P()


def test_sizes_that_do_not_divide_are_replicated():
  tree = {
    "token_embedder": {"embedding": _leaf(513, 63)},
    "other": _leaf(77, 64),
    "wide": _leaf(64, 256),
  }
  spec = _spec(tree, _mesh(4, 2))
  assert spec["token_embedder"]["embedding"] == P(None, None)
  assert spec["other"] == P(None, "data")
  assert spec["wide"] == P(None, "data")  # the largest dimension that divides


def test_optimizer_state_follows_its_parameters():
  tree = {
    "opt_state": [{"v": {"token_embedder": {"embedding": _leaf(512, 64)}}}]
  }
  spec = _spec(tree, _mesh(4, 2))
  moment = spec["opt_state"][0]["v"]["token_embedder"]["embedding"]
  assert moment == P("model", "data")


def test_shard_puts_rows_over_data_and_loses_nothing():
  batch = {"a": np.arange(16).reshape(8, 2), "b": None, "c": np.ones(8)}
  placed = sharding.shard(batch, _mesh(4, 2))
  np.testing.assert_array_equal(placed["a"], batch["a"])
  assert placed["a"].sharding.spec == P("data")
  assert placed["a"].addressable_shards[0].data.shape == (2, 2)
  assert placed["b"] is None


def _collectives(program: str) -> list[tuple[str, tuple[int, ...]]]:
  """(operation, shape) of every array that a compiled program exchanges."""
  found = []
  pattern = re.compile(
    r" = (.*?) (all-gather|all-reduce|reduce-scatter|all-to-all)(?:-start)?\("
  )
  for result, operation in pattern.findall(program):
    for shape in re.findall(r"f32\[([\d,]*)\]", result):
      size = tuple(int(n) for n in shape.split(",") if n)
      found.append((operation, size))
  return found


@pytest.fixture(scope="module")
def layer():
  """A model of one layer each, its parameters, a batch and the loss."""
  config = t5.T5Config(512, 64, 4, 16, 128, 1, 1)
  model = language_model.EncoderDecoder(config)
  rng = np.random.default_rng(0)
  batch = types.Batch(
    rng.integers(3, 512, (8, 12)).astype(np.int32),
    rng.integers(3, 512, (8, 1, 10)).astype(np.int32),
    rng.integers(0, 2, (8, 1, 10)).astype(np.float32),
  )
  loss_fn = sft.sft_loss(model, z_loss=1e-2)
  gradient = jax.value_and_grad(lambda p, b: loss_fn(p, b).total)
  return jax.jit(model.init)(jax.random.key(0)), batch, gradient


def _on_mesh(layer, mesh):
  """The gradient compiled for a mesh, and called."""
  params, batch, gradient = layer
  places = sharding.tree_shardings(params, mesh)
  params = jax.device_put(params, places)
  batch = sharding.shard(batch, mesh)
  with meshes.active(mesh):
    # Anew: one function object is traced once for all meshes otherwise.
    program = jax.jit(
      lambda p, b: gradient(p, b), out_shardings=(None, places)
    ).lower(params, batch)
    compiled = program.compile()
    return compiled.as_text(), compiled(params, batch)


@pytest.mark.parametrize("sizes", [(2, 4), (8, 1), (1, 8)])
def test_g07_a_layer_on_a_mesh_equals_one_device(layer, sizes):
  """And no device ever sees the activations of another one's rows."""
  params, batch, gradient = layer
  data, model = sizes
  program, (loss, found) = _on_mesh(layer, _mesh(*sizes))
  expected_loss, expected = jax.jit(gradient)(params, batch)
  assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
  for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
  collectives = _collectives(program)
  gathered = [x for operation, x in collectives if operation == "all-gather"]
  # Kernels as a device needs them: whole along 'data', its part of 'model'.
  kernels = {(64, 64 // model), (64 // model, 64)}
  kernels |= {(64, 128 // model), (128 // model, 64), (64, 512 // model)}
  assert set(gathered) <= kernels | {(4, 32)}  # the relative bias is small
  assert gathered.count((64, 512 // model)) == (data > 1)
  scattered = [x for operation, x in collectives if "scatter" in operation]
  assert scattered == ([(64 // data, 512 // model)] if data > 1 else [])


def test_sampling_exchanges_nothing_between_prompts():
  """Every device decodes its own prompts with weights of its own."""
  model = language_model.EncoderDecoder(t5.T5Config(512, 64, 4, 16, 128, 1, 1))
  mesh = _mesh(8, 1)
  rows = meshes.batch_sharding(mesh)
  keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 8))
  config = sampling_config.SamplingConfig(max_tokens=12)
  with meshes.active(mesh):
    program = (
      jax.jit(
        lambda params, inputs, keys: decoding.sample(
          model, params, inputs, keys, config, 4, None
        )
      )
      .lower(
        sharding.placed(model.abstract(), mesh, sharding.split_over_model),
        jax.ShapeDtypeStruct((8, 16), jnp.int32, sharding=rows),
        jax.ShapeDtypeStruct(keys.shape, keys.dtype, sharding=rows),
      )
      .compile()
    )
  assert _collectives(program.as_text()) == []
  spec = sharding.split_over_model("a/wo/kernel", (128, 64), _mesh(2, 4))
  assert spec == P("model", None)
