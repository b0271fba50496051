"""Models from files: loaded as what they are, refused as what they are not."""

import dataclasses

import jax
import numpy as np
import pytest

from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.models import t5
from xlrm.storage import package_data

VOCABULARY = str(package_data.asset("nano", "spiece.model"))


@pytest.fixture(scope="module")
def nano():
  return pretrained.load_language_model("nano")


def test_the_shipped_model_is_loaded_once_it_is_asked_for(nano):
  assert nano.vocabulary == VOCABULARY
  assert nano.model.config == nano.description.config
  shapes = jax.tree.map(lambda x: x.shape, nano.lazy_params.abstract)
  assert jax.tree.map(lambda x: x.shape, nano.params) == shapes
  assert nano.params is nano.params


def test_options_of_the_computation_do_not_change_parameters(nano):
  other = pretrained.load_language_model(
    "nano", dropout_rate=0.1, dtype="bfloat16", remat=True
  )
  config = other.model.config
  assert (config.dropout_rate, config.dtype, config.remat) == (
    0.1,
    "bfloat16",
    True,
  )
  jax.tree.map(np.testing.assert_array_equal, other.params, nano.params)


def test_a_tokenizer_is_that_of_its_model(nano):
  found = pretrained.load_tokenizer("nano")
  assert found == nano.tokenizer
  assert found.extra_ids == nano.description.extra_ids


def test_an_archive_is_loaded_as_it_was_written(nano, tmp_path):
  params = jax.tree.map(lambda x: x + 1, nano.params)
  description = dataclasses.replace(nano.description, history=("again",))
  pretrained.write_archive(tmp_path / "m", params, description, VOCABULARY)
  found = pretrained.load_language_model(tmp_path / "m")
  assert found.description == description
  jax.tree.map(np.testing.assert_array_equal, found.params, params)


def test_a_scorer_is_what_its_description_says(nano, tmp_path):
  description = dataclasses.replace(
    nano.description,
    kind=model_description.RESPONSE_SCORER,
    max_input_length=64,
    max_response_length=32,
    scorer_layer=1,
    truncate_inputs_from_left=True,
  )
  scorer = pretrained.scorer_of(nano.model, nano.tokenizer, description)
  params = scorer.from_language_model(jax.random.key(0), nano.params)
  pretrained.write_archive(tmp_path, params, description, VOCABULARY)
  found = pretrained.load_scorer(tmp_path, dropout_rate=0.2)
  assert (found.model.layer, found.model.max_response_length) == (1, 32)
  assert found.model.truncate_inputs_from_left
  assert found.model.model.config.dropout_rate == 0.2
  jax.tree.map(np.testing.assert_array_equal, found.params, params)
  with pytest.raises(ValueError, match="response_scorer, not a language_model"):
    pretrained.load_language_model(tmp_path)


def test_a_language_model_may_answer_but_is_no_scorer(nano):
  with pytest.raises(ValueError, match="not a response_scorer; .*verdict:nano"):
    pretrained.load_scorer("nano")
  found = pretrained.load_scorer("verdict:nano")
  assert found.model.model == nano.model


def test_a_new_model_needs_a_row_for_every_id():
  config = t5.T5Config(1600, 8, 2, 4, 8, 1, 1)
  made = pretrained.new_language_model(config, VOCABULARY, extra_ids=32)
  again = pretrained.new_language_model(config, VOCABULARY, extra_ids=32)
  assert made.description.extra_ids == 32
  jax.tree.map(np.testing.assert_array_equal, made.params, again.params)
  with pytest.raises(ValueError, match="set vocab_size to at least 1601"):
    pretrained.new_language_model(config, VOCABULARY, extra_ids=33)
