"""Rows of miniworld: reproducible, held out, faulty as documented."""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from xlrm.miniworld import gold
from xlrm.miniworld import parsing
from xlrm.miniworld import pretraining
from xlrm.miniworld import world
from xlrm.miniworld import world_rows

ROOT = pathlib.Path(__file__).parents[2]
# Changes whenever a row changes: then every shipped weight is out of date.
DIGEST = "53d85a40d4bbed4b"


def _sample():
  for code in world_rows.LANGUAGES:
    for split in ("train", "validation", "test"):
      yield from world_rows.summary_rows(code, split, 5, 5)
      yield from world_rows.rating_rows(code, split, 5, 5)
  for index in range(100):
    yield pretraining.pretraining_row(index)


def _digest():
  text = "\n".join(
    json.dumps(dataclasses.asdict(row), ensure_ascii=False) for row in _sample()
  )
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_rows_never_change():
  assert _digest() == DIGEST


def test_rows_are_the_same_in_another_process():
  code = (
    "from xlrm.miniworld import world_rows\n"
    "print(ascii(world_rows.rating_rows('ru', 'train', 7, 3)))"
  )
  printed = {
    subprocess.run(
      [sys.executable, "-c", code],
      env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
      capture_output=True,
      text=True,
      check=True,
    ).stdout.strip()
    for seed in ("1", "2")
  }
  assert printed == {ascii(world_rows.rating_rows("ru", "train", 7, 3))}


def test_any_range_of_rows_is_a_slice():
  whole = world_rows.summary_rows("es", "validation")
  assert len(whole) == world_rows.SUMMARY_SIZES["validation"]
  assert world_rows.summary_rows("es", "validation", 190) == whole[190:]
  assert world_rows.summary_rows("es", "validation", 3, 4) == whole[3:7]
  assert whole[17].id == "es/validation/000017"
  assert len(world_rows.rating_rows("vi", "validation")) == 400


@pytest.mark.parametrize("code", world_rows.LANGUAGES)
def test_rows_are_unique_enough(code):
  documents = [
    row.document for row in world_rows.summary_rows(code, "train", 0, 600)
  ]
  assert len(set(documents)) > 0.99 * len(documents)


def test_bad_requests_name_what_is_valid():
  with pytest.raises(ValueError, match="'fr'"):
    world_rows.summary_rows("fr", "train", 0, 1)
  with pytest.raises(ValueError, match="'dev'.*'validation'"):
    world_rows.summary_rows("de", "dev", 0, 1)
  with pytest.raises(ValueError, match="start 201"):
    world_rows.summary_rows("de", "validation", 201)
  for name in ("x", "es/validation/x", "es/dev/000001", "fr/test/000001"):
    with pytest.raises(ValueError, match="es/validation/000017"):
      world_rows.event_of(name)


def test_policy_reads_a_tag_and_the_reward_model_does_not():
  (row,) = world_rows.summary_rows("tr", "test", 0, 1)
  assert world_rows.policy_input(row) == "<tr> " + row.document
  assert "<" not in row.document


@pytest.mark.parametrize("code", world_rows.LANGUAGES)
def test_event_of_gives_what_the_document_says(code):
  for row in (
    *world_rows.summary_rows(code, "test", 0, 20),
    *world_rows.rating_rows(code, "test", 0, 20),
  ):
    event = world_rows.event_of(row.id)
    read = parsing.read(row.document, code)
    assert all(sentence.role for sentence in read), row.document
    told = {(m.slot, m.value) for s in read for m in s.mentions}
    facts = {
      *(
        (name, getattr(event.main, name))
        for name in ("person", "city", "number", "day")
      ),
      ("city", event.old.city),
      ("number", event.old.number),
      ("person", event.witness),
    }
    assert told == facts
    kinds = {s.role: s.kind for s in read if s.kind}
    assert kinds.pop("memory") == event.old.kind
    assert set(kinds.values()) == {event.main.kind}


def _stated(text, code):
  """The facts that the grammatical reports in a text state."""
  for sentence in parsing.read(text, code):
    if sentence.role == "report":
      told = {m.slot: m.value for m in sentence.mentions}
      yield world.Facts(
        sentence.kind, told["person"], told["city"], told["number"], "monday"
      )


