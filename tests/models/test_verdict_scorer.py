"""A model in the released metrics' format: its "1" against its "0"."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from xlrm.checkpoints import conversion
from xlrm.checkpoints import pretrained
from xlrm.models import verdict_scorer
from xlrm.rewards import text_scoring
from xlrm.text import tokenizer

DOCUMENT = "Weber öffnete am Montag eine Schule mit 12 Räumen in Rom."
SUMMARIES = ["Eine Schule in Rom.", "1 1 1", "Weber war in Kairo."]


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
  """A Hugging Face directory without a word of xlrm in it."""
  folder = tmp_path_factory.mktemp("metric") / "q6"
  conversion.convert("nano", folder, "hf")
  config = folder / "config.json"
  fields = json.loads(config.read_text())
  fields.pop("xlrm")
  config.write_text(json.dumps(fields))
  return pretrained.load_scorer(f"verdict:{folder}")


def by_hand(metric, document, summary) -> float:
  """All logits of the whole answer, one text at a time."""
  model = metric.model.model
  text = f"premise: {document} hypothesis: {summary}"
  ids = np.array([[*metric.tokenizer.encode(text), 1]], np.int32)
  good, bad = (metric.tokenizer.encode(x) for x in "10")
  logits = []
  for answer in (good, bad):
    memory = model.encode(metric.params, ids)
    hidden = model.hidden(metric.params, memory, np.array([[answer]]))
    all_logits = hidden[0, 0] @ model.output_matrix(metric.params)
    logprobs = np.asarray(jax.nn.log_softmax(all_logits))
    logits.append(sum(x[i] for x, i in zip(logprobs, answer)))
  return logits[0] - logits[1]


def test_the_score_is_the_log_odds_of_the_two_answers(metric):
  scores = text_scoring.score_texts(
    metric.model, metric.params, [DOCUMENT], [SUMMARIES], batch_size=2
  )
  expected = [by_hand(metric, DOCUMENT, summary) for summary in SUMMARIES]
  np.testing.assert_allclose(scores[0], expected, atol=1e-4)
  assert len(set(expected)) == 3


def test_verdict_tokens_come_from_the_tokenizer(metric):
  prefix, good, bad = metric.model.verdict
  assert [*prefix, good] == metric.tokenizer.encode("1")
  assert [*prefix, bad] == metric.tokenizer.encode("0")


def test_a_long_document_loses_its_end_and_never_the_summary(metric):
  short = dataclasses.replace(metric.model, max_input_length=48)
  batch = short.prepare([DOCUMENT + " Lang." * 50], [SUMMARIES])
  assert batch.targets.shape == (1, 3, 48)
  for row, summary in zip(batch.targets[0], SUMMARIES):
    kept = metric.tokenizer.encode(f"hypothesis: {summary}")
    length = row.tolist().index(1)
    assert row[length - len(kept) + 1 : length].tolist() == kept[1:]


def test_a_vocabulary_without_the_answers_is_refused(metric, tmp_path):
  path = tmp_path / "spiece.model"
  tokenizer.train_vocabulary(["ab ab abc"] * 20, 9, path)
  with pytest.raises(ValueError, match="cannot tell '1'"):
    verdict_scorer.VerdictScorer(
      metric.model.model, tokenizer.Tokenizer.load(path)
    )


def test_the_input_format_must_name_both(metric):
  with pytest.raises(ValueError, match="lacks {summary}"):
    dataclasses.replace(metric.model, input_format="{document}")


def test_a_language_model_that_is_no_verdict_says_how_to_name_it():
  with pytest.raises(ValueError, match="is named verdict:nano"):
    pretrained.load_scorer("nano")
