"""Axes, sizes and checks that gin files of T5X's trainer name."""

import types

import jax
import numpy as np
import pytest
import seqio

from xlrm.checkpoints import model_files
from xlrm.checkpoints import pretrained
from xlrm.data import registry
from xlrm.models import t5


@pytest.fixture(scope="module")
def from_the_left():
  """A task whose long inputs lose their beginning."""
  name = registry.register(
    "stub_sft.en",
    lambda split: [],
    kind="summary",
    splits=("train",),
    truncate_inputs_from_left=True,
  )
  yield name
  registry.remove(name)


def test_sizes_are_those_of_a_model_directory(t5x_settings):
  config = t5x_settings.backbone_config("nano", 0.1, "bfloat16")
  assert config == t5.mt5("nano", dropout_rate=0.1, dtype="bfloat16")


def test_the_vocabulary_has_the_sentinels_of_the_model(t5x_settings):
  found = t5x_settings.vocabulary_of("nano")
  tokenizer = pretrained.load_tokenizer("nano")
  assert found.vocab_size == tokenizer.vocab_size + tokenizer.extra_ids
  text = "A fire destroyed 35 houses."
  assert found.encode(text) == tokenizer.encode(text)


def test_every_bias_of_umt5_has_axes(t5x_settings):
  config = t5.mt5("nano", rel_bias_per_layer=True)
  params = jax.eval_shape(
    lambda key: t5.Transformer(config).init(key)["params"], jax.random.key(0)
  )
  axes = t5x_settings.parameter_axes(params)
  table = axes["encoder"]["layers_1"]["relpos_bias"]["rel_embedding_axes"]
  assert table.names == ("heads", "relpos_buckets")
  with pytest.raises(ValueError, match="parameter 'decoder/new'"):
    t5x_settings.parameter_axes({"decoder": {"new": np.zeros(3)}})


def test_the_heads_one_output_is_not_factored(t5x_settings):
  rules = t5x_settings.logical_factor_rules()
  assert rules["score"].value is None
  assert rules["embed"].name == "ROW"  # T5X's own stay


def test_g28_a_task_of_another_vocabulary_is_refused(
  t5x_settings, from_the_left
):
  vocabulary = t5x_settings.vocabulary_of("nano")
  model = types.SimpleNamespace(
    output_vocabulary=vocabulary, truncates_from_left=False
  )
  cfg = types.SimpleNamespace(mixture_or_task_name="a_rating.en")
  cfg.vocabularies = (vocabulary, vocabulary)
  t5x_settings.verify_task(cfg, model)
  other = seqio.SentencePieceVocabulary(
    model_files.vocabulary_path("nano"), extra_ids=1
  )
  cfg.vocabularies = (vocabulary, other)
  with pytest.raises(ValueError, match="'a_rating.en' .* for 'targets'"):
    t5x_settings.verify_task(cfg, model)
  cfg.vocabularies = (vocabulary, vocabulary)
  cfg.mixture_or_task_name = from_the_left
  with pytest.raises(ValueError, match="FROM_LEFT = True"):
    t5x_settings.verify_task(cfg, model)
  model.truncates_from_left = True
  t5x_settings.verify_task(cfg, model)