def test_no_training_text_states_a_held_out_fact():
  texts = []
  for code in world_rows.LANGUAGES:
    for row in world_rows.summary_rows(code, "train", 0, 60):
      texts += [(row.summary, code), (row.document, code)]
    for row in world_rows.rating_rows(code, "train", 0, 60):
      texts += [(row.summary, code), (row.document, code)]
  for index in range(300):
    row = pretraining.pretraining_row(index)
    texts += [(row.targets, code) for code in world_rows.LANGUAGES]
    texts += [(row.inputs, code) for code in world_rows.LANGUAGES]
  for text in pretraining.corpus(count=20):
    texts += [(text, code) for code in world_rows.LANGUAGES]
  facts = [facts for text, code in texts for facts in _stated(text, code)]
  assert len(facts) > 500
  assert {world.partition(stated) for stated in facts} == {"train"}
  events = [
    world_rows.event_of(row.id).main
    for code in world_rows.LANGUAGES
    for split in ("validation", "test")
    for row in (
      *world_rows.summary_rows(code, split, 0, 20),
      *world_rows.rating_rows(code, split, 0, 20),
    )
  ]
  assert {world.partition(facts) for facts in events} == {"validation", "test"}


@pytest.mark.parametrize("code", world_rows.LANGUAGES)
def test_references_of_training_are_imperfect_and_others_are_not(code):
  train = world_rows.summary_rows(code, "train", 0, 700)
  judged = [gold.judge_example(row.id, row.summary).quality for row in train]
  faulty = sum(quality < 1 for quality in judged) / len(judged)
  assert abs(faulty - world_rows.REFERENCE_FAULT_RATE) < 0.06
  for split in ("validation", "test"):
    for row in world_rows.summary_rows(code, split, 0, 100):
      assert gold.judge_example(row.id, row.summary).quality == 1


@pytest.mark.parametrize("code", world_rows.LANGUAGES)
def test_ratings(code):
  train = world_rows.rating_rows(code, "train", 0, 1000)
  held_out = world_rows.rating_rows(code, "test")
  noise = [
    row.rating != float(row.fault == world_rows.NO_FAULT) for row in train
  ]
  assert 0.09 < sum(noise) / len(noise) < 0.15
  for row in held_out:
    quality = gold.judge_example(row.id, row.summary).quality
    assert row.rating == float(row.fault == world_rows.NO_FAULT)
    assert (quality == 1) == bool(row.rating), row
  for split in (train, held_out):
    counts = collections.Counter(row.fault for row in split)
    assert abs(counts.pop(world_rows.NO_FAULT) / len(split) - 0.5) < 0.06
    assert set(counts) == set(world_rows.RATING_FAULTS)
    for fault, weight in world_rows.RATING_FAULTS.items():
      assert abs(counts[fault] / counts.total() - weight) < 0.06


def test_wrong_language_is_for_evaluation_only():
  assert world_rows.WRONG_LANGUAGE not in world_rows.SPLITS
  assert "wrong_language" not in {
    **world_rows.RATING_FAULTS,
    **world_rows.REFERENCE_FAULTS,
  }
  judged = world_rows.rating_rows("es", world_rows.WRONG_LANGUAGE)
  faults = collections.Counter(row.fault for row in judged)
  assert set(faults) == {world_rows.NO_FAULT, "wrong_language"}
  for row in judged:
    verdict = gold.judge_example(row.id, row.summary)
    assert verdict.language == (row.fault == world_rows.NO_FAULT)
    assert world.partition(world_rows.event_of(row.id).main) == "test"


@pytest.mark.parametrize("code", world_rows.LANGUAGES)
@pytest.mark.parametrize("length", [len, lambda text: len(text.split())])
def test_length_says_little_about_the_rating(code, length):
  """Accuracy of the best threshold, fitted on the very rows it is tried on."""
  held_out = world_rows.rating_rows(code, "test")
  sizes = [length(row.summary) for row in held_out]
  best = 0
  for limit in set(sizes):
    right = sum(
      (size >= limit) == bool(row.rating)
      for size, row in zip(sizes, held_out, strict=True)
    )
    best = max(best, right, len(sizes) - right)
  assert best / len(sizes) < 0.62
