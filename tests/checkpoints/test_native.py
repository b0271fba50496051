"""What is read of a run's checkpoints: the best, the latest, a good one."""

import json
import pathlib
import shutil

import jax
import numpy as np
import own_checkpoints
import pytest

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import manifest
from xlrm.checkpoints import native


@pytest.fixture(scope="module")
def three_once(tmp_path_factory) -> pathlib.Path:
  return own_checkpoints.write_three(tmp_path_factory.mktemp("three"))


@pytest.fixture
def three(three_once, tmp_path) -> pathlib.Path:
  """Checkpoints 1, 2, 3 whose parameters are their step."""
  return shutil.copytree(three_once, tmp_path / "run")


def test_load_params_prefers_the_best(three):
  abstract = jax.eval_shape(own_checkpoints.params)

  def scale(path):
    loaded = native.load_params(path, abstract)
    return float(loaded["encoder"]["encoder_norm"]["scale"][0])

  assert scale(three) == 3.5
  assert scale(three / "checkpoint_1") == 1.5
  (three / native.BEST).write_text(json.dumps({"step": 2}))
  assert scale(str(three)) == 2.5


def test_g19_load_params_passes_over_a_damaged_checkpoint(three, capsys):
  (three / native.BEST).write_text(json.dumps({"step": 2}))
  own_checkpoints.damage(three / "checkpoint_2" / "params")
  own_checkpoints.damage(three / "checkpoint_3" / "rest")  # not read
  loaded = native.load_params(three, jax.eval_shape(own_checkpoints.params))
  assert float(loaded["encoder"]["encoder_norm"]["scale"][0]) == 3.5
  assert "checkpoint_2 is damaged" in capsys.readouterr().out
  with pytest.raises(
    checkpoint_errors.DamagedError, match="checkpoint_2 is damaged"
  ):
    native.load_params(
      three / "checkpoint_2", jax.eval_shape(own_checkpoints.params)
    )


def test_load_params_says_what_a_folder_holds(tmp_path):
  (tmp_path / "spiece.model").touch()
  with pytest.raises(checkpoint_errors.CheckpointError, match="spiece.model"):
    native.load_params(tmp_path, jax.eval_shape(own_checkpoints.params))


def test_a_broken_best_json_is_named(three):
  (three / native.BEST).write_text("{}")
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="best.json is not"
  ):
    native.load_params(three, jax.eval_shape(own_checkpoints.params))


def test_arrays_are_read_as_they_are_loaded(three):
  (three / native.BEST).write_text(json.dumps({"step": 2}))
  loaded = own_checkpoints.params(2)
  found = native.read(three)
  assert found.keys() == {
    "token_embedder/embedding",
    "encoder/encoder_norm/scale",
  }
  np.testing.assert_array_equal(
    found["token_embedder/embedding"].whole(),
    loaded["token_embedder"]["embedding"],
  )
  step, rest = native.read_rest(three)
  assert step == 2 and rest["step"].whole() == 2


def test_marks_are_those_of_the_checkpoint_that_is_read(three, tmp_path):
  marks = {x: native.marks(three / f"checkpoint_{x}") for x in (1, 2, 3)}
  assert len({tuple(x) for x in marks.values()}) == 3
  assert all("params/" in line for line in marks[1])
  assert native.marks(three) == marks[3]
  (three / native.BEST).write_text(json.dumps({"step": 2}))
  assert native.marks(three) == marks[2]
  copied = shutil.copytree(
    three, tmp_path / "elsewhere", copy_function=shutil.copy
  )
  shutil.rmtree(copied / "checkpoint_3")
  assert native.marks(copied) == marks[2]
  # The one that `read` will pass over, too.
  (three / "checkpoint_2" / manifest.NAME).write_text("{")
  assert native.marks(three) == marks[3]
  with pytest.raises(
    checkpoint_errors.DamagedError, match="checkpoint_2 has no"
  ):
    native.marks(three / "checkpoint_2")


def test_the_optimizer_makes_no_other_marks(three):
  before = native.marks(three / "checkpoint_3")
  (three / "checkpoint_3" / "rest" / "more").touch()
  content = manifest.read(three / "checkpoint_3")
  manifest.write(three / "checkpoint_3", 3, content["leaves"], {"other": 1})
  assert native.marks(three / "checkpoint_3") == before
