"""What a path holds; and that a model which changed is another model."""

import os
import pathlib
import shutil

from flax import serialization
import jax
import numpy as np
import pytest
import t5x_layout

from xlrm.checkpoints import conversion
from xlrm.checkpoints import huggingface_writer
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x_writer
from xlrm.storage import package_data

NANO = package_data.asset("nano")


@pytest.fixture(scope="module")
def tiny():
  """Configuration and parameters of a model that is quickly written."""
  model, params, _ = t5x_layout.trained()
  return model.config, stored.of_tree(params)


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
  assert not os.listdir()


def test_g28_other_models_of_a_bucket_are_refused(bucket):
  shutil.copytree(NANO, bucket / "nano")
  for path in ("gs://bucket/nano", "gs://bucket/none"):
    for function in (
      model_files.find,
      model_files.read_description,
    ):
      with pytest.raises(FileNotFoundError, match=f"^{path} holds no T5X"):
        function(path)
  with pytest.raises(ValueError, match="gs:/bucket/nano: .*two slashes"):
    model_files.find(pathlib.Path("gs://bucket/nano"))
  assert not os.listdir()
