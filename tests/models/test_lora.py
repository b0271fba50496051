"""LoRA: adapters over a frozen base, as pure functions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.models import lora
from xlrm.models import t5

MODEL = language_model.EncoderDecoder(
  t5.T5Config(
    vocab_size=24,
    emb_dim=8,
    num_heads=2,
    head_dim=4,
    mlp_dim=12,
    num_encoder_layers=1,
    num_decoder_layers=1,
  )
)
CONFIG = lora.LoraConfig(rank=2, alpha=3.0)
QUERIES_AND_VALUES = {
  f"{place}/{kind}/kernel"
  for place in (
    "encoder/layers_0/attention",
    "decoder/layers_0/self_attention",
    "decoder/layers_0/encoder_decoder_attention",
  )
  for kind in ("query", "value")
}


def random_like(tree, seed=0, scale=0.5):
  draw = np.random.default_rng(seed)
  return jax.tree.map(
    lambda x: jnp.asarray(draw.normal(size=x.shape, scale=scale), x.dtype),
    tree,
  )


BASE = random_like(MODEL.abstract())


def adapters(config=CONFIG, seed=1):
  """With a B that is not 0."""
  abstract = jax.eval_shape(lambda: lora.init(jax.random.key(0), BASE, config))
  return random_like(abstract, seed)


def by_path(tree):
  return {
    sharding.path_name(path): np.asarray(x)
    for path, x in jax.tree_util.tree_leaves_with_path(tree)
  }


def test_merge_equals_numpy_and_leaves_the_rest_alone():
  found, before = by_path(lora.merge(BASE, adapters(), CONFIG)), by_path(BASE)
  pairs = jax.tree.map(lambda x: np.asarray(x, np.float64), adapters())
  assert found.keys() == before.keys() and set(pairs) == QUERIES_AND_VALUES
  for name, matrix in before.items():
    if name not in pairs:
      np.testing.assert_array_equal(found[name], matrix)
      continue
    a, b = pairs[name]["lora_a"], pairs[name]["lora_b"]
    expected = matrix.astype(np.float64)
    for i in range(matrix.shape[0]):
      for j in range(matrix.shape[1]):
        expected[i, j] += 3.0 / 2 * sum(a[i, r] * b[r, j] for r in range(2))
    np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_at_step_0_the_merged_weights_are_the_bases():
  fresh = lora.init(jax.random.key(0), BASE, CONFIG)
  jax.tree.map(
    np.testing.assert_array_equal, lora.merge(BASE, fresh, CONFIG), BASE
  )
  a = np.stack([pair["lora_a"] for pair in fresh.values()])
  assert a.shape == (6, 8, 2) and 0.2 < a.std() < 0.5  # 1 / sqrt(8) = 0.35
  assert len({x.tobytes() for x in a}) == 6  # each its own


def test_a_matrix_draws_its_own_start_whatever_else_is_adapted():
  name = "encoder/layers_0/attention/query/kernel"
  alone = dataclasses.replace(CONFIG, targets=(name,))
  found = [
    lora.init(jax.random.key(5), BASE, config)[name]["lora_a"]
    for config in (CONFIG, alone)
  ]
  np.testing.assert_array_equal(*found)


def test_full_rank_expresses_any_update_and_a_lower_one_its_rank():
  name = "encoder/layers_0/attention/query/kernel"
  config = lora.LoraConfig(rank=8, alpha=5.0, targets=(f"^{name}$",))
  wanted = np.random.default_rng(3).normal(size=(8, 8)).astype(np.float32)
  a = lora.init(jax.random.key(0), BASE, config)[name]["lora_a"]
  b = np.linalg.solve(np.asarray(a, np.float64), wanted * (8 / 5.0))
  pair = {name: {"lora_a": a, "lora_b": jnp.asarray(b, jnp.float32)}}
  moved = by_path(lora.merge(BASE, pair, config))[name] - by_path(BASE)[name]
  np.testing.assert_allclose(moved, wanted, atol=1e-4)
  low = by_path(lora.merge(BASE, adapters(), CONFIG))[name]
  sizes = np.linalg.svd(low - by_path(BASE)[name], compute_uv=False)
  assert sizes[1] > 1e-2 and sizes[2] < 1e-5


def test_a_checksum_tells_weights_and_places_apart():
  one, other = np.arange(6.0, dtype=np.float32), np.zeros(6, np.float32)
  total = lambda tree: int(lora.checksum(tree))
  assert total({"a": one, "b": other}) == total({"b": other, "a": one.copy()})
  assert total({"a": one, "b": other}) != total({"a": other, "b": one})
  off = np.nextafter(one, np.float32(9))
  assert total({"a": one}) != total({"a": off})


def test_adapters_are_split_as_their_matrices():
  mesh = meshes.MeshConfig(data=4, model=2).abstract(8)
  split = lambda name, shape: tuple(sharding.split_over_all(name, shape, mesh))
  query, out = "encoder/layers_0/attention/query", "decoder/layers_1/mlp/wo"
  assert split(f"adapters/{query}/kernel/lora_b", (8, 1024)) == (
    "data",
    "model",
  )
  assert split(f"{query}/kernel/lora_a", (1024, 8)) == ("data", None)
  assert split(f"{out}/kernel/lora_a", (1024, 8)) == ("model", "data")
  assert split(f"{out}/kernel/lora_b", (8, 1024)) == (None, "data")


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"targets": ("/querry/kernel$",)}, "'/querry/kernel\\$' matches no param"),
    ({"targets": ("/querry/kernel$",)}, "nearest: .*/query/kernel"),
    ({"targets": ("query(",)}, r"'query\(' is no regular expression"),
    ({"targets": ("norm/scale",)}, r"adapts matrices; .*scale has the shape"),
    ({"rank": 9}, r"rank 9 is above 8, .*/kernel \(8, 8\)"),
  ],
)
def test_targets_that_cannot_be_adapted_are_refused(options, message):
  config = dataclasses.replace(CONFIG, **options)
  with pytest.raises(ValueError, match=message):
    lora.init(jax.random.key(0), MODEL.abstract(), config)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"rank": 0}, "rank 0 is not"),
    ({"rank": 2.5}, "rank 2.5 is not"),
    ({"alpha": 0.0}, "alpha 0.0 is not"),
    ({"alpha": float("nan")}, "alpha nan is not"),
    ({"targets": "query"}, "targets 'query': a list"),
    ({"targets": ()}, r"targets \(\): a list"),
  ],
)
def test_bad_options_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    lora.LoraConfig(**options)


def test_adapters_of_another_base_are_refused():
  strange = {"encoder/nowhere/kernel": adapters().popitem()[1]}
  with pytest.raises(KeyError, match="encoder/nowhere/kernel"):
    lora.merge(BASE, strange, CONFIG)
