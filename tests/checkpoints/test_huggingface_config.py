"""`config.json` as transformers writes it, to our sizes and back."""

import json

import hub_directories
import pytest

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import huggingface_config
from xlrm.models import t5


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
  return hub_directories.write(tmp_path_factory.mktemp("hub"))


@pytest.mark.parametrize("name", hub_directories.FAMILIES)
def test_the_config_that_is_written_says_what_transformers_said(
  name, directories
):
  """Apart from the tie, which transformers 5 claims of every model."""
  theirs = json.loads((directories / name / "config.json").read_text())
  arrays = huggingface.read(directories / name)
  config = huggingface_config.config_of(directories / name, arrays)
  ours = huggingface_config.fields_of(config, dtype="float32")
  own = {"model_type", "architectures", "tie_word_embeddings"}
  for key in ours.keys() & theirs.keys() - own:
    assert ours[key] == theirs[key], key
  assert ours["tie_word_embeddings"] == (name == "t5")


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    (
      {"model_type": "bert"},
      "config.json: model_type 'bert' is not one of mt5",
    ),
    ({"feed_forward_proj": "silu"}, "feed_forward_proj 'silu' is not one of"),
    ({"d_model": None}, "config.json lacks the field 'd_model'"),
    ({"num_heads": 0}, "config.json: num_heads"),
  ],
)
def test_g28_a_wrong_field_is_named(changes, said, directories, tmp_path):
  arrays = huggingface.read(directories / "mt5")
  copied = hub_directories.change_config(directories / "mt5", tmp_path)
  fields = json.loads((copied / "config.json").read_text()) | changes
  kept = {name: x for name, x in fields.items() if x is not None}
  (copied / "config.json").write_text(json.dumps(kept))
  with pytest.raises(checkpoint_errors.CheckpointError, match=said):
    huggingface_config.config_of(copied, arrays)


def test_what_their_t5_lacks_is_refused():
  config = t5.T5Config(8, 4, 1, 4, 4, 1, 1, mlp_activations=("gelu",))
  with pytest.raises(checkpoint_errors.CheckpointError, match="'gelu'"):
    huggingface_config.fields_of(config, dtype="float32")
