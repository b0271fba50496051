"""Memory plans against counts by hand, real shards and compiled programs."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import types
from xlrm.distributed import device_memory
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.jobs import sft
from xlrm.launch import main
from xlrm.losses import token_losses
from xlrm.losses import vocabulary_head
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.sampling import batch_shapes
from xlrm.sampling import decode_programs
from xlrm.sampling import sampling_config
from xlrm.sampling import sampling_memory
from xlrm.training import optimizers
from xlrm.training import train_step
from xlrm.training import training_memory

OPTIMIZER = optimizers.adafactor(1e-3)


@pytest.mark.parametrize(
  "name, count, gib",
  [
    ("H200", 1, 139.8),
    ("h100x8", 8, 79.2),
    ("v4-8", 4, 32),
    ("v4-32", 16, 32),
    ("v5p-8", 4, 95),
    ("v5e-8", 8, 16),
    ("v5e", 1, 16),
  ],
)
def test_devices_are_named_as_people_name_them(name, count, gib):
  found = device_memory.devices(name)
  assert (found.count, found.gib) == (count, gib)


@pytest.mark.parametrize(
  "name, says",
  [
    ("v7", "none of v4, v5e"),
    ("", "none of"),
    ("H100-8", "write H100x8"),
    ("v4-3", "multiple of 2 cores"),
    ("H200x0", "no devices"),
    ("v4-0", "multiple of 2"),
  ],
)
def test_a_device_that_does_not_exist_is_an_error(name, says):
  with pytest.raises(ValueError, match=says):
    device_memory.devices(name)


def test_what_autodiff_keeps_is_counted_once_and_without_the_arguments():
  batch = {"x": jax.ShapeDtypeStruct((5, 4), jnp.float32)}
  params = {"w": jax.ShapeDtypeStruct((4, 3), jnp.float32)}

  def loss(function):
    def loss_fn(params, batch, key):
      del key
      total = jnp.sum(function(batch["x"] @ params["w"]))
      return token_losses.Loss(total, jnp.ones(()), {})

    return training_memory.kept_bytes(loss_fn, params, batch)

  assert loss(jnp.sin) == 5 * 3 * 4  # the cosine; x and w are there anyway
  assert loss(lambda y: y) == 0
  assert loss(lambda y: jnp.sin(jnp.sin(y))) == 2 * 5 * 3 * 4


def _model(**changes):
  config = t5.T5Config(512, 64, 4, 16, 128, 2, 2)
  fields = {**vars(config), **changes}
  return language_model.EncoderDecoder(t5.T5Config(**fields))


def _batch(rows, inputs, targets):
  return types.Batch(
    jax.ShapeDtypeStruct((rows, inputs), jnp.int32),
    jax.ShapeDtypeStruct((rows, 1, targets), jnp.int32),
    jax.ShapeDtypeStruct((rows, 1, targets), jnp.float32),
  )


def _plan(model, batch, data=1, parts=1, **options):
  return training_memory.training_plan(
    training_memory.Planned(
      model, lambda m: (m.abstract(), sft.sft_loss(m, 1e-4))
    ),
    optimizer=OPTIMIZER,
    batch=batch,
    mesh=meshes.MeshConfig(data, parts).abstract(data * parts),
    **options,
  ).bytes


def test_parameters_and_optimizer_are_those_of_a_real_mesh():
  model = _model()
  mesh = meshes.MeshConfig(4, 2).build(jax.devices()[:8])
  lazy = lazy_params.LazyParams.computed(lambda: model.init(jax.random.key(0)))
  state = train_step.initial_state(lazy, OPTIMIZER, mesh)
  found = _plan(model, _batch(8, 16, 8), 4, 2)
  for name, tree in (
    ("parameters", state.params),
    ("optimizer", state.opt_state),
  ):
    held = [x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree)]
    assert found[name] == sum(held)


def test_activations_are_divided_as_the_work_is():
  model, batch = _model(), _batch(16, 32, 24)
  whole = _plan(model, batch)["activations"]
  assert _plan(model, batch, 8)["activations"] == pytest.approx(
    whole / 8, rel=0.01
  )
  parts = _plan(model, batch, num_microbatches=4)
  assert parts["activations"] == pytest.approx(whole / 4, rel=0.02)
  assert parts["gradients"] == 2 * parts["parameters"]
  # Heads and MLP are divided by 4, the width D is not.
  assert 0.25 * whole < _plan(model, batch, 1, 4)["activations"] < 0.6 * whole
  assert _plan(_model(remat=True), batch)["activations"] < 0.7 * whole
  long = _plan(model, _batch(16, 64, 24))["activations"]
  assert whole < long


def _compiled(model, batch) -> int:
  mesh = meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  state = train_step.abstract_state(model.abstract(), OPTIMIZER, mesh)
  step = train_step.jit_train_step(
    train_step.make_train_step(sft.sft_loss(model, 1e-4), OPTIMIZER), state
  )
  program = step.lower(state, batch, jax.random.key(0)).compile()
  memory = program.memory_analysis()
  return memory.argument_size_in_bytes + memory.temp_size_in_bytes


def test_a_training_step_takes_what_was_planned():
  model, batch = _model(), _batch(16, 96, 48)
  planned = sum(_plan(model, batch).values())
  assert planned == pytest.approx(_compiled(model, batch), rel=0.35)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [(128, 32), (512, 128)])
def test_an_mt5_small_step_takes_what_was_planned(lengths):
  model, batch = (
    language_model.EncoderDecoder(t5.mt5("small")),
    _batch(8, *lengths),
  )
  planned = sum(_plan(model, batch).values())
  assert planned == pytest.approx(_compiled(model, batch), rel=0.15)


def test_sampling_takes_what_was_planned():
  model = _model()
  mesh = meshes.MeshConfig(1, 1).abstract(1)
  shape = batch_shapes.BatchShape(8, 16)
  plan = sampling_memory.sampling_plan(
    model, mesh, shape=shape, input_length=64, max_tokens=32
  )
  caches = 2 * 2 * 8 * (16 * 32 + 64) * 4 * 16 * 4  # 2 layers, keys and values
  assert plan.bytes["keys, values"] == pytest.approx(caches, rel=0.01)
  config = sampling_config.SamplingConfig(max_tokens=32)
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


def test_the_plan_says_where_it_fits():
  plan = device_memory.Plan({"parameters": 20 * 2**30, "cache": 2**30})
  text = plan.text()
  assert re.search(r"total +21\.000", text)
  assert "v4 (32) yes" in text and "v5e (16) NO" in text
  assert plan.fits(device_memory.devices("v4-8"))
  assert "H200" not in plan.text(device_memory.devices("v4-8"))


def test_mt5_xl_is_planned_without_making_it(capsys):
  command = "bench train --size=xl --dtype=bfloat16 --remat --dry_run".split()
  assert main.main([*command, "--batch=16", "--devices=v4-32"]) == 0
  printed = capsys.readouterr().out
  params = 3_742_619_648  # of T5X's mT5-XL
  found = float(printed.partition("parameters")[2].split()[0])
  assert found == pytest.approx(params * 4 / 16 / 2**30, rel=0.005)
  assert main.main([*command, "--batch=9", "--devices=v4-32"]) == 2
  assert "nearest valid: 16" in capsys.readouterr().err
  assert main.main(["bench", "train", "--devices=H200"]) == 2
  assert "--dry_run" in capsys.readouterr().err


def test_the_vocabulary_head_is_part_of_the_plan():
  config = _model().config
  alone, shared = (
    _plan(_model(), _batch(16, 8, 8), *sizes) for sizes in ((1, 1), (4, 2))
  )
  chunks = 2 * vocabulary_head.CHUNK_SIZE * config.vocab_size * 4
  gradient = 4 * config.emb_dim * config.vocab_size
  # Of the other gradients there is none yet.
  assert alone["vocabulary"] == chunks + gradient - alone["gradients"]
  assert shared["vocabulary"] == chunks // 2 + gradient


def test_a_batch_that_does_not_fit_is_told_the_largest_that_does():
  plan_of = lambda size: device_memory.Plan({"x": 100 + 7 * size})
  device_memory.check_batch_fits(plan_of, 10, None)
  device_memory.check_batch_fits(plan_of, 10, 170)
  with pytest.raises(ValueError, match="batch_size 64 .* fits is 10$"):
    device_memory.check_batch_fits(plan_of, 64, 176)
  with pytest.raises(ValueError, match="not even batch_size 1 fits"):
    device_memory.check_batch_fits(plan_of, 64, 100)
  mesh = meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  assert device_memory.available_bytes(mesh) > 2**20
