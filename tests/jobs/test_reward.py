"""The reward job on a handful of rows: what it writes is what it trained."""

import jax
import numpy as np
import pytest

from xlrm import batches
from xlrm import converters
from xlrm import optimizers
from xlrm import pretrained
from xlrm import sharding
from xlrm import text_generation
from xlrm import training
from xlrm.jobs import reward
from xlrm.miniworld import rows

LENGTHS = {"inputs": 64, "targets": 32}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  base = pretrained.load_language_model("nano")

  def ids(text):
    return np.asarray([*base.tokenizer.encode(text), 1], np.int32)

  examples = [
    {
      "inputs": ids(row.document),
      "targets": ids(row.summary),
      "rating": np.float32(row.rating),
    }
    for row in rows.rating_rows("en", "train", 0, 16)
  ]
  folder = tmp_path_factory.mktemp("reward")
  result = reward.train(
    source=batches.ArraySource(
      train=examples[:8],
      validation=examples[8:],
      lengths=LENGTHS,
      batch_size=8,
      converter=converters.to_ratings,
    ),
    optimizer=optimizers.adafactor(1e-3),
    config=training.TrainConfig(train_steps=2, eval_period=2),
    model_dir=str(folder),
    initial=base,
    lengths=LENGTHS,
    frozen=("backbone/encoder/", "backbone/token_embedder/"),
    mesh=sharding.MeshConfig(data=8),
  )
  return base, folder, result


def test_frozen_parameters_stay_and_others_move(trained):
  base, _, result = trained
  same = jax.tree.map(
    np.array_equal, result.params["backbone"]["encoder"], base.params["encoder"]
  )
  assert all(jax.tree.leaves(same))
  moved = result.params["backbone"]["decoder"]["decoder_norm"]["scale"]
  assert not np.array_equal(
    moved, base.params["decoder"]["decoder_norm"]["scale"]
  )


def test_g11_a_loaded_reward_model_scores_as_the_trained_one(trained):
  _, folder, result = trained
  loaded = pretrained.load_scorer(folder)
  row = rows.summary_rows("de", "test", 0, 1)[0]
  responses = [[row.summary, "Paris."]]
  scores = [
    text_generation.score_texts(
      loaded.model, params, [row.document], responses, batch_size=1
    )
    for params in (jax.device_get(result.params), loaded.params)
  ]
  np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
  assert loaded.description.history[-1] == "reward model"


def test_a_language_model_is_no_reward_model():
  with pytest.raises(ValueError, match="holds a language_model"):
    pretrained.load_scorer("nano")
