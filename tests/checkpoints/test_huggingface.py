"""Hugging Face's files: what transformers computed with them, we compute."""

import json
import pathlib

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as files

from xlrm.checkpoints import huggingface
from xlrm.checkpoints import stored
from xlrm.models import language_model
from xlrm.sampling import decoding
from xlrm.sampling import sampling_config

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FAMILIES = ("mt5", "t5", "t5_1_1", "umt5")
CopyError = huggingface.CheckpointError


def golden(name: str):
  with np.load(GOLDEN / f"hf_{name}.npz") as arrays:
    return {key: arrays[key] for key in arrays.files}


def weights_of(made) -> dict[str, np.ndarray]:
  prefix = "weights/"
  return {
    key.removeprefix(prefix): value
    for key, value in made.items()
    if key.startswith(prefix)
  }


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
  """The four families as transformers left them, by its own library."""
  root = tmp_path_factory.mktemp("hub")
  for name in FAMILIES:
    made = golden(name)
    (root / name).mkdir()
    files.save_file(weights_of(made), root / name / "model.safetensors")
    (root / name / "config.json").write_text(str(made["config"]))
  return root


def load(directory):
  arrays = huggingface.read(directory)
  config = huggingface.model_config(directory, arrays)
  model = language_model.EncoderDecoder(config)
  return model, stored.place(arrays, model.abstract(), directory)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_greedy_tokens_are_those_of_transformers(name, directories):
  made = golden(name)
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


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shard_size", [huggingface.SHARD, 5000])
def test_what_is_written_is_what_was_read(
  name, shard_size, directories, tmp_path
):
  """Read by the format's own library: the same tensors, bit for bit."""
  arrays = huggingface.read(directories / name)
  config = huggingface.model_config(directories / name, arrays)
  made = huggingface.write(
    tmp_path / name, arrays, config, shard_size=shard_size
  )
  found = {}
  for file in made.glob("*.safetensors"):
    found |= files.load_file(file)
  assert (len(list(made.glob("*.safetensors"))) > 1) == (shard_size == 5000)
  expected = weights_of(golden(name))
  assert found.keys() == expected.keys()
  for key, value in expected.items():
    np.testing.assert_array_equal(found[key], value)
  again = huggingface.read(made)
  assert huggingface.model_config(made, again) == config


@pytest.mark.parametrize("name", FAMILIES)
def test_the_config_that_is_written_says_what_transformers_said(
  name, directories
):
  """Apart from the tie, which transformers 5 claims of every model."""
  theirs = json.loads((directories / name / "config.json").read_text())
  arrays = huggingface.read(directories / name)
  config = huggingface.model_config(directories / name, arrays)
  ours = huggingface.config_fields(config, dtype="float32")
  own = {"model_type", "architectures", "tie_word_embeddings"}
  for key in ours.keys() & theirs.keys() - own:
    assert ours[key] == theirs[key], key
  assert ours["tie_word_embeddings"] == (name == "t5")


def change_config(directory, tmp_path, **changes) -> pathlib.Path:
  copied = tmp_path / "copy"
  copied.mkdir()
  for file in directory.iterdir():
    (copied / file.name).write_bytes(file.read_bytes())
  fields = json.loads((copied / "config.json").read_text())
  (copied / "config.json").write_text(json.dumps({**fields, **changes}))
  return copied


@pytest.mark.parametrize("flag", [True, False])
def test_tied_is_decided_by_the_weights_not_by_the_flag(
  flag, directories, tmp_path
):
  copied = change_config(
    directories / "mt5", tmp_path, tie_word_embeddings=flag
  )
  model, params = load(copied)
  assert not model.config.tie_embeddings
  theirs = weights_of(golden("mt5"))["lm_head.weight"]
  np.testing.assert_array_equal(model.output_matrix(params), theirs.T)


def test_an_output_matrix_equal_to_the_embedding_is_tied(directories, tmp_path):
  copied = change_config(directories / "t5", tmp_path)
  tensors = weights_of(golden("t5"))
  tensors["lm_head.weight"] = tensors["shared.weight"].copy()
  tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"].copy()
  files.save_file(tensors, copied / "model.safetensors")
  assert load(copied)[0].config.tie_embeddings


def test_tied_without_scaling_keeps_its_function(directories, tmp_path):
  """What transformers 5 makes of an mT5 of its own: no lm_head at all."""
  copied = change_config(directories / "mt5", tmp_path)
  tensors = weights_of(golden("mt5"))
  del tensors["lm_head.weight"]
  files.save_file(tensors, copied / "model.safetensors")
  model, params = load(copied)
  np.testing.assert_array_equal(
    model.output_matrix(params), tensors["shared.weight"].T
  )


def test_bfloat16_is_kept(directories, tmp_path):
  arrays = huggingface.read(directories / "mt5")
  config = huggingface.model_config(directories / "mt5", arrays)
  made = huggingface.write(tmp_path / "b", arrays, config, dtype="bfloat16")
  found = files.load_file(made / "model.safetensors")
  for key, value in weights_of(golden("mt5")).items():
    np.testing.assert_array_equal(found[key], value.astype(ml_dtypes.bfloat16))
  again = huggingface.read(made)
  part = again["decoder/logits_dense/kernel"].read((slice(2, 5), slice(1, 9)))
  expected = found["lm_head.weight"].T[2:5, 1:9]
  np.testing.assert_array_equal(part, expected)


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
  copied = change_config(directories / "mt5", tmp_path)
  damage(copied)
  with pytest.raises(CopyError, match=said):
    huggingface.read(copied)


def test_a_pickle_says_what_to_do(directories, tmp_path):
  copied = change_config(directories / "mt5", tmp_path)
  (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
  with pytest.raises(CopyError, match="save_pretrained"):
    huggingface.read(copied)


def test_an_index_that_names_a_missing_file(directories, tmp_path):
  arrays = huggingface.read(directories / "mt5")
  config = huggingface.model_config(directories / "mt5", arrays)
  made = huggingface.write(tmp_path / "m", arrays, config, shard_size=5000)
  gone = sorted(made.glob("*.safetensors"))[1]
  gone.unlink()
  with pytest.raises(CopyError, match=f"names {gone.name}, which is not there"):
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
  copied = change_config(directories / "mt5", tmp_path)
  tensors = weights_of(golden("mt5"))
  for name, shape in change.items():
    tensors.pop(name, None)
    if shape:
      tensors[name] = np.ones(shape, np.float32)
  files.save_file(tensors, copied / "model.safetensors")
  with pytest.raises(CopyError, match=said):
    load(copied)


def test_nothing_stands_where_writing_failed(directories, tmp_path):
  arrays = huggingface.read(directories / "mt5")
  config = huggingface.model_config(directories / "mt5", arrays)

  def fail(count):
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    huggingface.write(tmp_path / "m", arrays, config, progress=fail)
  assert not (tmp_path / "m").exists()
  huggingface.write(tmp_path / "m", arrays, config)
  assert [x.name for x in tmp_path.iterdir()] == ["m"]
  with pytest.raises(CopyError, match="exists already"):
    huggingface.write(tmp_path / "m", arrays, config)
