"""What is written, read back without its code: zarr, gzip and msgpack."""

import math
import pathlib

import ml_dtypes
import msgpack
import numpy as np
import pytest
import t5x_layout

from xlrm.checkpoints import adafactor_moments
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.checkpoints import t5x_writer


@pytest.fixture(scope="module")
def trained():
  return t5x_layout.trained()


def test_what_is_written_is_the_layout_of_t5x(trained, tmp_path):
  _, params, state = trained
  arrays = stored.of_tree(params)
  made = t5x_writer.write(
    tmp_path, arrays, step=20, moments=adafactor_moments.of_state(state)
  )
  assert made.name == "checkpoint_20"
  content = msgpack.unpackb((made / "checkpoint").read_bytes())
  assert content["version"] == 3
  leaf = content["optimizer"]["target"]["token_embedder"]["embedding"]
  name = "target.token_embedder.embedding"
  assert leaf == {
    "driver": "zarr",
    "dtype": "float32",
    "kvstore": {"driver": "file", "path": f"{name}/"},
    "metadata": {
      "chunks": [130, 128],
      "compressor": {"id": "gzip", "level": 1},
      "shape": [130, 128],
    },
  }
  for path, array in arrays.items():
    folder = pathlib.Path(made) / f"target.{path.replace('/', '.')}"
    np.testing.assert_array_equal(t5x_layout.read_zarr(folder), array.whole())
  states = content["optimizer"]["state"]["param_states"]
  assert states["token_embedder"]["embedding"].keys() == {
    "m",
    "v",
    "v_row",
    "v_col",
  }


def test_bfloat16_is_written_natively(trained, tmp_path):
  _, params, _ = trained
  made = t5x_writer.write(tmp_path, stored.of_tree(params), dtype="bfloat16")
  name = "decoder/logits_dense/kernel"
  folder = pathlib.Path(made) / f"target.{name.replace('/', '.')}"
  expected = np.asarray(params["decoder"]["logits_dense"]["kernel"])
  expected = expected.astype(ml_dtypes.bfloat16)
  np.testing.assert_array_equal(t5x_layout.read_zarr(folder), expected)
  np.testing.assert_array_equal(t5x.read(made)[name].whole(), expected)


def test_a_large_array_has_several_chunks():
  assert t5x_writer._chunks((250_112, 512), 4) == [31_264, 512]
  for shape in ((250_112, 4096), (1000, 7, 100_003)):
    chunks = t5x_writer._chunks(shape, 4)
    assert math.prod(chunks) * 4 <= t5x_writer.CHUNK
    assert all(n % c == 0 for n, c in zip(shape, chunks))


def test_nothing_stands_where_writing_failed(trained, tmp_path):
  _, params, _ = trained

  def fail(count):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    t5x_writer.write(tmp_path, stored.of_tree(params), step=3, progress=fail)
  assert t5x.find(tmp_path) is None
  t5x_writer.write(tmp_path, stored.of_tree(params), step=3)
  assert [x.name for x in tmp_path.iterdir()] == ["checkpoint_3"]
  with pytest.raises(checkpoint_errors.CheckpointError, match="exists already"):
    t5x_writer.write(tmp_path, stored.of_tree(params), step=3)
