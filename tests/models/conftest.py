"""A tiny model that the tests of this folder share."""

import jax
import pytest

from xlrm.models import language_model
from xlrm.models import t5


@pytest.fixture(scope="session")
def tiny():
  config = t5.T5Config(
    vocab_size=50,
    emb_dim=16,
    num_heads=2,
    head_dim=4,
    mlp_dim=24,
    num_encoder_layers=2,
    num_decoder_layers=2,
  )
  return language_model.EncoderDecoder(config)


@pytest.fixture(scope="session")
def tiny_params(tiny):
  return jax.jit(tiny.init)(jax.random.key(0))
