"""From every kind of checkpoint to every other, with a real small model."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from xlrm.checkpoints import adafactor_moments
from xlrm.checkpoints import conversion
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.checkpoints import run_checkpoints
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.checkpoints import t5x_writer
from xlrm.rewards import text_scoring
from xlrm.training import optimizers

DOCUMENT = "Según la alcaldesa Weber, 91 grupos tocaron en un festival."


def values(path, **options):
  files = model_files.find(path, **options)
  return {name: array.whole() for name, array in files.read().items()}


def assert_equal(one, other):
  assert one.keys() == other.keys()
  for name, array in one.items():
    assert array.dtype == other[name].dtype
    np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
  """A reward model in a directory of ours."""
  base = pretrained.load_language_model("nano")
  folder = tmp_path_factory.mktemp("scorer") / "rm"
  description = dataclasses.replace(
    base.description,
    kind=model_description.RESPONSE_SCORER,
    max_input_length=64,
    max_response_length=32,
    scorer_layer=2,
  )
  from xlrm.models import response_scorer

  model = response_scorer.ResponseScorer(base.model, base.tokenizer, 64, 32, 2)
  params = model.from_language_model(jax.random.key(3), base.params)
  pretrained.write_archive(folder, params, description, base.vocabulary)
  return folder


@pytest.mark.parametrize("kind", ["language model", "scorer"])
def test_a_round_trip_through_all_formats_is_bit_equal(kind, scorer, tmp_path):
  start = "nano" if kind == "language model" else scorer
  stages = ("t5x", "xlrm", "hf", "xlrm", "t5x", "hf", "t5x")
  source = start
  for number, to in enumerate(stages):
    source = conversion.convert(source, tmp_path / f"{number}_{to}", to)
    assert model_files.find(source).source == to
    assert_equal(values(start), values(source))
  ours = model_files.read_description(start)
  assert model_files.read_description(source) == ours
  tokenizers = [pretrained.load_tokenizer(x) for x in (start, source)]
  assert tokenizers[0].fingerprint() == tokenizers[1].fingerprint()


@pytest.mark.parametrize("to", conversion.KINDS)
def test_g11_a_converted_reward_model_scores_the_same(to, scorer, tmp_path):
  made = conversion.convert(scorer, tmp_path / to, to)
  scores = []
  for path in (scorer, made):
    loaded = pretrained.load_scorer(path)
    scores += text_scoring.score_texts(
      loaded.model,
      loaded.params,
      [DOCUMENT],
      [["91 grupos tocaron.", "Nada."]],
      batch_size=1,
    )
  assert list(scores[0]) == list(scores[1])


def test_a_checkpoint_of_training_is_converted_as_it_is_loaded(tmp_path):
  """Orbax and manifest, where the shipped model is one .npz file."""
  nano = pretrained.load_language_model("nano")
  run = tmp_path / "run"
  model_description.write(run, nano.description, nano.vocabulary)
  checkpointer = run_checkpoints.Checkpointer(run)
  params = jax.tree.map(lambda x: x + 1, nano.params)
  checkpointer.save(3, params, {"step": jax.numpy.zeros(())}, {})
  checkpointer.close()
  made = conversion.convert(run, tmp_path / "hf", "hf")
  loaded = pretrained.load_language_model(made)
  jax.tree.map(np.testing.assert_array_equal, loaded.params, params)


@pytest.mark.parametrize("name", ["adafactor", "adamw"])
def test_t5x_gets_the_step_and_the_moments_of_a_run(name, tmp_path):
  nano = pretrained.load_language_model("nano")
  run = tmp_path / "run"
  model_description.write(run, nano.description, nano.vocabulary)
  optimizer = getattr(optimizers, name)(1e-3)
  state = jax.jit(optimizer.init)(nano.params)
  state = jax.tree.map(lambda x: x + jax.numpy.ones_like(x), state)
  checkpointer = run_checkpoints.Checkpointer(run)
  rest = {"step": jax.numpy.asarray(7), "opt_state": state}
  checkpointer.save(7, nano.params, rest, {})
  checkpointer.close()
  made = conversion.convert(run, tmp_path / "t5x", "t5x")
  step, found = t5x.read_optimizer(made)
  assert step == 7
  expected = adafactor_moments.of_state(state) if name == "adafactor" else {}
  assert found.keys() == expected.keys()
  for key, array in expected.items():
    np.testing.assert_array_equal(found[key].whole(), array.whole())
  again = conversion.convert(made, tmp_path / "again", "t5x", step=9)
  step, kept = t5x.read_optimizer(again)
  assert step == 9 and kept.keys() == found.keys()


def test_the_exported_reward_model_is_a_backbone_and_a_score(scorer, tmp_path):
  made = conversion.convert(scorer, tmp_path / "hf", "hf")
  config = json.loads((made / "config.json").read_text())
  assert config["architectures"] == [conversion.SCORER_CLASS]
  assert config["xlrm"]["scorer_layer"] == 2
  from safetensors import numpy as files

  tensors = files.load_file(made / "model.safetensors")
  assert tensors["score.weight"].shape == (1, 96)
  assert tensors["score.bias"].shape == (1,)
  assert "lm_head.weight" not in tensors


def test_a_bare_checkpoint_of_t5x_needs_a_vocabulary_only(tmp_path):
  """Sizes come from the shapes; spiece.model is found beside or named."""
  arrays = model_files.find("nano").read()
  t5x_writer.write(tmp_path / "bare", arrays)
  with pytest.raises(FileNotFoundError, match="has no spiece.model beside it"):
    pretrained.load_language_model(tmp_path / "bare")
  spiece = model_files.vocabulary_path("nano")
  loaded = pretrained.load_language_model(tmp_path / "bare", vocabulary=spiece)
  nano = pretrained.load_language_model("nano")
  assert loaded.model.config == nano.model.config
  assert loaded.description.extra_ids == nano.description.extra_ids
  jax.tree.map(np.testing.assert_array_equal, loaded.params, nano.params)


def test_files_without_a_vocabulary_can_become_files_without_one(tmp_path):
  nano = conversion.convert("nano", tmp_path / "hf", "hf")
  (nano / "spiece.model").unlink()
  made = conversion.convert(nano, tmp_path / "t5x", "t5x")
  assert [x.name for x in made.iterdir()] == ["checkpoint_0"]
  again = conversion.convert(made, tmp_path / "again", "hf")
  one, other = (model_files.find(x).read() for x in (nano, again))
  assert one.keys() == other.keys()
  for name in one:
    np.testing.assert_array_equal(one[name].whole(), other[name].whole())
  with pytest.raises(FileNotFoundError, match="has no spiece.model"):
    conversion.convert(nano, tmp_path / "xlrm", "xlrm")
  assert not (tmp_path / "xlrm").exists()


def test_a_vocabulary_of_another_model_is_refused(tmp_path):
  arrays = dict(model_files.find("nano").read())
  name = "token_embedder/embedding"
  arrays[name] = stored.StoredArray.of(arrays[name].whole()[:1000])
  output = "decoder/logits_dense/kernel"
  arrays[output] = stored.StoredArray.of(arrays[output].whole()[:, :1000])
  t5x_writer.write(tmp_path / "other", arrays)
  spiece = model_files.vocabulary_path("nano")
  with pytest.raises(ValueError, match="1568 pieces, the model only 1000"):
    pretrained.load_language_model(tmp_path / "other", vocabulary=spiece)


def test_dtype_is_kept_and_ours_is_float32(tmp_path):
  small = conversion.convert("nano", tmp_path / "b", "hf", dtype="bfloat16")
  again = conversion.convert(small, tmp_path / "t", "t5x")
  assert_equal(values(small), values(again))
  ours = conversion.convert(again, tmp_path / "x", "xlrm")
  for name, array in values(ours).items():
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values(small)[name].astype(np.float32))
  with pytest.raises(ValueError, match="keeps parameters in float32"):
    conversion.convert("nano", tmp_path / "y", "xlrm", dtype="bfloat16")
  assert not (tmp_path / "y").exists()


MANY = """
import json, sys
import numpy as np
from xlrm.checkpoints import huggingface, huggingface_writer, stored
from xlrm.checkpoints import t5x, t5x_writer
from xlrm.models import language_model, t5
config = t5.T5Config(60_000, 512, 4, 64, 8192, 22, 22)
model = language_model.EncoderDecoder(config)
shapes = model.abstract()
def leaf(shape):
  # Values made when they are read: nothing is held.
  read = lambda index: np.ones([i.stop - i.start for i in index], np.float32)
  return stored.StoredArray(shape, np.dtype(np.float32), read)
import jax
from xlrm.distributed import sharding
arrays = {
  sharding.path_name(path): leaf(tuple(x.shape))
  for path, x in jax.tree_util.tree_leaves_with_path(shapes)
}
huggingface_writer.write(sys.argv[1] + "/hf", arrays, config)
t5x_writer.write(sys.argv[1] + "/t5x", huggingface.read(sys.argv[1] + "/hf"))
back = t5x.read(sys.argv[1] + "/t5x")
huggingface_writer.write(sys.argv[1] + "/again", back, config)
# Not ru_maxrss: a child begins with that of the process it was forked from.
status = open("/proc/self/status").read()
peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
sizes = [x.nbytes for x in arrays.values()]
print(json.dumps([peak, max(sizes), sum(sizes)]))
"""


@pytest.mark.slow
def test_converting_holds_a_few_tensors_not_the_model(tmp_path):
  """Peak memory: at most three times the largest tensor and 1 GB."""
  done = subprocess.run(
    [sys.executable, "-c", MANY, str(tmp_path)],
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  peak, largest, total = json.loads(done.stdout)
  assert total > 3 * largest + 1.3 * 2**30
  assert peak < 3 * largest + 2**30, (peak, largest, total)
