"""The manifest notices every change to a checkpoint's files."""

import json
import pathlib

import jax
import jax.numpy as jnp
import pytest

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import manifest


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
  for item in ("params", "rest"):
    (tmp_path / item).mkdir()
    (tmp_path / item / "array").write_bytes(bytes(range(100)))
  leaves = manifest.describe({"params": {"w": jnp.ones((2, 3))}})
  manifest.write(tmp_path, 7, leaves, {"best": None})
  return tmp_path


def test_a_good_checkpoint_verifies(folder):
  content = manifest.verify(folder)
  assert content["step"] == 7
  assert content["metadata"] == {"best": None}
  assert content["leaves"]["params"]["w"] == {
    "shape": [2, 3],
    "dtype": "float32",
  }


def _flip(path: pathlib.Path, position: int = 50) -> None:
  content = bytearray(path.read_bytes())
  content[position] ^= 1
  path.write_bytes(bytes(content))


@pytest.mark.parametrize(
  "harm, message",
  [
    (lambda d: _flip(d / "rest" / "array"), "rest/array does not have its"),
    (lambda d: (d / "rest" / "array").unlink(), "rest/array is missing"),
    (lambda d: (d / "params" / "new").touch(), "params/new is not in its"),
    (lambda d: (d / manifest.NAME).write_text("{"), "no readable manifest"),
    (lambda d: (d / manifest.NAME).write_text("[]"), "no readable manifest"),
    (lambda d: (d / manifest.NAME).unlink(), "no readable manifest"),
  ],
)
def test_g19_every_change_is_noticed(folder, harm, message):
  harm(folder)
  with pytest.raises(checkpoint_errors.DamagedError, match=message):
    manifest.verify(folder)


def test_g19_the_manifest_vouches_for_itself(folder):
  path = folder / manifest.NAME
  content = json.loads(path.read_text())
  content["step"] = 8
  path.write_text(json.dumps(content))
  with pytest.raises(
    checkpoint_errors.DamagedError, match="does not have its checksum"
  ):
    manifest.verify(folder)


def test_only_the_items_asked_for_are_read(folder):
  _flip(folder / "rest" / "array")
  assert manifest.verify(folder, ("params",))["step"] == 7


def test_g20_leaves_are_compared_by_name_shape_and_dtype():
  model = {"decoder": {"wo": {"kernel": jnp.ones((2, 3))}}}
  recorded = manifest.describe({"params": model})["params"]
  expected = manifest.flat(jax.eval_shape(lambda: model))
  path = pathlib.Path("c")
  manifest.check_leaves(path, recorded, expected)
  with pytest.raises(
    checkpoint_errors.CheckpointError,
    match="lacks decoder.w0.kernel; nearest there: decoder.wo.kernel",
  ):
    manifest.check_leaves(
      path, recorded, {**expected, "decoder.w0.kernel": jnp.ones(1)}
    )
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="holds decoder.wo.kernel"
  ):
    manifest.check_leaves(path, recorded, {})
  other = {"decoder.wo.kernel": jnp.ones((2, 4))}
  with pytest.raises(
    checkpoint_errors.CheckpointError,
    match=r"kernel is float32 \(2, 3\), expected",
  ):
    manifest.check_leaves(path, recorded, other)
  other = {"decoder.wo.kernel": jnp.ones((2, 3), jnp.bfloat16)}
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="expected bfloat16"
  ):
    manifest.check_leaves(path, recorded, other)
