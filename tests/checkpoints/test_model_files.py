"""What a path holds; and that a model which changed is another model."""

import dataclasses
import json
import os
import pathlib
import shutil

from flax import serialization
import jax
import numpy as np
import own_checkpoints
import pytest
import t5x_layout

from xlrm.checkpoints import conversion
from xlrm.checkpoints import huggingface_writer
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import native
from xlrm.checkpoints import run_checkpoints
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x_writer
from xlrm.storage import package_data

NANO = package_data.asset("nano")


@pytest.fixture(scope="module")
def tiny():
  """Configuration and parameters of a model that is quickly written."""
  model, params, _ = t5x_layout.trained()
  return model.config, stored.of_tree(params)


def more(arrays, by=1.0, of="decoder/logits_dense/kernel"):
  """The model after more training of one parameter."""
  changed = stored.StoredArray.of(arrays[of].whole() + np.float32(by))
  return {**arrays, of: changed}


def copied(source, target) -> pathlib.Path:
  """As `cp -r` does, with the time of now."""
  return shutil.copytree(source, target, copy_function=shutil.copy)


def test_kinds_are_told_by_their_files(tiny, tmp_path):
  config, arrays = tiny
  t5x_writer.write(tmp_path / "t5x", arrays, step=3)
  huggingface_writer.write(tmp_path / "hf", arrays, config)
  conversion.convert("nano", tmp_path / "own", "xlrm")
  found = {
    name: model_files.find(tmp_path / name) for name in ("t5x", "hf", "own")
  }
  assert {name: x.source for name, x in found.items()} == {
    "t5x": "t5x",
    "hf": "hf",
    "own": "xlrm",
  }
  assert found["t5x"].description.config == config
  assert model_files.find(tmp_path / "t5x" / "checkpoint_3").source == "t5x"
  assert model_files.find("nano").path == model_files.resolve(NANO)
  with pytest.raises(FileNotFoundError, match="has no spiece.model beside it"):
    model_files.vocabulary_path(tmp_path / "t5x")
  assert model_files.vocabulary_path("nano") == str(NANO / "spiece.model")


def test_g28_what_is_no_model_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match="no model directory .*gone"):
    model_files.find(tmp_path / "gone")
  (tmp_path / "notes.txt").touch()
  with pytest.raises(FileNotFoundError, match="no model.json.*: notes.txt"):
    model_files.find(tmp_path)


def test_g20_parameters_are_read_where_they_are_to_live(tiny, tmp_path):
  config, arrays = tiny
  t5x_writer.write(tmp_path / "t5x", arrays)
  model, params, _ = t5x_layout.trained()
  found = model_files.find(tmp_path / "t5x")
  lazy = model_files.lazy_params(found, model.abstract())
  jax.tree.map(np.testing.assert_array_equal, lazy.on(None), params)
  wrong = {**model.abstract(), "more": jax.ShapeDtypeStruct((1,), np.float32)}
  with pytest.raises(ValueError, match="lacks the parameter more"):
    model_files.lazy_params(found, wrong)


# Identity: a fingerprint belongs to what is read, not to where it lies.


def test_a_t5x_model_that_is_trained_further_is_another(tiny, tmp_path):
  _, arrays = tiny
  run = tmp_path / "run"
  t5x_writer.write(run, arrays, step=1)
  first = model_files.fingerprint(run)
  t5x_writer.write(run, more(arrays), step=2)
  second = model_files.fingerprint(run)
  assert first != second  # the latest is the one that is read
  assert model_files.fingerprint(run / "checkpoint_1") == first
  assert model_files.fingerprint(run / "checkpoint_2") == second


@pytest.mark.parametrize(
  "of", ["token_embedder/embedding", "decoder/decoder_norm/scale"]
)
def test_a_t5x_model_that_is_written_anew_is_another(tiny, of, tmp_path):
  """Under its name, with its step, and with the times of before."""
  _, arrays = tiny
  seen = set()
  for by in (0, 1, 1e-6):
    run = tmp_path / "run"
    shutil.rmtree(run, ignore_errors=True)
    t5x_writer.write(run, more(arrays, by, of), step=1)
    for path in run.rglob("*"):
      os.utime(path, ns=(0, 0))
    seen.add(model_files.fingerprint(run))
  assert len(seen) == 3


def test_a_copy_of_a_t5x_model_is_the_same_with_or_without_its_optimizer(
  tiny, tmp_path
):
  _, arrays = tiny
  moments = {
    f"{name}/v": x for name, x in arrays.items() if name.startswith("encoder")
  }
  t5x_writer.write(tmp_path / "run", arrays, step=1, moments=moments)
  first = model_files.fingerprint(tmp_path / "run")
  there = copied(tmp_path / "run", tmp_path / "elsewhere")
  assert model_files.fingerprint(there) == first
  for state in there.glob("checkpoint_1/state.*"):
    shutil.rmtree(state)
  assert model_files.fingerprint(there) == first


@pytest.fixture
def run(tmp_path):
  """A run of ours: three checkpoints, none of them judged."""
  folder = own_checkpoints.write_three(tmp_path / "run")
  nano = model_files.find("nano")
  model_description.write(folder, nano.description, nano.vocabulary)
  return folder


