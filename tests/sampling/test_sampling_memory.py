"""Plans of sampling and scoring against compiled programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import types
from xlrm.distributed import meshes
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_programs
from xlrm.sampling import decode_state
from xlrm.sampling import sampling_config
from xlrm.sampling import sampling_memory


def _model():
  return language_model.EncoderDecoder(t5.T5Config(512, 64, 4, 16, 128, 2, 2))


@pytest.mark.parametrize("int8", [False, True])
def test_the_output_matrix_is_planned_as_it_is_laid_out(int8):
  """Blocks of 64 tokens: nothing is filled up at 512."""
  model = _model()
  config = sampling_config.SamplingConfig(
    max_tokens=32, int8_output_matrix=int8
  )
  plan = sampling_memory.sampling_plan(
    model,
    meshes.MeshConfig(1, 1).abstract(1),
    shape=batch_shapes.BatchShape(8, 16),
    input_length=64,
    config=config,
  )
  layer = jax.eval_shape(
    lambda params: decode_state.output_layer(model, params, config),
    model.abstract(),
  )
  held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(layer))
  assert plan.bytes["output matrix"] == held
  assert int8 == (held < 512 * 64 * 2)


def test_sampling_takes_what_was_planned():
  model = _model()
  mesh = meshes.MeshConfig(1, 1).abstract(1)
  shape = batch_shapes.BatchShape(8, 16)
  config = sampling_config.SamplingConfig(max_tokens=32)
  plan = sampling_memory.sampling_plan(
    model, mesh, shape=shape, input_length=64, config=config
  )
  caches = 2 * 2 * 8 * (16 * 32 + 64) * 4 * 16 * 4  # 2 layers, keys and values
  assert plan.bytes["keys, values"] == pytest.approx(caches, rel=0.01)
  state = jax.eval_shape(
    lambda params: decode_programs.empty(model, params, shape, 16, 64, 32, 32),
    model.abstract(),
  )
  weights = jax.eval_shape(
    lambda params: decode_programs.prepare(
      model, params, config, np.ones(512, bool)
    ),
    model.abstract(),
  )
  limit = jax.ShapeDtypeStruct((), jnp.int32)
  program = decode_programs.advance.lower(
    model, config, weights, state, limit, limit
  )
  found = program.compile().memory_analysis()
  found = found.argument_size_in_bytes + found.temp_size_in_bytes
  assert plan.total == pytest.approx(found, rel=0.35)


def test_scoring_takes_what_was_planned():
  scorer = response_scorer.ResponseScorer(_model(), None, 64, 47)
  mesh = meshes.MeshConfig(1, 1).abstract(1)
  plan = sampling_memory.scoring_plan(
    scorer, mesh, batch_size=8, num_responses=16
  )
  batch = types.Batch(
    jax.ShapeDtypeStruct((8, 64), jnp.int32),
    jax.ShapeDtypeStruct((8, 16, 47), jnp.int32),
    jax.ShapeDtypeStruct((8, 16, 47), jnp.float32),
  )
  program = jax.jit(scorer.scores).lower(scorer.abstract(), batch).compile()
  found = program.memory_analysis()
  found = found.argument_size_in_bytes + found.temp_size_in_bytes
  assert plan.total == pytest.approx(found, rel=0.35)
