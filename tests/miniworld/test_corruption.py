"""Corrupted summaries know which of their words were replaced."""

import pytest

from xlrm.miniworld import corruption
from xlrm.miniworld import parsing
from xlrm.miniworld import randomness
from xlrm.miniworld import world


@pytest.mark.parametrize("code", world.LANGUAGES)
def test_unlabelled_words_stand_in_the_true_summary(code):
  for index in range(80):
    rng = randomness.stream("test_corruption", code, index)
    event = world.draw_event(rng, "train")
    true = corruption.draft(event, code, rng)
    made = corruption.corrupt(true, event, code, rng)
    assert made.pieces != true.pieces or made.replaced != true.replaced
    kept = [
      piece.lower().strip(".,:")
      for piece, label in zip(made.pieces, made.replaced, strict=True)
      if not label
    ]
    there = {piece.lower().strip(".,:") for piece in true.pieces}
    assert set(kept) <= there, (true, made)
    assert any(made.replaced)


def test_labels_are_one_per_word_and_one_for_the_end():
  draft = corruption.Draft(("Según", "El Cairo,", "22"), (0, 1, 0), 0, 0)
  text, labels = corruption.labelled(draft)
  assert text == "Según El Cairo, 22"
  assert labels == [0, 1, 1, 0, 1]  # a piece of two words; something was
  clean = corruption.Draft(("22",), (0,), 0, 0)
  assert corruption.labelled(clean) == ("22", [0, 0])


def test_a_draft_is_a_good_summary():
  for code in world.LANGUAGES:
    rng = randomness.stream("draft", code)
    event = world.draw_event(rng, "train")
    text, labels = corruption.labelled(corruption.draft(event, code, rng))
    assert parsing.is_grammatical(text, code) and not any(labels)


def test_words_are_lost_doubled_or_moved():
  sizes = set()
  for index in range(60):
    rng = randomness.stream("words", index)
    event = world.draw_event(rng, "train")
    draft = corruption.draft(event, "en", rng)
    made = corruption.corrupt_words(draft, "en", rng)
    assert any(made.replaced) and made.pieces != draft.pieces
    sizes.add(len(made.pieces) - len(draft.pieces))
  assert {-1, 0, 1} <= sizes  # dropped; replaced or moved; inserted
