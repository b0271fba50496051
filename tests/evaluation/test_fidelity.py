"""What outputs look like, counted by hand."""

import comparisons
import pytest

from xlrm.evaluation import fidelity
from xlrm.evaluation import records


def make(output, *, reference="", source="a b c d e", language="en", index=0):
  return records.EvalRecord(
    study="s",
    method="sample",
    source="",
    target=language,
    seed=0,
    task="t",
    dataset="miniworld",
    language=language,
    example_id=f"{language}/test/{index:06d}",
    sample=0,
    input=source,
    reference=reference,
    output=output,
    policy="p",
    scores={"reward/en": 1.0},
  )


def test_fidelity_by_hand():
  described = fidelity.fidelity(
    [
      make("a b c d", index=0),
      make("x y z x y z", index=1),
      make("—", index=2),
      make("—", index=3),
    ]
  )
  assert described == fidelity.Fidelity(
    n=4, empty=0.5, words=2.5, copied=0.25, repeated=0.0625, duplicates=0.5
  )
  with pytest.raises(ValueError, match="no outputs"):
    fidelity.fidelity([])


def test_g28_without_an_identifier_nothing_is_guessed():
  records = comparisons.both(["es: a"], ["es: b"])
  assert fidelity.fidelity(records).in_language is None
  # A language that it does not know is no failure of the outputs.
  records = comparisons.both(["vi: a"], ["vi: b"], target="vi")
  assert fidelity.fidelity(records, comparisons.ByPrefix()).in_language is None


def test_share_in_the_language_asked_of_every_cell():
  records = comparisons.both(["es: a", "en: b", "", "12"], ["es: a"] * 4)
  records += comparisons.both(["ru: a"], ["es: b"], target="ru")
  found = fidelity.by_cell(records, comparisons.ByPrefix())
  assert {key: x.in_language for key, x in found.items()} == {
    ("best_of_n", "en", "es"): 0.25,
    ("sample", "", "es"): 1.0,
    ("best_of_n", "en", "ru"): 1.0,
    ("sample", "", "ru"): 0.0,
  }


def test_copying_and_repeating_are_counted_in_word_triples():
  words = lambda text: text.split()
  assert fidelity.repeated(words("a b c a b c")) == 0.25
  assert fidelity.repeated(words("a a")) == 0.0  # no triple
  assert fidelity.copied(words("a b c d"), words("x a b c")) == 0.5
  assert fidelity.copied(words("a b"), words("a b c")) == 0.0
