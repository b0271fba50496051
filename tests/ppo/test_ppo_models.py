"""Where the value model starts (G15), and which models may meet."""

import dataclasses

import jax
import numpy as np
import pytest

from xlrm import types
from xlrm.checkpoints import model_description
from xlrm.checkpoints import pretrained
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.models import language_model
from xlrm.models import response_scorer
from xlrm.models import t5
from xlrm.ppo import objective
from xlrm.ppo import ppo_models
from xlrm.ppo import reward_scale

CONFIG = t5.T5Config(
  vocab_size=40,
  emb_dim=8,
  num_heads=1,
  head_dim=4,
  mlp_dim=8,
  num_encoder_layers=1,
  num_decoder_layers=1,
)
BACKBONE = language_model.EncoderDecoder(CONFIG)
SCORER = response_scorer.ResponseScorer(BACKBONE, None, 4, 5)
MESH = meshes.MeshConfig().build(jax.devices()[:1])
INPUTS = np.array([[5, 6, 1, 0], [7, 1, 0, 0]], np.int32)
TOKENS = np.array(
  [[[8, 9, 1, 0], [8, 1, 0, 0]], [[1, 0, 0, 0], [8, 9, 5, 6]]], np.int32
)
BATCH = types.Batch(INPUTS, TOKENS, (TOKENS > 0).astype(np.float32))


def random_params(model):
  draw = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: draw.normal(size=x.shape, scale=0.5).astype(np.float32),
    model.abstract(),
  )


def loaded(model, params):
  description = model_description.Description(
    model_description.LANGUAGE_MODEL, CONFIG, 4, 5, 0
  )
  lazy = lazy_params.LazyParams.given(params)
  return pretrained.Pretrained(model, lazy, None, description, "")


def models(value=None):
  policy = loaded(BACKBONE, random_params(BACKBONE))
  return ppo_models.Models(
    policy=policy,
    reference=policy,
    value=value,
    scorer=SCORER,
    reward=None,
    heldout=None,
  )


@jax.jit
def values_of(params):
  """Of every token, and of the state that a score is read from."""
  longer = BATCH.replace(targets=np.pad(TOKENS, ((0, 0), (0, 0), (0, 1))))
  return SCORER.token_values(params, longer)


def test_g15_without_a_reward_model_values_start_at_exactly_0():
  params = ppo_models.value_params(
    models(), reward_scale.RewardScale(3.0, -7.0), MESH
  )
  np.testing.assert_array_equal(values_of(params), 0)
  # The rest is the policy's, so that the head soon reads something.
  policy = random_params(BACKBONE)["token_embedder"]["embedding"]
  found = params["backbone"]["token_embedder"]["embedding"]
  np.testing.assert_array_equal(found, policy)
  assert "logits_dense" not in params["backbone"]["decoder"]
  shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
  assert shapes(params) == shapes(SCORER.abstract())


def test_g15_from_a_reward_model_values_start_as_its_scaled_scores():
  params = random_params(SCORER)
  scale = reward_scale.RewardScale(gain=0.3, bias=-1.7)
  started = ppo_models.value_params(models(loaded(SCORER, params)), scale, MESH)
  before = np.asarray(values_of(params))
  np.testing.assert_allclose(values_of(started), 0.3 * before - 1.7, atol=1e-5)
  assert np.ptp(before) > 0.1


def test_a_verdict_model_cannot_be_the_value_model(monkeypatch):
  """It has no head that could be read at every token."""
  policy = loaded(BACKBONE, random_params(BACKBONE))
  monkeypatch.setattr(
    pretrained, "load_language_model", lambda *_, **__: policy
  )
  monkeypatch.setattr(ppo_models, "_check_vocabulary", lambda *_: None)
  monkeypatch.setattr(pretrained, "load_scorer", lambda *_, **__: policy)
  with pytest.raises(ValueError, match="'verdict:x' .* ResponseScorer"):
    ppo_models.load(
      ppo_models.PPOModels("policy", rewards="rm", value="verdict:x"),
      objective.PPOConfig(),
      MESH,
    )


@dataclasses.dataclass(frozen=True)
class Pieces:
  """A vocabulary of given pieces."""

  pieces: str

  @property
  def vocab_size(self):
    return len(self.pieces)

  def decode(self, ids):
    return "".join(self.pieces[i] for i in ids)


@pytest.mark.parametrize(
  ("pieces", "rows", "message"),
  [
    ("abcd", 40, None),  # another file of the same pieces
    ("abce", 40, r"vocabulary is another one \(4 pieces, 40 rows; .* 4 and 40"),
    ("abcde", 40, r"5 pieces, 40 rows; the policy has 4 and 40"),
    ("abcd", 48, r"4 pieces, 48 rows"),
  ],
)
def test_models_that_read_the_policys_tokens_know_them(
  tmp_path, pieces, rows, message
):
  def model(name, pieces, rows):
    path = tmp_path / name
    path.write_text(name)
    found = loaded(BACKBONE, random_params(BACKBONE))
    config = dataclasses.replace(CONFIG, vocab_size=rows)
    return dataclasses.replace(
      found,
      model=language_model.EncoderDecoder(config),
      description=dataclasses.replace(found.description, config=config),
      tokenizer=Pieces(pieces),
      vocabulary=str(path),
    )

  policy = model("policy", "abcd", 40)
  other = model("other", pieces, rows)
  if message is None:
    ppo_models._check_vocabulary("reference", other, policy)
    return
  with pytest.raises(ValueError, match=f"the reference reads .*{message}"):
    ppo_models._check_vocabulary("reference", other, policy)
