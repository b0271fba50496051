"""Batches of prompts: every epoch in its own order, and any step at once."""

import itertools

import numpy as np
import pytest

from xlrm.batches import prompt_batches
from xlrm.checkpoints import pretrained

TEXTS = ["El lunes", "91 grupos tocaron en un festival", "", "Weber", "a b c"]


@pytest.fixture(scope="module")
def tokenizer():
  return pretrained.load_tokenizer("nano")


def batches(tokenizer, texts=TEXTS[:2] + TEXTS[3:], **settings):
  rows = [
    {"id": f"r{i}", "inputs_pretokenized": text, "reward_inputs": text}
    for i, text in enumerate(texts)
  ]
  settings = {"max_input_length": 6, "batch_size": 3, **settings}
  return prompt_batches.PromptBatches(rows, tokenizer, **settings)


def take(made, start, count):
  return list(itertools.islice(made.train_batches(start), count))


def test_inputs_are_the_tokens_of_their_rows(tokenizer):
  for batch in take(batches(tokenizer), 0, 4):
    assert batch.inputs.shape == (3, 6) and batch.inputs.dtype == np.int32
    for ids, row in zip(batch.inputs, batch.rows, strict=True):
      whole = [*tokenizer.encode(row["inputs_pretokenized"]), tokenizer.eos_id]
      kept = whole if len(whole) <= 6 else [*whole[:5], tokenizer.eos_id]
      assert ids.tolist() == kept + [0] * (6 - len(kept))


def test_long_prompts_may_lose_their_beginning(tokenizer):
  made = batches(tokenizer, TEXTS[1:2], truncate_inputs_from_left=True)
  whole = [*tokenizer.encode(TEXTS[1]), tokenizer.eos_id]
  assert len(whole) > 6
  assert take(made, 0, 1)[0].inputs[0].tolist() == whole[-6:]


def test_every_epoch_has_every_prompt_once_in_another_order(tokenizer):
  names = [row["id"] for x in take(batches(tokenizer), 0, 8) for row in x.rows]
  epochs = [names[i : i + 4] for i in range(0, 24, 4)]
  assert all(sorted(epoch) == ["r0", "r1", "r2", "r3"] for epoch in epochs)
  assert len({tuple(epoch) for epoch in epochs}) > 1


def test_g18_batches_from_a_step_on_are_the_tail(tokenizer):
  whole = take(batches(tokenizer), 0, 9)
  tail = take(batches(tokenizer), 5, 4)
  assert [x.number for x in whole] == list(range(9))
  for one, other in zip(whole[5:], tail, strict=True):
    assert one.number == other.number and one.rows == other.rows
    np.testing.assert_array_equal(one.inputs, other.inputs)


def test_the_fingerprint_changes_with_the_batches_only(tokenizer):
  first = batches(tokenizer).fingerprint()
  assert batches(tokenizer).fingerprint() == first
  for change in (
    dict(texts=TEXTS[:2]),
    dict(texts=[*TEXTS[:2], "Weber", "a b d"]),
    dict(seed=1),
    dict(batch_size=2),
    dict(max_input_length=7),
    dict(truncate_inputs_from_left=True),
  ):
    assert batches(tokenizer, **change).fingerprint() != first


def test_what_cannot_be_drawn_for_is_named(tokenizer):
  with pytest.raises(ValueError, match="no prompts to sample for"):
    batches(tokenizer, [])
  with pytest.raises(ValueError, match="0 prompts per batch"):
    batches(tokenizer, batch_size=0)
  with pytest.raises(ValueError, match="prompt of example id 'r2' is empty"):
    take(batches(tokenizer, TEXTS[:3]), 0, 1)
