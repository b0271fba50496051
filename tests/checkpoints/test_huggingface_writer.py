"""Directories that are written, read by the format's own library."""

import hub_directories
import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as files

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import huggingface_config
from xlrm.checkpoints import huggingface_writer


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
  return hub_directories.write(tmp_path_factory.mktemp("hub"))


@pytest.mark.parametrize("name", hub_directories.FAMILIES)
@pytest.mark.parametrize("shard_size", [huggingface_writer.SHARD, 5000])
def test_what_is_written_is_what_was_read(
  name, shard_size, directories, tmp_path
):
  """Read by the format's own library: the same tensors, bit for bit."""
  arrays = huggingface.read(directories / name)
  config = huggingface_config.config_of(directories / name, arrays)
  made = huggingface_writer.write(
    tmp_path / name, arrays, config, shard_size=shard_size
  )
  found = {}
  for file in made.glob("*.safetensors"):
    found |= files.load_file(file)
  assert (len(list(made.glob("*.safetensors"))) > 1) == (shard_size == 5000)
  expected = hub_directories.weights_of(hub_directories.golden(name))
  assert found.keys() == expected.keys()
  for key, value in expected.items():
    np.testing.assert_array_equal(found[key], value)
  again = huggingface.read(made)
  assert huggingface_config.config_of(made, again) == config


def test_bfloat16_is_kept(directories, tmp_path):
  arrays = huggingface.read(directories / "mt5")
  config = huggingface_config.config_of(directories / "mt5", arrays)
  made = huggingface_writer.write(
    tmp_path / "b", arrays, config, dtype="bfloat16"
  )
  found = files.load_file(made / "model.safetensors")
  for key, value in hub_directories.weights_of(
    hub_directories.golden("mt5")
  ).items():
    np.testing.assert_array_equal(found[key], value.astype(ml_dtypes.bfloat16))
  again = huggingface.read(made)
  part = again["decoder/logits_dense/kernel"].read((slice(2, 5), slice(1, 9)))
  expected = found["lm_head.weight"].T[2:5, 1:9]
  np.testing.assert_array_equal(part, expected)


def test_nothing_stands_where_writing_failed(directories, tmp_path):
  arrays = huggingface.read(directories / "mt5")
  config = huggingface_config.config_of(directories / "mt5", arrays)

  def fail(count):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    huggingface_writer.write(tmp_path / "m", arrays, config, progress=fail)
  assert not (tmp_path / "m").exists()
  huggingface_writer.write(tmp_path / "m", arrays, config)
  assert [x.name for x in tmp_path.iterdir()] == ["m"]
  with pytest.raises(checkpoint_errors.CheckpointError, match="exists already"):
    huggingface_writer.write(tmp_path / "m", arrays, config)
