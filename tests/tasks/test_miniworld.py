"""The generated world as tasks: tags, faults, pre-training."""

import pytest

from xlrm.checkpoints import model_files
from xlrm.data import seqio_source
from xlrm.miniworld import world_rows
import xlrm.tasks.miniworld

LENGTHS = {"inputs": 72, "targets": 32}


@pytest.mark.parametrize("language", ["ru", "vi"])
def test_miniworld_summaries_carry_a_tag_for_the_policy_only(language):
  made = seqio_source.SeqioSource(f"miniworld_summary.{language}", LENGTHS, 8)
  found = made.examples("test")
  assert len(found) == world_rows.SUMMARY_SIZES["test"]
  for row in found:
    tagged = f"<{language}> {row['reward_inputs']}"
    assert row["inputs_pretokenized"] == tagged
    assert row["language"] == language
  assert world_rows.event_of(found[0]["id"])


def test_miniworld_ratings_say_what_is_wrong_and_read_no_tag():
  made = seqio_source.SeqioSource("miniworld_rating.tr", LENGTHS, 8)
  found = made.examples("validation")
  assert len(found) == world_rows.RATING_SIZES["validation"]
  for row in found:
    assert row["inputs_pretokenized"] == row["reward_inputs"]
    assert row["rating"] == float(row["fault"] == world_rows.NO_FAULT)
  batch = next(made.train_batches(0))
  assert batch.ratings.shape == (8, 1)
  assert len(made.examples(world_rows.WRONG_LANGUAGE)) == 200


def test_pretraining_batches_are_reproducible():
  vocabulary = model_files.vocabulary_path("nano")

  def make(**settings):
    return xlrm.tasks.miniworld.pretraining_source(
      vocabulary, LENGTHS, 8, num_rows=40, num_validation_rows=8, **settings
    )

  made = make()
  batch = next(made.train_batches(0))
  assert batch.batch.inputs.shape == (8, 72)
  assert batch.replaced.shape == (8, 1, 32)
  assert make().fingerprint() == made.fingerprint()
  assert make(seed=1).fingerprint() != made.fingerprint()
