"""Peak memory of a whole training step, from the compiled program."""

import functools

import jax
import jax.numpy as jnp
import pytest

from xlrm import types
from xlrm.jobs import sft
from xlrm.losses import token_losses
from xlrm.losses import vocabulary_head
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.training import optimizers
from xlrm.training import train_step

ROWS, FEW_ROWS = 250_112, 256


def step(model, params, batch):
  """A training step with a minimal optimiser."""

  def loss(params):
    memory = model.encode(params, batch.inputs)
    hidden = model.hidden(params, memory, batch.targets)
    return token_losses.language_model_loss(
      hidden, model.output_matrix(params), batch.targets, batch.weights
    ).total

  value, gradient = jax.value_and_grad(loss)(params)
  update = lambda p, g: p - 0.1 * g
  return value, jax.tree.map(update, params, gradient)


def temporary_bytes(length, rows, **options):
  """Of mt5-small at batch 8, 128 in, `length` out."""
  model = language_model.EncoderDecoder(
    t5.mt5("small", vocab_size=rows, **options)
  )
  batch = types.Batch(
    jax.ShapeDtypeStruct((8, 128), jnp.int32),
    jax.ShapeDtypeStruct((8, 1, length), jnp.int32),
    jax.ShapeDtypeStruct((8, 1, length), jnp.float32),
  )
  program = jax.jit(functools.partial(step, model), donate_argnums=0)
  compiled = program.lower(model.abstract(), batch).compile()
  return compiled.memory_analysis().temp_size_in_bytes


MORE_LOGITS = 8 * (128 - 32) * ROWS * 4


def growth(rows, **options):
  """From 32 to 128 tokens out."""
  return temporary_bytes(128, rows, **options) - temporary_bytes(
    32, rows, **options
  )


def test_g06_memory_of_a_shallow_mt5_small_step():
  shallow = {"num_encoder_layers": 1, "num_decoder_layers": 1}
  assert growth(ROWS, **shallow) < 0.5 * MORE_LOGITS


@pytest.mark.slow
def test_g06_memory_of_an_mt5_small_step():
  found = growth(ROWS)
  assert found < MORE_LOGITS
  # Less what 8 + 8 layers keep of more tokens whatever the vocabulary. The 32
  # tokens of 8 rows are one chunk, which needs no loop and one buffer less.
  chunk = vocabulary_head.CHUNK_SIZE * ROWS * 4
  assert found - growth(FEW_ROWS) < 1.2 * chunk < 0.5 * MORE_LOGITS


@pytest.mark.slow
def test_memory_of_a_whole_update_of_mt5_small():
  """The backward pass or one matrix's update, not the updates of both."""
  model = language_model.EncoderDecoder(t5.mt5("small", dropout_rate=0.1))
  optimizer = optimizers.adafactor(1e-3)
  update = train_step.make_train_step(sft.sft_loss(model, 1e-4), optimizer)
  state = train_step.abstract_shapes(model.abstract(), optimizer)
  batch = types.Batch(
    jax.ShapeDtypeStruct((8, 128), jnp.int32),
    jax.ShapeDtypeStruct((8, 1, 32), jnp.int32),
    jax.ShapeDtypeStruct((8, 1, 32), jnp.float32),
  )
  key = jax.eval_shape(lambda: jax.random.key(0))
  program = jax.jit(update, donate_argnums=0).lower(state, batch, key)
  found = program.compile().memory_analysis().temp_size_in_bytes
  matrix = ROWS * 512 * 4
  assert 2 * matrix < found < 3.7 * matrix