def test_the_checkpoint_in_use_is_the_model(run):
  prints = {
    step: model_files.fingerprint(run / f"checkpoint_{step}")
    for step in (1, 2, 3)
  }
  assert len(set(prints.values())) == 3
  assert model_files.fingerprint(run) == prints[3]
  # Judged: the best one is read, whatever comes after.
  (run / native.BEST).write_text(json.dumps({"step": 2, "value": 0.5}))
  assert model_files.fingerprint(run) == prints[2]
  (run / native.BEST).write_text(json.dumps({"step": 2, "value": 0.6}))
  checkpointer = run_checkpoints.Checkpointer(run, keep=1)
  checkpointer.save(4, own_checkpoints.params(4), own_checkpoints.rest(4), {})
  checkpointer.close()
  assert native.steps(run) == [2, 4]
  assert model_files.fingerprint(run) == prints[2]
  (run / native.BEST).unlink()
  assert model_files.fingerprint(run) not in prints.values()


def test_a_copy_of_a_run_is_the_same(run, tmp_path):
  there = copied(run, tmp_path / "elsewhere")
  (there / "metrics.json").write_text("{}")  # no file of the model
  assert model_files.fingerprint(there) == model_files.fingerprint(run)
  assert model_files.fingerprint(f"{there}/") == model_files.fingerprint(run)


def test_an_archive_is_its_arrays(tmp_path):
  first = model_files.fingerprint("nano")
  there = copied(NANO, tmp_path / "nano2")
  assert model_files.fingerprint(there) == first
  with np.load(there / "params.npz") as arrays:
    changed = {name: arrays[name] for name in arrays.files}
  changed["decoder/decoder_norm/scale"][0] += 1e-3
  np.savez(there / "params.npz", **changed)
  assert model_files.fingerprint(there) != first


def test_a_hugging_face_model_that_is_written_anew_is_another(tiny, tmp_path):
  config, arrays = tiny
  made = huggingface_writer.write(tmp_path / "hf", arrays, config)
  first = model_files.fingerprint(made)
  kept = shutil.copytree(made, tmp_path / "kept")  # as cp -a: with its times
  assert model_files.fingerprint(kept) == first
  shutil.rmtree(made)
  huggingface_writer.write(made, more(arrays), config)
  assert model_files.fingerprint(made) != first


def test_description_and_vocabulary_belong_to_a_model(tmp_path):
  first = model_files.fingerprint("nano")
  there = copied(NANO, tmp_path / "nano2")
  own = model_description.read(there / "model.json")
  seen = {}
  for name, change in {
    "history": {"history": ("another story",)},
    "side": {"truncate_inputs_from_left": True},
    "length": {"max_input_length": own.max_input_length + 1},
  }.items():
    made = dataclasses.replace(own, **change)
    model_description.write(there, made, NANO / "spiece.model")
    seen[name] = model_files.fingerprint(there)
  assert seen["history"] == first  # words about it
  assert len({first, seen["side"], seen["length"]}) == 3
  model_description.write(there, own, NANO / "spiece.model")
  with open(there / "spiece.model", "ab") as file:
    file.write(b"\0")
  assert model_files.fingerprint(there) != first


def test_g28_no_model_has_no_fingerprint(tmp_path):
  with pytest.raises(FileNotFoundError, match="no model directory"):
    model_files.fingerprint(tmp_path / "gone")
  there = copied(NANO, tmp_path / "nano2")
  (there / "params.npz").write_bytes(b"")
  with pytest.raises(ValueError, match="params.npz is damaged"):
    model_files.fingerprint(there)


# Buckets.


def test_a_t5x_model_of_a_bucket_has_what_lies_beside_it(bucket):
  """Its arrays inside the msgpack file: TensorStore needs the real bucket."""
  nano = model_files.find("nano")
  arrays = {name: x.whole() for name, x in nano.read().items()}
  content = {
    "version": 3,
    "optimizer": {
      "target": stored.nest(arrays),
      "state": {"step": np.int32(5), "param_states": {}},
    },
  }
  model_description.write("gs://bucket/run", nano.description, nano.vocabulary)
  folder = bucket / "run" / "checkpoint_5"
  folder.mkdir()
  packed = serialization.msgpack_serialize(content)
  (folder / "checkpoint").write_bytes(packed)
  for path in ("gs://bucket/run", "gs://bucket/run/checkpoint_5"):
    found = model_files.find(path)
    assert os.fspath(found.path) == path
    assert found.vocabulary == "gs://bucket/run/spiece.model"
    assert found.description == nano.description
    assert found.read().keys() == nano.read().keys()
  first = model_files.fingerprint("gs://bucket/run")
  arrays["decoder/decoder_norm/scale"][0] += 1e-3
  packed = serialization.msgpack_serialize(content)
  (folder / "checkpoint").write_bytes(packed)
  assert model_files.fingerprint("gs://bucket/run") != first
  assert not os.listdir()


def test_g28_other_models_of_a_bucket_are_refused(bucket):
  shutil.copytree(NANO, bucket / "nano")
  for path in ("gs://bucket/nano", "gs://bucket/none"):
    for function in (
      model_files.find,
      model_files.fingerprint,
      model_files.read_description,
    ):
      with pytest.raises(FileNotFoundError, match=f"^{path} holds no T5X"):
        function(path)
  with pytest.raises(ValueError, match="gs:/bucket/nano: .*two slashes"):
    model_files.find(pathlib.Path("gs://bucket/nano"))
  assert not os.listdir()
