"""Reward models as functions of texts, alone and together."""

import jax
import numpy as np
import pytest

from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.rewards import reward_models
from xlrm.rewards import text_scoring

DOCUMENTS = ["A fire in Hanoi.", "Snow fell in Rome.", "The mayor left."]
GROUPS = [["Fire.", "Snow.", "Fire."], ["Snow in Rome."], ["The mayor.", ""]]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
  """Two reward models of nano's weights with heads of their own."""
  base = pretrained.load_language_model("nano")
  paths = []
  for seed in (0, 1):
    description = model_description.Description(
      model_description.RESPONSE_SCORER,
      base.model.config,
      32,
      16,
      base.description.extra_ids,
    )
    made = pretrained.scorer_of(base.model, base.tokenizer, description)
    params = made.from_language_model(jax.random.key(seed), base.params)
    path = tmp_path_factory.mktemp(f"rm{seed}")
    pretrained.write_archive(path, params, description, base.vocabulary)
    paths.append(str(path))
  return paths


def alone(path):
  loaded = pretrained.load_scorer(path)
  return text_scoring.score_texts(
    loaded.model, loaded.params, DOCUMENTS, GROUPS, batch_size=3
  )


def flat(groups):
  return np.array([x for group in groups for x in group])


def test_two_lines_in_a_notebook(models):
  reward = reward_models.load(models[0])
  np.testing.assert_allclose(
    flat(reward(DOCUMENTS, GROUPS)), flat(alone(models[0])), atol=1e-5
  )
  single = reward(DOCUMENTS, [group[0] for group in GROUPS])
  expected = [group[0] for group in alone(models[0])]
  np.testing.assert_allclose(single, expected, atol=1e-5)
  with pytest.raises(ValueError, match="a list of prompts"):
    reward("A fire.", ["Fire."])


@pytest.mark.parametrize(
  "combine, expected",
  [
    (reward_models.mean_score, lambda a, b: (a + b) / 2),
    (reward_models.min_score, np.minimum),
    (
      reward_models.MeanMinusDeviations(2.0),
      lambda a, b: (a + b) / 2 - abs(a - b),
    ),
  ],
)
def test_ensembles(models, combine, expected):
  a, b = (flat(alone(path)) for path in models)
  together = reward_models.load(reward_models.Ensemble(models, combine))
  np.testing.assert_allclose(
    flat(together(DOCUMENTS, GROUPS)), expected(a, b), atol=1e-5
  )


def weighted(scores):
  """What any combination may do: a product with the matrix [M responses]."""
  return np.asarray([0.25, 0.75], np.float32) @ scores


def test_combine_gets_one_row_per_member_on_the_device_too(models):
  a, b = (flat(alone(path)) for path in models)
  together = reward_models.load(reward_models.Ensemble(models, weighted))
  expected = 0.25 * a + 0.75 * b
  np.testing.assert_allclose(
    flat(together(DOCUMENTS, GROUPS)), expected, atol=1e-5
  )
  pairs = [[group[0], "Snow."] for group in GROUPS]
  on_device = together.device_scores(DOCUMENTS, pairs)
  assert on_device.shape == (len(DOCUMENTS), 2)
  np.testing.assert_allclose(on_device, together(DOCUMENTS, pairs), atol=1e-5)


def test_a_list_is_a_mean_and_a_mesh_changes_nothing(models):
  mean = reward_models.load(models)
  mesh = meshes.MeshConfig(data=4, model=2).build()
  spread = mean.on(mesh).score(DOCUMENTS, GROUPS, batch_size=4)
  np.testing.assert_allclose(
    flat(spread), flat(mean(DOCUMENTS, GROUPS)), atol=1e-5
  )


def test_wrong_ensembles_are_refused():
  with pytest.raises(ValueError, match="a list of reward models"):
    reward_models.Ensemble("runs/rm_en")
  with pytest.raises(ValueError, match="k -1.0 is not"):
    reward_models.MeanMinusDeviations(-1.0)
