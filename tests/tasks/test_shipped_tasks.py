"""The tasks that ship with xlrm: names, splits, counts, one registration."""

import os
import pathlib
import subprocess
import sys

import pytest
import seqio

from xlrm.checkpoints import pretrained
from xlrm.data import registry
from xlrm.data import seqio_source
from xlrm.miniworld import world_rows
import xlrm.tasks.debsum
import xlrm.tasks.miniworld
import xlrm.tasks.seahorse

ROOT = pathlib.Path(__file__).parents[2]
LENGTHS = {"inputs": 72, "targets": 32}
DEBSUM = {  # train, validation
  "de": (9543, 1052),
  "en": (13514, 1486),
  "es": (4654, 534),
  "ru": (4195, 463),
  "tr": (2398, 262),
  "vi": (1275, 110),
}


def test_every_language_has_its_tasks_and_every_kind_its_mixture():
  for kind in (
    "miniworld_summary",
    "miniworld_rating",
    "seahorse_rating",
    "debsum_summary",
    "debsum_bare",
  ):
    tasks = [task.name for task in seqio.get_mixture_or_task(kind).tasks]
    assert sorted(tasks) == [
      f"{kind}.{x}" for x in sorted(world_rows.LANGUAGES)
    ]
    assert registry.kind_of(tasks[0]) == (
      "rating" if kind.endswith("rating") else "summary"
    )


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
  vocabulary = pretrained.vocabulary_path("nano")

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


def test_debsum_has_its_published_counts(real_data):
  for language, counts in DEBSUM.items():
    made = seqio_source.SeqioSource(f"debsum_summary.{language}", LENGTHS, 8)
    found = [made.examples(split) for split in ("train", "validation")]
    assert tuple(map(len, found)) == counts
    ids = [{row["id"] for row in split} for split in found]
    assert not ids[0] & ids[1]
  bare = seqio_source.SeqioSource("debsum_bare.vi", LENGTHS, 8)
  row = bare.examples("validation")[0]
  assert row["reward_inputs"] == ""
  assert row["inputs_pretokenized"].endswith(found[1][0]["reward_inputs"])


def test_g28_without_the_data_the_variable_is_named(monkeypatch):
  monkeypatch.delenv("XLRM_REAL_DATA", raising=False)
  xlrm.tasks.debsum.register("here_summary")
  try:
    made = seqio_source.SeqioSource("here_summary.de", LENGTHS, 8)
    with pytest.raises(ValueError, match="variable XLRM_REAL_DATA is not set"):
      made.examples("train")
  finally:
    for name in registry.names():
      if name.startswith("here_"):
        registry.remove(name)


def test_g24_tasks_beside_xlrm_tasks_cannot_register_twice():
  done = subprocess.run(
    [sys.executable, "-c", "import tasks.miniworld"],
    cwd=ROOT,
    env={**os.environ, "PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode and "this package is xlrm.tasks" in done.stderr
  with pytest.raises(ValueError, match="this package is xlrm.tasks"):
    sys.path.insert(0, str(ROOT))
    try:
      seqio_source.import_module("tasks.miniworld")
    finally:
      sys.path.remove(str(ROOT))
