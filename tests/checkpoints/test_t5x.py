"""T5X's checkpoints, made without its and our code, and read."""

import jax
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest
import t5x_layout

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.storage import files


@pytest.mark.parametrize(
  "layout",
  [
    {},
    {"top": True},
    {"driver": "gfile"},
    {"driver": "gcs"},
    {"driver": "gcs", "top": True},
    {"code": "bfloat16"},
    {"code": "<u2", "version": 2},
  ],
)
def test_every_legacy_layout_is_read(layout, tmp_path):
  (tmp_path / "checkpoint_7").mkdir()
  t5x_layout.legacy(tmp_path / "checkpoint_7", **layout)
  found = t5x.read(tmp_path)
  kernel = found["decoder/logits_dense/kernel"]
  expected = t5x_layout.KERNEL
  if "code" in layout:
    assert kernel.dtype == ml_dtypes.bfloat16
    expected = t5x_layout.KERNEL.astype(ml_dtypes.bfloat16)
  np.testing.assert_array_equal(kernel.whole(), expected)
  part = kernel.read((slice(3, 9), slice(2, 5)))
  np.testing.assert_array_equal(part, expected[3:9, 2:5])
  scale = found["decoder/decoder_norm/scale"].whole()
  np.testing.assert_array_equal(scale, np.linspace(0, 1, 8, dtype=np.float32))
  assert t5x.read_optimizer(tmp_path) == (7, {})


def test_the_latest_checkpoint_of_a_model_directory_is_read(tmp_path):
  for step in (3, 20, 100):
    (tmp_path / f"checkpoint_{step}").mkdir()
    t5x_layout.legacy(tmp_path / f"checkpoint_{step}")
  assert t5x.find(tmp_path).name == "checkpoint_100"
  assert t5x.find(tmp_path / "checkpoint_3").name == "checkpoint_3"


def test_an_orbax_checkpoint_of_t5x_is_read(tmp_path, monkeypatch):
  _, params, _ = t5x_layout.trained()
  host = jax.device_get(params)
  state = {"step": np.array(5), "param_states": {"a": {"v": np.ones(3)}}}
  with ocp.PyTreeCheckpointer() as writer:
    writer.save(
      tmp_path / "checkpoint_5" / "state", {"target": host, "state": state}
    )
  found = t5x.read(tmp_path)
  expected = stored.of_tree(host)
  assert found.keys() == expected.keys()
  for name, array in expected.items():
    np.testing.assert_array_equal(found[name].whole(), array.whole())
  step, moments = t5x.read_optimizer(tmp_path)
  assert step == 5 and moments["a/v"].whole().tolist() == [1, 1, 1]
  monkeypatch.chdir(tmp_path)
  assert t5x.read("checkpoint_5").keys() == expected.keys()


@pytest.mark.parametrize(
  ("damage", "said"),
  [
    (lambda d: (d / "checkpoint").write_bytes(b"12"), "or a damaged one"),
    (
      lambda d: (d / "checkpoint").write_bytes(
        (d / "checkpoint").read_bytes()[:-9]
      ),
      "or a damaged one",
    ),
    (
      lambda d: (d / "target.decoder.logits_dense.kernel/.zarray").unlink(),
      "was the checkpoint copied whole",
    ),
    (lambda d: t5x_layout.legacy_version(d, 1), "is of version 1"),
  ],
)
def test_a_damaged_checkpoint_is_one_message(damage, said, tmp_path):
  t5x_layout.legacy(tmp_path)
  damage(tmp_path)
  with pytest.raises(checkpoint_errors.CheckpointError, match=said):
    t5x.read(tmp_path)


def test_no_checkpoint_and_no_t5_are_named(tmp_path):
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="is no T5X checkpoint"
  ):
    t5x.read(tmp_path)


def test_a_bucket_is_read_with_its_own_driver():
  place = t5x.kvstore(files.path("gs://bucket/runs/checkpoint_3"), "state")
  assert place == {
    "driver": "gcs",
    "bucket": "bucket",
    "path": "runs/checkpoint_3/state/",
  }


def test_marks_leave_out_the_optimizer(tmp_path):
  t5x_layout.legacy(tmp_path)
  before = t5x.marks(t5x.find(tmp_path))
  assert [line.partition(":")[0] for line in before] == [
    *(
      f"target.decoder.logits_dense.kernel/{x}"
      for x in (".zarray", "0.0", "1.0", "2.0", "3.0")
    ),
    "checkpoint",
  ]
  state = tmp_path / "state.param_states.decoder.v"
  t5x_layout.write_zarr(state, t5x_layout.KERNEL, (4, 8), "<f4")
  assert t5x.marks(t5x.find(tmp_path)) == before
