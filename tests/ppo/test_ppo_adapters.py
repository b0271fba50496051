"""Adapters in the losses of PPO, and what a run must be continued with."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import types
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import manifest
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.models import language_model
from xlrm.models import lora
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.ppo import objective
from xlrm.ppo import ppo_adapters
from xlrm.ppo import ppo_step
from xlrm.training import optimizers
from xlrm.training import train_step

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
SCORER = response_scorer.ResponseScorer(MODEL, None, 4, 5)
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
  return random_like(ppo_adapters.policy_abstract(MODEL, config), seed)


def by_path(tree):
  return {
    sharding.path_name(path): np.asarray(x)
    for path, x in jax.tree_util.tree_leaves_with_path(tree)
  }


INPUTS = np.array([[5, 6, 1, 0], [7, 1, 0, 0]], np.int32)
TOKENS = np.array(
  [[[8, 9, 1, 0], [8, 1, 0, 0]], [[1, 0, 0, 0], [8, 9, 5, 6]]], np.int32
)
MASK = (TOKENS > 0).astype(np.float32)
BATCH = types.Batch(INPUTS, TOKENS, MASK)
SUPPORT = np.ones(24, bool)
PPO = objective.PPOConfig(kl_coefficient=0.3)


@functools.cache
def experience():
  numbers = np.random.default_rng(4).normal(size=(4, *TOKENS.shape))
  logprobs = jax.jit(
    lambda: ppo_step.reference_logprobs(
      MODEL, BASE, INPUTS, TOKENS, 1.0, SUPPORT
    )
  )
  rest = (jnp.asarray(MASK * x, jnp.float32) for x in numbers[:3])
  return objective.Experience(BATCH, logprobs(), *rest)


POLICY_LOSS = ppo_adapters.over(
  ppo_step.policy_loss_of(MODEL, PPO, 1.0, SUPPORT),
  ppo_adapters.merged_policy,
  BASE,
  CONFIG,
)
VALUE_LOSS = ppo_adapters.over(
  ppo_step.value_loss_of(SCORER, dataclasses.replace(PPO, value_clip=None)),
  ppo_adapters.merged_value,
  MODEL.without_output_matrix(BASE),
  CONFIG,
)


@functools.cache
def compiled(loss):
  """params -> ((total, metrics), gradient)"""
  batch = experience()

  def total(params):
    found = loss(params, batch, None)
    return found.total, found.metrics

  return jax.jit(jax.value_and_grad(total, has_aux=True))


def test_g05_fresh_adapters_have_ratio_1_and_no_kl():
  fresh = lora.init(jax.random.key(0), BASE, CONFIG)
  (_, metrics), _ = compiled(POLICY_LOSS)(fresh)
  total, weight = metrics["val/ratio_deviation"]
  assert weight == MASK.sum() and total / weight < 1e-6
  total, _ = metrics["policy/approxkl_avg"]
  assert total < 1e-10


@pytest.mark.parametrize("which", ["policy", "value"])
def test_gradients_of_adapters_equal_finite_differences(which):
  if which == "policy":
    # Near enough to the base for the ratio to be inside its clip.
    start, loss = random_like(adapters(), 6, 0.05), POLICY_LOSS
  else:
    start = random_like(ppo_adapters.value_abstract(SCORER, CONFIG), 6)
    loss = VALUE_LOSS
  _, gradient = compiled(loss)(start)
  for seed in range(3):
    direction = random_like(start, 10 + seed, 1.0)
    dot = sum(
      np.vdot(a, b)
      for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction))
    )
    found = []
    for step in (1e-3, -1e-3):
      moved = jax.tree.map(lambda x, d, s=step: x + s * d, start, direction)
      found.append(float(compiled(loss)(moved)[0][0]))
    slope = (found[0] - found[1]) / 2e-3
    assert slope == pytest.approx(float(dot), rel=2e-2, abs=2e-2)


def test_the_output_matrix_is_no_part_of_the_value_models_adapters():
  config = dataclasses.replace(
    CONFIG, targets=(*CONFIG.targets, "logits_dense")
  )
  value = ppo_adapters.value_abstract(SCORER, config)
  assert set(value["adapters"]) == QUERIES_AND_VALUES
  policy = ppo_adapters.policy_abstract(MODEL, config)
  assert set(policy) - QUERIES_AND_VALUES == {"decoder/logits_dense/kernel"}


def test_steps_move_adapters_and_no_bit_of_the_base():
  kept = by_path(jax.tree.map(np.array, BASE))
  before = int(lora.checksum(BASE))
  optimizer = optimizers.adafactor(0.1, multiply_by_parameter_scale=False)
  mesh = meshes.MeshConfig().build(jax.devices()[:1])
  state = train_step.initial_state(
    lora.init(jax.random.key(0), BASE, CONFIG), optimizer, mesh
  )
  step = jax.jit(train_step.make_train_step(POLICY_LOSS, optimizer))
  started, batch = state.params, experience()
  for _ in range(3):
    state, metrics = step(state, batch, jax.random.key(0))
    assert metrics["skipped"][0] == 0
  moved = jax.tree.map(
    lambda a, b: float(jnp.abs(a - b).max()), started, state.params
  )
  assert min(jax.tree.leaves(moved)) > 0
  for name, matrix in by_path(BASE).items():
    assert matrix.tobytes() == kept[name].tobytes()
  assert int(lora.checksum(BASE)) == before
  trained = sum(x.size for x in jax.tree.leaves(state.opt_state))
  assert trained < 2 * sum(x.size for x in jax.tree.leaves(state.params)) + 20


RECORD = {"rank": 2, "alpha": 3.0, "targets": ["x"], "policy": 7, "value": 9}


@pytest.fixture
def begun(tmp_path):
  """A folder with a checkpoint of adapters."""
  (tmp_path / "checkpoint_3").mkdir()
  (tmp_path / "checkpoint_3" / manifest.NAME).touch()
  ppo_adapters.write(tmp_path, RECORD)
  return tmp_path


def test_the_same_adapters_over_the_same_weights_go_on(begun, tmp_path):
  ppo_adapters.check_continued(begun, RECORD)
  ppo_adapters.check_continued(tmp_path / "new", {**RECORD, "rank": 5})


@pytest.mark.parametrize(
  ("here", "message"),
  [
    ({**RECORD, "rank": 4}, "LoRA of rank 2, .* not with LoRA of rank 4"),
    (None, r"LoRA of rank 2, .* not with all weights \(no LoRA\)"),
    ({**RECORD, "policy": 8}, "other weights of the policy than are there"),
    ({**RECORD, "policy": 8, "value": 1}, "of the policy and value than"),
  ],
)
def test_other_adapters_are_refused(begun, here, message):
  with pytest.raises(checkpoint_errors.CheckpointError, match=message):
    ppo_adapters.check_continued(begun, here)


def test_a_run_without_adapters_leaves_no_record(begun):
  ppo_adapters.write(begun, None)
  with pytest.raises(
    checkpoint_errors.CheckpointError, match=r"all weights \(no LoRA\)"
  ):
    ppo_adapters.check_continued(begun, RECORD)
