"""Documents tell all that happened, in every language alike."""

import pytest

from xlrm.miniworld import documents
from xlrm.miniworld import parsing
from xlrm.miniworld import randomness
from xlrm.miniworld import world


def test_a_document_keeps_its_order():
  for index in range(50):
    rng = randomness.stream("order", index)
    event = world.draw_event(rng, "test")
    read = parsing.read(documents.document(event, "de", rng), "de")
    roles = [sentence.role for sentence in read]
    if "confirmation" in roles:
      assert roles.index("news") < roles.index("confirmation")
    assert {"memory", "witness"} <= set(roles)


def told(text: str, code: str) -> set:
  sentences = parsing.read(text, code)
  assert all(sentence.role for sentence in sentences), text
  return {(m.slot, m.value) for s in sentences for m in s.mentions}


@pytest.mark.parametrize(
  "make", [documents.document, documents.summary, documents.memory]
)
def test_one_plan_says_the_same_in_every_language(make):
  """The same state of the generator gives translations."""
  for index in range(10):
    event = world.draw_event(randomness.stream("plan", index), "test")
    found = [
      told(make(event, code, randomness.stream("made", index)), code)
      for code in world.LANGUAGES
    ]
    assert all(facts == found[0] for facts in found)


def test_the_news_hold_all_facts_whichever_way_they_are_told():
  ways = set()
  for index in range(40):
    rng = randomness.stream("news", index)
    event = world.draw_event(rng, "test")
    sentences = documents.news(event, "en", rng)
    ways.add(len(sentences))
    facts = told(" ".join(sentences), "en")
    assert facts == {
      (name, getattr(event.main, name))
      for name in ("person", "city", "number", "day")
    }
  assert ways == {1, 2}


def test_documents_stay_within_their_length():
  for index in range(100):
    rng = randomness.stream("length", index)
    event = world.draw_event(rng, "train")
    text = documents.document(event, "vi", rng)
    assert len(documents.sentences(event, "vi", rng)) >= 3
    roles = [sentence.role for sentence in parsing.read(text, "vi")]
    if "background" in roles:
      assert len(text.split()) <= documents.MAX_WORDS
