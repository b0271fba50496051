"""Hugging Face's files: what transformers computed with them, we compute."""

import hub_directories
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as files

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import huggingface_config
from xlrm.checkpoints import huggingface_writer
from xlrm.checkpoints import stored
from xlrm.models import language_model
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
  return hub_directories.write(tmp_path_factory.mktemp("hub"))


def load(directory):
  arrays = huggingface.read(directory)
  config = huggingface_config.config_of(directory, arrays)
  model = language_model.EncoderDecoder(config)
  return model, stored.place(arrays, model.abstract(), directory)


@pytest.mark.parametrize("name", hub_directories.FAMILIES)
def test_logits_and_greedy_tokens_are_those_of_transformers(name, directories):
  made = hub_directories.golden(name)
  model, params = load(directories / name)

  @jax.jit
  def run(params, inputs, targets):
    hidden = model.hidden(params, model.encode(params, inputs), targets)
    keys = jax.vmap(jax.random.key)(jnp.arange(inputs.shape[0]))
    drawn = decoding.sample(
      model,
      params,
      inputs,
      keys,
      sampling_config.SamplingConfig(max_tokens=targets.shape[-1], greedy=True),
      1,
      None,
    )
    return hidden @ model.output_matrix(params), drawn.tokens

  logits, tokens = run(params, made["inputs"], made["targets"][:, None])
  np.testing.assert_allclose(logits[:, 0], made["logits"], atol=1e-4)
  np.testing.assert_array_equal(tokens[:, 0], made["greedy"])


@pytest.mark.parametrize("flag", [True, False])
def test_tied_is_decided_by_the_weights_not_by_the_flag(
  flag, directories, tmp_path
):
  copied = hub_directories.change_config(
    directories / "mt5", tmp_path, tie_word_embeddings=flag
  )
  model, params = load(copied)
  assert not model.config.tie_embeddings
  theirs = hub_directories.weights_of(hub_directories.golden("mt5"))[
    "lm_head.weight"
  ]
  np.testing.assert_array_equal(model.output_matrix(params), theirs.T)


def test_an_output_matrix_equal_to_the_embedding_is_tied(directories, tmp_path):
  copied = hub_directories.change_config(directories / "t5", tmp_path)
  tensors = hub_directories.weights_of(hub_directories.golden("t5"))
  tensors["lm_head.weight"] = tensors["shared.weight"].copy()
  tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"].copy()
  files.save_file(tensors, copied / "model.safetensors")
  assert load(copied)[0].config.tie_embeddings


def test_tied_without_scaling_keeps_its_function(directories, tmp_path):
  """What transformers 5 makes of an mT5 of its own: no lm_head at all."""
  copied = hub_directories.change_config(directories / "mt5", tmp_path)
  tensors = hub_directories.weights_of(hub_directories.golden("mt5"))
  del tensors["lm_head.weight"]
  files.save_file(tensors, copied / "model.safetensors")
  model, params = load(copied)
  np.testing.assert_array_equal(
    model.output_matrix(params), tensors["shared.weight"].T
  )


@pytest.mark.parametrize(
  ("damage", "said"),
  [
    (lambda d: (d / "config.json").unlink(), "is no Hugging Face directory"),
    (lambda d: (d / "config.json").write_text("{"), "config.json is no JSON"),
    (
      lambda d: (d / "config.json").write_text('{"model_type": "bert"}'),
      "'bert' is not one of mt5, t5, umt5",
    ),
    (
      lambda d: (d / "model.safetensors").write_bytes(b"12345"),
      "is no safetensors file, or a damaged one",
    ),
    (
      lambda d: (d / "model.safetensors").write_bytes(
        (d / "model.safetensors").read_bytes()[:-100]
      ),
      "is no safetensors file, or a damaged one",
    ),
  ],
)
def test_a_damaged_directory_is_one_message(
  damage, said, directories, tmp_path
):
  copied = hub_directories.change_config(directories / "mt5", tmp_path)
  damage(copied)
  with pytest.raises(checkpoint_errors.CheckpointError, match=said):
    huggingface.read(copied)


def test_a_pickle_says_what_to_do(directories, tmp_path):
  copied = hub_directories.change_config(directories / "mt5", tmp_path)
  (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
  with pytest.raises(
    checkpoint_errors.CheckpointError, match="save_pretrained"
  ):
    huggingface.read(copied)


def test_an_index_that_names_a_missing_file(directories, tmp_path):
  arrays = huggingface.read(directories / "mt5")
  config = huggingface_config.config_of(directories / "mt5", arrays)
  made = huggingface_writer.write(
    tmp_path / "m", arrays, config, shard_size=5000
  )
  gone = sorted(made.glob("*.safetensors"))[1]
  gone.unlink()
  with pytest.raises(
    checkpoint_errors.CheckpointError,
    match=f"names {gone.name}, which is not there",
  ):
    huggingface.read(made)


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"decoder.block.9.layer.0.layer_norm.weight": (24,)}, "nearest: decoder"),
    ({"shared.weight": None}, "lacks the tensor shared.weight"),
    ({"encoder.final_layer_norm.weight": None}, "lacks the parameter encoder"),
    ({"encoder.final_layer_norm.weight": (23,)}, "has shape"),
  ],
)
def test_a_wrong_tensor_is_named(change, said, directories, tmp_path):
  copied = hub_directories.change_config(directories / "mt5", tmp_path)
  tensors = hub_directories.weights_of(hub_directories.golden("mt5"))
  for name, shape in change.items():
    tensors.pop(name, None)
    if shape:
      tensors[name] = np.ones(shape, np.float32)
  files.save_file(tensors, copied / "model.safetensors")
  with pytest.raises(checkpoint_errors.CheckpointError, match=said):
    load(copied)
