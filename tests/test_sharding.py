"""Path rules, meshes and batches on 8 fake devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import sharding

P = jax.sharding.PartitionSpec


def _mesh(data, model):
  return sharding.MeshConfig(data, model).build(jax.devices()[: data * model])


def _spec(tree, mesh):
  return jax.tree.map(lambda s: s.spec, sharding.tree_shardings(tree, mesh))


def _leaf(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_rules_spread_the_t5x_tree():
  tree = {
    "token_embedder": {"embedding": _leaf(512, 64)},
    "encoder": {
      "layers_0": {"mlp": {"wi_0": {"kernel": _leaf(64, 256)}}},
      "relpos_bias": {"rel_embedding": _leaf(4, 32)},
      "encoder_norm": {"scale": _leaf(64)},
    },
    "decoder": {"logits_dense": {"kernel": _leaf(64, 512)}},
  }
  spec = _spec(tree, _mesh(4, 2))
  assert spec["token_embedder"]["embedding"] == P("model", "data")
  assert spec["decoder"]["logits_dense"]["kernel"] == P("data", "model")
  wide = spec["encoder"]["layers_0"]["mlp"]["wi_0"]["kernel"]
  assert wide == P(None, "data")  # the largest dimension that divides
  assert spec["encoder"]["relpos_bias"]["rel_embedding"] == P()  # small
  assert spec["encoder"]["encoder_norm"]["scale"] == P()


def test_sizes_that_do_not_divide_are_replicated():
  tree = {
    "token_embedder": {"embedding": _leaf(513, 63)},
    "other": _leaf(77, 64),
  }
  spec = _spec(tree, _mesh(4, 2))
  assert spec["token_embedder"]["embedding"] == P(None, None)
  assert spec["other"] == P(None, "data")


def test_optimizer_state_follows_its_parameters():
  tree = {
    "opt_state": [{"v": {"token_embedder": {"embedding": _leaf(512, 64)}}}]
  }
  spec = _spec(tree, _mesh(4, 2))
  moment = spec["opt_state"][0]["v"]["token_embedder"]["embedding"]
  assert moment == P("model", "data")


def test_mesh_sizes():
  assert dict(_mesh(4, 2).shape) == {"data": 4, "model": 2}
  everything = sharding.MeshConfig().build()
  assert everything.shape["data"] == len(jax.devices())
  with pytest.raises(ValueError, match=r"data=3 x model=2 .*\(4, 2\)"):
    sharding.MeshConfig(3, 2).build()
  with pytest.raises(ValueError, match="model=0"):
    sharding.MeshConfig(1, 0).build()


def test_shard_puts_rows_over_data_and_loses_nothing():
  batch = {"a": np.arange(16).reshape(8, 2), "b": None, "c": np.ones(8)}
  placed = sharding.shard(batch, _mesh(4, 2))
  np.testing.assert_array_equal(placed["a"], batch["a"])
  assert placed["a"].sharding.spec == P("data")
  assert placed["a"].addressable_shards[0].data.shape == (2, 2)
  assert placed["b"] is None


def test_a_batch_size_that_does_not_divide_names_the_nearest():
  mesh = _mesh(8, 1)
  sharding.check_batch_size(16, mesh, 2)
  with pytest.raises(
    ValueError, match="batch_size 20 .* nearest valid: 16, 24"
  ):
    sharding.check_batch_size(20, mesh)
  with pytest.raises(ValueError, match="nearest valid: 32"):
    sharding.check_batch_size(20, mesh, 4)
