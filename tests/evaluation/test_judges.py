"""Judges that ship, and one of one's own."""

import dataclasses

import pytest

from xlrm.evaluation import judges
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


@dataclasses.dataclass(frozen=True)
class Says:
  """A judge of one's own: anything with a name and scores."""

  found: list[float]
  name: str = "mine"

  def scores(self, records):
    return self.found


def test_text_judges_and_ones_own():
  record = make("the cat", reference="The cat.")
  scores = judges.judged(
    [record], [judges.RougeJudge(), judges.ChrfJudge(), Says([-2])]
  )[0].scores
  assert list(scores) == ["reward/en", "rouge_l", "chrf", "mine"]
  assert scores["rouge_l"] == 1.0 > scores["chrf"] > 0.4
  assert scores["mine"] == -2.0


def test_g28_judges_leave_nothing_out():
  record = make("x")
  with pytest.raises(ValueError, match="mine gave 0 scores for 1 records"):
    judges.judged([record], [Says([])])
  with pytest.raises(ValueError, match="gave .* nan"):
    judges.judged([record], [Says([float("nan")])])


def test_validation_means_are_over_responses_by_name():
  rows = [
    {
      "id": name,
      "language": "en",
      "reward_inputs": name,
      "targets_pretokenized": "the cat",
    }
    for name in ("a", "b")
  ]
  texts = ["the cat", "dog"]
  found = judges.validation_means(
    [judges.RougeJudge(), Says([1.0, 4.0])], rows, texts
  )
  assert found == {"validation/rouge_l": 0.5, "validation/mine": 2.5}
  first, second = judges.records_of(rows, texts)
  assert (first.example_id, first.output) == ("a", "the cat")
  assert (second.input, second.reference) == ("b", "the cat")
  with pytest.raises(ValueError):  # a response that belongs to nobody
    judges.records_of(rows, texts[:1])
