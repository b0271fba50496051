"""Model classes for T5X's trainer give our batches, losses and parameters."""

import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
import seqio
import stub_t5x
import tensorflow as tf

from xlrm import types
from xlrm.batches import converters
from xlrm.checkpoints import conversion
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x_writer
from xlrm.config import gin_files
from xlrm.data import feature_converter
from xlrm.data import file_tasks
from xlrm.data import registry
from xlrm.data import seqio_source
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.jobs import reward
from xlrm.jobs import sft
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.tasks import miniworld  # noqa: F401 registers TASKS

LENGTHS = {"inputs": 24, "targets": 12}
ROWS = 4
TINY = t5.T5Config(1600, 64, 8, 8, 64, 1, 2)  # rows of nano's vocabulary
TASKS = {
  "SupervisedModel": "miniworld_summary.es",
  "PointwiseRewardModel": "miniworld_rating.en",
  "PairwiseRewardModel": "stub_preference.en",
}
T5X = pytest.mark.skipif(
  stub_t5x.importlib.util.find_spec("t5x") is None,
  reason="needs T5X, which is on no index: see requirements-t5x.txt",
)


@pytest.fixture(scope="module", autouse=True)
def preferences(tmp_path_factory):
  path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
  texts = ["A fire destroyed 35 houses in Hanoi.", "Snow fell in Rome."]
  made = [
    {
      "prompt": " ".join([texts[i % 2]] * (1 + 4 * i)),
      "responses": texts[::-1] if i % 2 else [*texts],
      "ranks": [1, 0] if i % 2 else [0, 1],
      "margin": 0.25 * i,
    }
    for i in range(ROWS)
  ]
  path.write_text("".join(json.dumps(row) + "\n" for row in made))
  splits = dict.fromkeys(("train", "validation"), str(path))
  name = file_tasks.register_preferences(
    TASKS["PairwiseRewardModel"], splits, "en"
  )
  yield
  registry.remove(name)


def made(t5x_models, kind: str, **options):
  return getattr(t5x_models, kind)(
    TINY,
    seqio.SentencePieceVocabulary(
      model_files.vocabulary_path("nano"),
      model_files.read_description("nano").extra_ids,
    ),
    optimizer_def=None,
    lengths=LENGTHS,
    **options,
  )


def initial(model) -> types.Params:
  make = jax.jit(lambda key: model.get_initial_variables(key, {})["params"])
  return make(jax.random.key(3)).unfreeze()


def from_left(kind: str) -> bool:
  return kind == "PairwiseRewardModel"


def batch_of(model, kind: str) -> dict[str, np.ndarray]:
  """As T5X's trainer gets it: SeqIO, the converter, a batch."""
  dataset = seqio.get_mixture_or_task(TASKS[kind]).get_dataset(
    sequence_length=LENGTHS,
    split="validation",
    shuffle=False,
    num_epochs=1,
    trim_output_features=False,
  )
  convert = model.FEATURE_CONVERTER_CLS(
    pack=False, use_custom_packing_ops=False
  )
  (batch,) = convert(dataset, LENGTHS).batch(ROWS).take(1)
  return {name: x.numpy() for name, x in batch.items()}


def own_batch(kind: str):
  made = seqio_source.SeqioSource(
    TASKS[kind], LENGTHS, ROWS, module="xlrm.tasks.miniworld"
  )
  return next(made.validation_batches())


@pytest.mark.parametrize("kind", TASKS)
def test_batch_loss_and_gradient_are_those_of_our_job(t5x_models, kind):
  model = made(t5x_models, kind, truncate_inputs_from_left=from_left(kind))
  arrays, own = batch_of(model, kind), own_batch(kind)
  for name, expected in feature_converter.to_arrays(own).items():
    np.testing.assert_array_equal(arrays[name], expected, strict=True)

  backbone = language_model.EncoderDecoder(TINY)
  fresh, loss_fn = backbone, sft.sft_loss(backbone, 1e-4)
  if kind != "SupervisedModel":
    fresh = response_scorer.ResponseScorer(backbone, None, *LENGTHS.values())
    loss_fn = reward.reward_loss(fresh)
  params = jax.jit(fresh.init)(jax.random.key(1))

  def mean(params):
    loss = loss_fn(params, own)
    return loss.total / loss.weight, loss

  compute = jax.jit(jax.value_and_grad(mean, has_aux=True))
  (expected, loss), expected_gradient = compute(params)
  theirs = jax.value_and_grad(model.loss_fn, has_aux=True)
  (found, metrics), gradient = jax.jit(lambda p: theirs(p, arrays, None))(
    params
  )
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  for x, y in zip(
    jax.tree.leaves(gradient), jax.tree.leaves(expected_gradient), strict=True
  ):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
  assert float(metrics["loss"].compute()) == pytest.approx(float(expected))
  assert set(loss.metrics) < set(metrics)


@pytest.mark.parametrize("kind", TASKS)
def test_every_parameter_has_axes_and_model_splits_as_ours(t5x_models, kind):
  model = made(t5x_models, kind)
  variables = jax.eval_shape(
    lambda key: model.get_initial_variables(key, {}), jax.random.key(0)
  )
  axes = {
    sharding.path_name(path).removesuffix("_axes"): x.names
    for path, x in jax.tree_util.tree_leaves_with_path(
      variables["params_axes"].unfreeze(),
      is_leaf=lambda x: hasattr(x, "names"),
    )
  }
  mesh = meshes.MeshConfig(data=1, model=8).abstract(8)
  split = ("vocab", "mlp", "joined_kv")  # by T5X's standard rules, over 'model'
  flat = stored.of_tree(variables["params"].unfreeze())
  assert axes.keys() == flat.keys()
  for name, leaf in flat.items():
    assert len(axes[name]) == len(leaf.shape)
    if "relpos_bias" in name or np.prod(leaf.shape) < sharding.SMALLEST:
      continue
    spec = sharding.split_over_model(name, leaf.shape, mesh)
    expected = tuple("model" if axis in split else None for axis in axes[name])
    assert tuple(spec) == expected, name


