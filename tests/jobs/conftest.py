"""A policy and reward models that cost nothing to make."""

import dataclasses

import jax
import pytest

from xlrm import pretrained
from xlrm import tokenizer
from xlrm.launch import main


def _reward(base, folder, vocabulary, **changes):
  config = dataclasses.replace(base.model.config, **changes)
  model = dataclasses.replace(base.model, config=config)
  description = dataclasses.replace(
    base.description,
    kind=pretrained.RESPONSE_SCORER,
    config=config,
    max_input_length=64,
    max_response_length=32,
  )
  tokens = tokenizer.Tokenizer.load(vocabulary, base.description.extra_ids)
  made = pretrained.scorer_of(model, tokens, description)
  params = base.params if not changes else model.init(jax.random.key(1))
  params = made.from_language_model(jax.random.key(0), params)
  pretrained.write_archive(folder, params, description, vocabulary)
  return str(folder)


@pytest.fixture(scope="session")
def reward(tmp_path_factory):
  """A random head on the shipped weights."""
  base = pretrained.load_language_model("nano")
  return _reward(base, tmp_path_factory.mktemp("rm"), base.vocabulary)


@pytest.fixture(scope="session")
def foreign_reward(tmp_path_factory):
  """A reward model with a vocabulary of its own."""
  folder = tmp_path_factory.mktemp("foreign")
  text = folder / "text.txt"
  words = "el la puente policía incendio casas 35 fuego Hanoi . ,".split()
  text.write_text(
    "".join(f"{a} {b}\n" for a in words for b in words), encoding="utf-8"
  )
  vocabulary = str(folder / "own.model")
  options = ("--size=60", "--model_type=bpe", f"--output={vocabulary}")
  assert main.main(["vocab", f"--input={text}", *options]) == 0
  base = pretrained.load_language_model("nano")
  return _reward(base, folder / "rm", vocabulary, vocab_size=128)


@pytest.fixture(scope="session")
def speck(tmp_path_factory):
  """A policy with nano's vocabulary and one layer, which compiles fast."""
  base = pretrained.load_language_model("nano")
  config = dataclasses.replace(
    base.model.config,
    emb_dim=32,
    num_heads=2,
    head_dim=8,
    mlp_dim=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
  )
  made = pretrained.new_language_model(
    config, base.vocabulary, base.description.extra_ids, seed=3
  )
  folder = tmp_path_factory.mktemp("speck")
  pretrained.write_archive(
    folder, made.params, made.description, made.vocabulary
  )
  return str(folder)


@pytest.fixture(scope="session")
def speck_reward(speck, tmp_path_factory):
  """A random head on the small policy."""
  base = pretrained.load_language_model(speck)
  return _reward(base, tmp_path_factory.mktemp("speck_rm"), base.vocabulary)
