"""Names of parameters, against those that transformers gave its models."""

import hub_directories
import pytest

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import huggingface_names


@pytest.mark.parametrize("name", hub_directories.FAMILIES)
def test_every_tensor_of_transformers_has_a_path(name):
  theirs = set(hub_directories.weights_of(hub_directories.golden(name)))
  gates = 2 if any("wi_1" in x for x in theirs) else 1
  numbers = {
    stack: 1 + max(int(x.split(".")[2]) for x in theirs if x.startswith(stack))
    for stack in ("encoder.block", "decoder.block")
  }
  ours = {
    huggingface_names.hub_name(path)
    for path in huggingface_names.paths(
      numbers["encoder.block"], numbers["decoder.block"], gates, name == "umt5"
    )
  }
  kept = {x for x in theirs if not huggingface_names.IGNORED.fullmatch(x)}
  assert kept <= ours
  # What only scorers have, and what a tied model has not.
  assert ours - kept <= {"score.weight", "score.bias", "lm_head.weight"}


def test_kernels_are_the_other_way_round_and_tables_are_not():
  assert huggingface_names.is_transposed("encoder/layers_0/mlp/wo/kernel")
  assert huggingface_names.is_transposed("encoder/relpos_bias/rel_embedding")
  assert not huggingface_names.is_transposed("token_embedder/embedding")


def test_a_scorers_backbone_has_the_names_of_a_model():
  name = "encoder/encoder_norm/scale"
  assert huggingface_names.hub_name(f"backbone/{name}") == (
    huggingface_names.hub_name(name)
  )
  assert huggingface_names.hub_name("head/kernel") == "score.weight"


@pytest.mark.parametrize("path", ["encoder/layers_0/x", "other", "encoder"])
def test_a_parameter_of_another_model_is_named(path):
  with pytest.raises(checkpoint_errors.CheckpointError, match=f"{path} has no"):
    huggingface_names.hub_name(path)