def test_what_t5x_wrote_is_a_model_directory_of_ours(
  t5x_models, t5x_settings, tmp_path
):
  model = made(t5x_models, "PointwiseRewardModel", layer=2)
  params = initial(model)
  t5x_writer.write(tmp_path, stored.of_tree(params), step=7)
  t5x_settings.summarize_config(tmp_path, None, 0, model=model)
  loaded = pretrained.load_scorer(tmp_path)
  assert loaded.description.scorer_layer == 2
  own = own_batch("PointwiseRewardModel")
  arrays = feature_converter.to_arrays(own)
  expected = jax.jit(model.score_batch)(params, arrays)
  found = jax.jit(loaded.model.scores)(loaded.params, own.batch)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert expected.shape == (ROWS, 1) and np.ptp(expected) > 0


def test_sft_scores_and_predicts(t5x_models):
  model = made(t5x_models, "SupervisedModel")
  arrays = batch_of(model, "SupervisedModel")
  params = initial(model)
  tokens, aux = jax.jit(model.predict_batch_with_aux)(params, arrays)
  drawn = np.asarray(tokens)[:, None]
  weights = (drawn != types.PAD_ID).astype(np.float32)
  scores = jax.jit(model.score_batch)(
    params, {**arrays, "targets": drawn, "weights": weights}
  )
  np.testing.assert_allclose(scores, aux["scores"], atol=1e-3)
  assert (np.asarray(scores) < 0).all()


def test_what_does_not_fit_is_refused(t5x_models):
  model = made(t5x_models, "PointwiseRewardModel")
  with pytest.raises(ValueError, match="pack = False"):
    model.FEATURE_CONVERTER_CLS(pack=True)
  convert = model.FEATURE_CONVERTER_CLS(pack=False)
  rows = tf.data.Dataset.from_tensors({"inputs": [5, 1], "targets": [6, 1]})
  with pytest.raises(ValueError, match="have no rating but"):
    convert(rows, LENGTHS)
  rated = rows.map(lambda row: {**row, "rating": 1.0})
  with pytest.raises(ValueError, match="no 'targets' of at least 1"):
    convert(rated, {"inputs": 4})
  vocabulary = model.output_vocabulary
  with pytest.raises(ValueError, match="another model's"):
    t5x_models.SupervisedModel(
      t5.mt5("nano", vocab_size=100), vocabulary, None, LENGTHS
    )


def test_long_rows_keep_their_eos(t5x_models):
  model = made(t5x_models, "PointwiseRewardModel")
  convert = model.FEATURE_CONVERTER_CLS(pack=False)
  row = {"inputs": [5, 6, 7, 8, 1], "targets": [9, 0], "rating": 0.5}
  lengths = {"inputs": 3, "targets": 4}
  (found,) = convert(tf.data.Dataset.from_tensors(row), lengths)
  assert found["inputs"].numpy().tolist() == [5, 6, 1]
  assert found["targets"].numpy().tolist() == [[9, 1, 0, 0]]
  assert found["weights"].numpy().tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize("name", ["sft", "reward", "reward_pairs"])
def test_a_gin_file_names_what_exists(t5x_models, t5x_settings, name):
  """T5X's own names are checked by the test that runs its trainer."""
  folder = gin_files.gin_directory() / "t5x"
  text = (folder / f"{name}.gin").read_text() + (
    folder / "base.gin"
  ).read_text()
  for module in (t5x_models, t5x_settings):
    own = module.__name__.rpartition(".")[2]
    used = set(re.findall(rf"\b{own}\.(\w+)", text))
    assert used and all(hasattr(module, x) for x in used)
  assert converters.FEATURES[0] in text


def run(*arguments: str, **environment: str) -> str:
  done = subprocess.run(
    [sys.executable, "-m", *arguments],
    capture_output=True,
    text=True,
    env={**os.environ, "XLA_FLAGS": "", **environment},
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return done.stderr


@T5X
@pytest.mark.slow
def test_t5x_trains_a_reward_model_that_ours_reads(tmp_path):
  """T5X's validation accuracy and loss are those of our own model."""
  start = conversion.convert("nano", tmp_path / "nano", "t5x")
  end = tmp_path / "rm"
  said = run(
    "t5x.train",
    f"--gin_search_paths={gin_files.gin_directory()}",
    "--gin_file=t5x/reward.gin",
    f"--gin.MODEL_DIR='{end}'",
    "--gin.MIXTURE_OR_TASK_NAME='miniworld_rating.en'",
    f"--gin.INITIAL_CHECKPOINT_PATH='{start / 'checkpoint_0'}'",
    "--gin.TRAIN_STEPS=2",
    "--gin.EVAL_PERIOD=2",
    "--gin.EVAL_STEPS=1",
  )
  found = re.findall(r"training_eval\S* accuracy=(\S+), loss=([\d.]+)", said)
  loaded = pretrained.load_scorer(end)
  lengths = {"inputs": 72, "targets": 32}
  rows = seqio_source.SeqioSource("miniworld_rating.en", lengths, 32)
  loss = reward.reward_loss(loaded.model)(
    loaded.params, next(rows.validation_batches())
  )
  accuracy = loss.metrics["accuracy"][0] / loss.weight
  assert float(found[-1][0]) == pytest.approx(float(accuracy))
  assert float(found[-1][1]) == pytest.approx(
    float(loss.total / loss.weight), rel=1e-4
  )
  assert pathlib.Path(end / "checkpoint_2").is_dir()
