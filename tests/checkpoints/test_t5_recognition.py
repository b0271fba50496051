"""Configurations from shapes alone, of every member of the family."""

import jax
import numpy as np
import pytest

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5_recognition
from xlrm.models import language_model
from xlrm.models import t5


def arrays_of(config: t5.T5Config) -> dict[str, stored.StoredArray]:
  shapes = language_model.EncoderDecoder(config).abstract()
  return stored.of_tree(
    jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), shapes)
  )


@pytest.mark.parametrize(
  "changes",
  [
    {},
    {"tie_embeddings": True},
    {"mlp_activations": ("relu",)},
    {"rel_bias_per_layer": True, "rel_buckets": 16},
  ],
)
def test_a_config_is_known_from_its_shapes(changes):
  config = t5.T5Config(130, 128, 2, 32, 136, 1, 2, **changes)
  assert t5_recognition.recognise(arrays_of(config), "x") == config


def test_what_is_no_t5_is_named():
  arrays = arrays_of(t5.T5Config(130, 128, 2, 64, 136, 1, 2))
  del arrays["encoder/layers_0/mlp/wo/kernel"]
  with pytest.raises(
    checkpoint_errors.CheckpointError,
    match="x holds no encoder-decoder of the T5 family: no .*mlp/wo/kernel",
  ):
    t5_recognition.recognise(arrays, "x")
