"""Memory plans against counts by hand, real shards and compiled programs."""

import jax
import jax.numpy as jnp
import pytest

from xlrm import types
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.jobs import sft
from xlrm.launch import main
from xlrm.losses import token_losses
from xlrm.losses import vocabulary_head
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.training import optimizers
from xlrm.training import train_step
from xlrm.training import training_memory

OPTIMIZER = optimizers.adafactor(1e-3)


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
