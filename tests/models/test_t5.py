"""Sizes, the parameter tree, and parity with T5X on its own outputs."""

import json
import pathlib
import re

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm.losses import token_losses
from xlrm.losses import vocabulary_head
from xlrm.models import attention
from xlrm.models import language_model
from xlrm.models import t5

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
PARAMETERS = {
  "small": 300_176_768,
  "base": 582_401_280,
  "large": 1_229_581_312,
  "xl": 3_742_619_648,
  "xxl": 12_921_057_280,
}


@pytest.mark.parametrize("size", PARAMETERS)
def test_number_of_parameters(size):
  params = language_model.EncoderDecoder(t5.mt5(size)).abstract()
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == PARAMETERS[size]


@pytest.mark.parametrize("size", ["nano", "small"])
def test_parameter_tree_is_the_golden_one(size):
  params = language_model.EncoderDecoder(t5.mt5(size)).abstract()
  leaves = traverse_util.flatten_dict(params, sep="/")
  tree = {k: [list(v.shape), str(v.dtype)] for k, v in leaves.items()}
  assert tree == json.loads((GOLDEN / "t5_trees.json").read_text())[size]


def test_unknown_size_names_the_nearest():
  with pytest.raises(ValueError, match=r"'smal' is not one of.*'small'"):
    t5.mt5("smal")


@pytest.mark.parametrize(
  "field, value",
  [
    ("emb_dim", 0),
    ("num_heads", -2),
    ("dropout_rate", 1.0),
    ("dtype", "float16"),
    ("mlp_activations", ("swish",)),
    ("mlp_activations", ()),
    ("rel_buckets", 6),
    ("rel_max_distance", 16),
  ],
)
def test_bad_config_names_field_and_value(field, value):
  with pytest.raises(
    ValueError, match=f"{field} {re.escape(repr(value))}|{field} is {value!r}"
  ):
    t5.mt5("nano", **{field: value})


@pytest.fixture(scope="module")
def golden():
  with np.load(GOLDEN / "t5x_forward.npz") as arrays:
    return dict(arrays)


@pytest.fixture(scope="module")
def t5x_model():
  config = t5.T5Config(
    vocab_size=128,
    emb_dim=128,
    num_heads=3,
    head_dim=16,
    mlp_dim=256,
    num_encoder_layers=2,
    num_decoder_layers=2,
  )
  return language_model.EncoderDecoder(config)


@pytest.fixture(scope="module")
def t5x_params(golden):
  leaves = {
    name.removeprefix("params/"): value
    for name, value in golden.items()
    if name.startswith("params/")
  }
  return traverse_util.unflatten_dict(leaves, sep="/")


def test_t5x_tree_is_ours(t5x_model, t5x_params):
  shapes = lambda tree: jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)
  assert shapes(t5x_params) == shapes(t5x_model.abstract())


@pytest.fixture(scope="module", params=["rand", "task"])
def outputs(request, golden, t5x_model, t5x_params):
  """Batch, T5X's numbers and ours."""
  prefix = request.param + "/"
  expected = {
    name.removeprefix(prefix): value
    for name, value in golden.items()
    if name.startswith(prefix)
  }
  targets = expected["targets"][:, None]
  weights = expected["weights"][:, None].astype(np.float32)

  @jax.jit
  def run(params):
    memory = t5x_model.encode(params, expected["inputs"])
    hidden = t5x_model.hidden(params, memory, targets)
    matrix = t5x_model.output_matrix(params)
    loss = token_losses.language_model_loss(hidden, matrix, targets, weights)
    statistics = vocabulary_head.token_statistics(
      hidden, matrix, targets, mask=weights > 0
    )
    return memory, hidden @ matrix, loss, statistics

  return expected, *run(t5x_params)


def test_t5x_encoder_and_logits(outputs):
  expected, memory, logits, *_ = outputs
  real = expected["inputs"] > 0
  np.testing.assert_allclose(
    memory.encoded[real], expected["encoded"][real], atol=1e-4
  )
  real = expected["weights"] > 0
  np.testing.assert_allclose(
    logits[:, 0][real], expected["logits"][real], atol=1e-4
  )


def test_t5x_loss_and_token_scores(outputs):
  expected, _, _, loss, statistics = outputs
  np.testing.assert_allclose(loss.total, expected["loss"], rtol=1e-4)
  np.testing.assert_allclose(
    loss.metrics["z_loss"][0], expected["z_loss"], rtol=1e-4
  )
  assert loss.weight == expected["weights"].sum()
  real = expected["weights"] > 0
  np.testing.assert_allclose(
    statistics.logprobs[:, 0][real], expected["token_scores"][real], atol=1e-4
  )


def test_g03_t5x_greedy_tokens_by_cached_decoding(
  outputs, t5x_model, t5x_params
):
  expected, memory, *_ = outputs
  length = expected["greedy_tokens"].shape[1]

  def step(state, _):
    cache, token, ended = state
    ages = jnp.full_like(token, cache.clock)
    hidden, cache = t5x_model.step(t5x_params, cache, token, ages)
    best = jnp.argmax(hidden @ t5x_model.output_matrix(t5x_params), axis=-1)
    best = jnp.where(ended, 0, best.astype(jnp.int32))
    return (cache, best, ended | (best == 1)), best[:, 0]

  @jax.jit
  def decode(memory):
    cache = t5x_model.start(t5x_params, memory, 1, length)
    token = jnp.zeros((expected["inputs"].shape[0], 1), jnp.int32)
    state = (cache, token, token.astype(bool))
    return jax.lax.scan(step, state, length=length)[1].T

  np.testing.assert_array_equal(decode(memory), expected["greedy_tokens"])


def test_t5x_decoder_inputs_are_shifted_targets():
  with np.load(GOLDEN / "t5x_forward.npz") as arrays:
    targets = arrays["rand/targets"][:, None]
  shifted = attention.shift_right(targets)
  assert not np.any(shifted[..., 0])
  np.testing.assert_array_equal(shifted[..., 1:], targets[..., :-1])
