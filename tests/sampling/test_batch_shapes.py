"""How prompts and responses share a batch, and how its window grows."""

import pytest

from xlrm.models import language_model
from xlrm.models import t5
from xlrm.sampling import batch_shapes


@pytest.mark.parametrize(
  ("batch", "prompts", "samples", "length", "shards", "expected"),
  [
    (32, 4, 8, 128, 1, (4, 8)),
    (32, 64, 8, 128, 1, (16, 2)),
    (64, 1000, 64, 128, 1, (16, 4)),
    (32, 1000, 1, 128, 1, (32, 1)),
    (1, 10, 8, 128, 1, (1, 1)),
    (32, 3, 4, 128, 8, (8, 4)),
    (256, 1000, 16, 1024, 1, (16, 16)),
  ],
)
def test_few_rows_per_prompt_unless_prompts_are_few_or_heavy(
  batch, prompts, samples, length, shards, expected
):
  shape = batch_shapes.choose_batch_shape(
    language_model.EncoderDecoder(t5.mt5("small")),
    batch_size=batch,
    num_prompts=prompts,
    num_samples=samples,
    prompt_length=length,
    data_shards=shards,
  )
  assert (shape.slots, shape.rows_per_slot) == expected


def test_the_window_grows_fourfold():
  assert batch_shapes.window_lengths(32) == [32]
  assert batch_shapes.window_lengths(64) == [64]
  assert batch_shapes.window_lengths(512) == [64, 256, 512]


def test_few_prompts_are_read_together():
  assert batch_shapes.BatchShape(64, 2).prefill_size == 4
  assert batch_shapes.BatchShape(3, 2).prefill_size == 1
  assert batch_shapes.BatchShape(3, 2).rows == 6
