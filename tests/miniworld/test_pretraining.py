"""Rows of pre-training: what they hold, and what they never state."""

import collections

from xlrm.miniworld import corruption
from xlrm.miniworld import parsing
from xlrm.miniworld import pretraining
from xlrm.miniworld import randomness
from xlrm.miniworld import world
from xlrm.miniworld import world_rows

ROWS = [pretraining.pretraining_row(index) for index in range(800)]


def test_kinds_are_mixed_as_documented():
  counts = collections.Counter(row.kind for row in ROWS)
  for kind, weight in pretraining.KINDS.items():
    assert abs(counts[kind] / len(ROWS) - weight) < 0.06


def test_a_row_is_a_function_of_its_index():
  assert pretraining.pretraining_row(7) == ROWS[7]
  assert pretraining.pretraining_row(7, "validation") != ROWS[7]


def test_detection_labels_words_and_the_end():
  detect = [row for row in ROWS if row.kind == "detect"]
  corrupted = 0
  for row in detect:
    assert len(row.replaced) == len(row.targets.split()) + 1
    assert set(row.replaced) <= {0, 1}
    assert row.replaced[-1] == max(row.replaced[:-1])
    corrupted += row.replaced[-1]
    assert not row.inputs.startswith("<")
  assert abs(corrupted / len(detect) - pretraining.CORRUPTED_RATE) < 0.08
  for row in ROWS:
    assert (row.replaced is None) == (row.kind != "detect")


def test_uncorrupted_targets_are_grammatical_and_corrupted_ones_differ():
  for row in ROWS:
    if row.kind == "detect" and not row.replaced[-1]:
      assert any(
        parsing.is_grammatical(row.targets, code)
        for code in world_rows.LANGUAGES
      )


def test_translations_say_the_same():
  for row in ROWS:
    if row.kind != "translate":
      continue
    mark, tag, source = row.inputs.split(" ", 2)
    assert mark == pretraining.TRANSLATION_MARK
    target_code = tag.strip("<>")
    told = parsing.read(row.targets, target_code)
    assert all(sentence.role for sentence in told), row
    sources = [
      [(s.role, s.kind, {m.value for m in s.mentions}) for s in read]
      for code in world_rows.LANGUAGES
      if code != target_code
      for read in [parsing.read(source, code)]
    ]
    assert [
      (s.role, s.kind, {m.value for m in s.mentions}) for s in told
    ] in sources


def test_summaries_are_clean():
  for row in ROWS:
    if row.kind == "summarise":
      code = row.inputs[1:3]
      assert row.inputs.startswith(world_rows.LANGUAGE_TAGS[code])
      assert parsing.is_grammatical(row.targets, code)


def test_no_evaluation_facts_and_no_ratings():
  for index in range(100):
    rng = randomness.stream("pretraining", "train", index)
    randomness.weighted(rng, pretraining.KINDS)
    event = world.draw_event(rng, "train")
    assert world.partition(event.main) == "train"
    assert world.partition(event.old) == "train"
  used = set(vars(pretraining)) | set(vars(corruption))
  assert not used & {"faults", "gold"}


def test_corpus_holds_all_languages():
  sentences = list(pretraining.corpus(count=3))
  assert len(sentences) > 6 * 3 * 4
  assert any("школ" in s or "В " in s for s in sentences)
  assert (
    list(pretraining.corpus(("de",), 3))
    == sentences[: len(list(pretraining.corpus(("de",), 3)))]
  )
