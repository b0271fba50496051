"""Pre-training: what is detected, and that both tasks are one sum."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import specks

from xlrm import types
from xlrm.checkpoints import pretrained
from xlrm.jobs import pretrain
from xlrm.models import language_model
from xlrm.models import t5

MODEL = language_model.EncoderDecoder(
  t5.T5Config(
    vocab_size=24,
    emb_dim=8,
    num_heads=2,
    head_dim=4,
    mlp_dim=12,
    num_encoder_layers=1,
    num_decoder_layers=2,
  )
)
INPUTS = np.array([[5, 6, 1, 0], [7, 1, 0, 0]], np.int32)
TARGETS = np.array([[[8, 9, 10, 1]], [[11, 12, 1, 0]]], np.int32)
# Of the second row one token is not asked about, and padding never is.
REPLACED = np.array([[[0, 1, 0, 0]], [[0, -1, 0, -1]]], np.int32)
CORRUPTED = types.Corrupted(
  types.Batch(INPUTS, TARGETS, (TARGETS > 0).astype(np.float32)), REPLACED
)


@functools.cache
def params():
  draw = np.random.default_rng(0)
  heads = {
    name: {
      "kernel": jnp.asarray(draw.normal(size=(8, 1)), jnp.float32),
      "bias": jnp.float32(0.3),
    }
    for name in ("token", "prefix")
  }
  return {"model": MODEL.init(jax.random.key(0)), "detection": heads}


def loss(**changes):
  options = {
    "z_loss": 0.0,
    "detection_weight": 1.0,
    "detection_layer": None,
    **changes,
  }
  return pretrain.pretraining_loss(MODEL, **options)(params(), CORRUPTED)


def test_logits_are_a_line_of_the_state():
  states = np.random.default_rng(1).normal(size=(2, 1, 3, 8))
  head = params()["detection"]["token"]
  found = pretrain.detection_logits(head, jnp.asarray(states), 4.0)
  expected = 4.0 * (states @ np.asarray(head["kernel"]))[..., 0] + 0.3
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_queries_begin_as_scaled_keys_and_nothing_else_moves():
  before = params()["model"]
  after = pretrain.matching_queries(before, head_dim=4)
  for layer in ("layers_0", "layers_1"):
    cross = after["decoder"][layer]["encoder_decoder_attention"]
    old = before["decoder"][layer]["encoder_decoder_attention"]
    np.testing.assert_array_equal(
      cross["query"]["kernel"], old["key"]["kernel"] * 0.5
    )
    cross["query"] = old["query"]
  assert jax.tree.all(jax.tree.map(lambda x, y: x is y, before, after))


def test_both_tasks_are_one_sum():
  none, one, two = (loss(detection_weight=x) for x in (0.0, 1.0, 2.0))
  detection = float(one.total - none.total)
  assert float(two.total - none.total) == pytest.approx(2 * detection, rel=1e-5)
  assert one.weight == none.weight == (TARGETS > 0).sum()
  # By hand: the state after a token is the decoder's next output.
  model, heads = params()["model"], params()["detection"]
  memory = MODEL.encode(model, INPUTS)
  shifted = np.pad(TARGETS, ((0, 0), (0, 0), (0, 1)))
  states = np.asarray(MODEL.hidden(model, memory, shifted))[:, :, 1:]
  seen = np.maximum.accumulate(REPLACED, axis=2)
  expected = 0.0
  for name, labels in (("token", REPLACED), ("prefix", seen)):
    for place in np.argwhere(REPLACED >= 0):
      i, _, t = place
      x = float(states[i, 0, t] @ heads[name]["kernel"][:, 0]) + 0.3
      x = x if labels[i, 0, t] else -x
      expected += np.log1p(np.exp(-x))
  assert detection == pytest.approx(expected, rel=1e-4)


def test_detection_may_read_an_earlier_layer():
  assert loss(detection_layer=1).total != loss().total
  assert loss(detection_layer=2).total == pytest.approx(
    float(loss().total), rel=1e-6
  )


def test_a_model_to_train_further_has_its_own_vocabulary(place, tmp_path):
  base = pretrained.load_language_model(str(place / specks.POLICY))
  other = tmp_path / "other.model"
  other.write_bytes(b"another vocabulary")
  job = pretrain.Pretraining(
    source=None,
    optimizer=None,
    config=None,
    model=base.model.config,
    vocabulary=str(other),
    model_dir=str(tmp_path / "run"),
    lengths={"inputs": 8, "targets": 8},
    initial=base,
  )
  with pytest.raises(ValueError, match="to train further has the vocabulary"):
    job.plan()
  assert not (tmp_path / "run").exists()
