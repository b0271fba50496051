"""Fine-tuning: its loss, and what is measured of validation outputs."""

import types as python_types

import jax
import numpy as np
import pytest

from xlrm import types
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.jobs import sft
from xlrm.models import language_model
from xlrm.models import t5
from xlrm.sampling import text_generation

MODEL = language_model.EncoderDecoder(
  t5.T5Config(
    vocab_size=24,
    emb_dim=8,
    num_heads=2,
    head_dim=4,
    mlp_dim=12,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.4,
  )
)
INPUTS = np.array([[5, 6, 1, 0], [7, 1, 0, 0]], np.int32)
TARGETS = np.array([[[8, 9, 1]], [[11, 1, 0]]], np.int32)
BATCH = types.Batch(INPUTS, TARGETS, (TARGETS > 0).astype(np.float32))


def test_the_loss_is_the_cross_entropy_of_the_targets():
  params = MODEL.init(jax.random.key(0))
  found = sft.sft_loss(MODEL, 0.0)(params, BATCH)
  hidden = MODEL.hidden(params, MODEL.encode(params, INPUTS), TARGETS)
  logits = np.asarray(hidden @ MODEL.output_matrix(params), np.float64)
  logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  told = np.take_along_axis(logprobs, TARGETS[..., None], -1)[..., 0]
  assert found.weight == 5
  assert float(found.total) == pytest.approx(
    -float((told * (TARGETS > 0)).sum()), rel=1e-5
  )
  with_z = sft.sft_loss(MODEL, 0.1)(params, BATCH)
  assert with_z.total > found.total


def test_dropout_is_on_with_a_key_only():
  params = MODEL.init(jax.random.key(0))
  loss = sft.sft_loss(MODEL, 0.0)
  plain = loss(params, BATCH).total
  assert plain == loss(params, BATCH, None).total
  assert plain != loss(params, BATCH, jax.random.key(1)).total


ROWS = [
  {
    "id": str(i),
    "language": "en",
    "inputs_pretokenized": f"prompt {i}",
    "reward_inputs": f"prompt {i}",
    "targets_pretokenized": "the cat",
  }
  for i in range(4)
]


class Length:
  """A judge: how many letters a response has."""

  name = "length"

  def scores(self, records):
    return [float(len(record.output)) for record in records]


def evaluation(speck, rows=ROWS, **options):
  return sft.generation_evaluation(
    pretrained.load_language_model(speck),
    rows,
    {"inputs": 8, "targets": 4},
    sft.GenerationEvaluation(**options),
    meshes.MeshConfig(1, 1).build(jax.devices()[:1]),
  )


def test_outputs_are_judged_by_name(speck, monkeypatch):
  asked = []

  def generate(generator, params, mesh, prompts, ids):
    asked.append((generator.config.greedy, prompts, ids))
    texts = ["the cat", "dog", "the cat"][: len(prompts)]
    return [python_types.SimpleNamespace(texts=[x]) for x in texts]

  monkeypatch.setattr(text_generation, "generate", generate)
  metrics = evaluation(speck, num_examples=3, judges=[Length()])(None, 7)
  assert asked == [(True, ["prompt 0", "prompt 1", "prompt 2"], list("012"))]
  assert metrics == {
    "validation/rouge_l": pytest.approx(2 / 3),
    "validation/length": pytest.approx((7 + 3 + 7) / 3),
  }


def test_without_rows_nothing_is_generated(speck):
  assert evaluation(speck, rows=[]) is None
  assert evaluation(speck, num_examples=0) is None
  with pytest.raises(ValueError, match="num_examples -1 must be at least 0"):
    sft.GenerationEvaluation(num_examples=-1)
