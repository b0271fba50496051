"""The transfer matrix of verdicts equals that of scores where both exist."""

import comparisons
import numpy as np
import pytest
import study

from xlrm.analysis import transfer_matrices
from xlrm.analysis import verdict_matrices
from xlrm.analysis import verdict_tables
from xlrm.evaluation import pairing
from xlrm.evaluation import records


def verdicts_of(found, outcome):
  """Both orders, by `outcome(pair)` or (outcome, outcome) of the two."""
  result = []
  for pair in pairing.pair(found, "best_of_n", "sample").pairs:
    told = outcome(pair)
    told = (told, told) if isinstance(told, str) else told
    for order, said in zip(("first", "second"), told):
      result.append(records.Verdict(*pair.id, "j", order, said))
  return result


def by_gold(pair):
  ours, theirs = (x.scores["gold"] for x in (pair.ours, pair.theirs))
  return "first" if ours > theirs else "second" if ours < theirs else "tie"


def test_a_judge_that_compares_scores_gives_the_matrix_of_the_scores():
  found = study.make_records(num_prompts=30)
  expected = transfer_matrices.transfer_matrix(found, judge="gold")
  verdicts = verdicts_of(found, by_gold)
  matrix = verdict_matrices.transfer_matrix(found, verdicts)
  assert (matrix.sources, matrix.targets) == (
    expected.sources,
    expected.targets,
  )
  assert list(matrix.cells) == list(expected.cells)
  for key, cell in matrix.cells.items():
    assert cell.win == expected.cells[key].win
    assert cell.unpaired == 0 and cell.mean == cell.win.rate
  assert matrix.judge == "j"
  average = transfer_matrices.cross_lingual_average(matrix)
  assert average == transfer_matrices.cross_lingual_average(expected)


def counts_of(told, **fields):
  """One cell of pairs with these outcomes of their two orders."""
  found = comparisons.both(
    [f"a{i}" for i in range(len(told))],
    [f"b{i}" for i in range(len(told))],
    **fields,
  )
  said = iter(told)
  verdicts = verdicts_of(found, lambda _: next(said))
  paired = pairing.pair(found, "best_of_n", "sample")
  return found, verdicts, verdict_matrices.verdict_counts(paired, verdicts)[0]


def test_g26_invalid_pairs_are_left_out_and_inconsistent_ones_are_halves():
  told = [
    ("first", "first"),
    ("first", "first"),
    ("second", "second"),
    ("first", "second"),
    ("tie", "tie"),
    ("invalid", "first"),
  ]
  found, verdicts, one = counts_of(told)
  kinds = ("win", "loss", "tie", "inconsistent", "invalid")
  assert [one.count(kind) for kind in kinds] == [2, 1, 1, 1, 1]
  rate = one.win_rate()
  assert (rate.n, rate.rate) == (5, pytest.approx(3 / 5))
  # Shown first and chosen: yes no / yes no / no yes / yes yes; the invalid
  # pair has one choice, of what was shown second.
  assert one.first_shown == pytest.approx(np.mean([0.5, 0.5, 0.5, 1.0, 0.0]))
  matrix = verdict_matrices.transfer_matrix(found, verdicts)
  assert matrix.get("en", "es").unpaired == 1


def test_a_cell_without_a_valid_pair_has_no_rate():
  found, verdicts, one = counts_of([("invalid", "invalid")])
  assert one.win_rate() is None and one.first_shown is None
  assert verdict_matrices.transfer_matrix(found, verdicts).cells == {}
  assert "none" in verdict_tables.text([one], "best_of_n", "sample")


def test_datasets_count_equally():
  found = [
    *comparisons.both(["a"] * 3, ["b"] * 3, dataset="x"),
    *comparisons.both(["a"], ["b"], dataset="y"),
  ]
  verdicts = verdicts_of(
    found, lambda p: "first" if p.ours.dataset == "x" else "second"
  )
  paired = pairing.pair(found, "best_of_n", "sample")
  (one,) = verdict_matrices.verdict_counts(paired, verdicts)
  assert one.win_rate().rate == 0.5


def test_g28_a_pair_without_verdicts_is_named():
  found = comparisons.both(["a", "b"], ["x", "y"])
  verdicts = verdicts_of(found, lambda _: "first")
  with pytest.raises(ValueError, match="1 of 2 pairs have no verdict.*0001"):
    verdict_matrices.transfer_matrix(found, verdicts[:2])


def test_the_table_says_what_was_counted():
  _, _, one = counts_of(["first"] * 8 + ["second"] * 2)
  lines = verdict_tables.text([one], "best_of_n", "sample").splitlines()
  assert lines[0].startswith("best_of_n against sample")
  # Wilson's interval for 8 of 10
  assert "en -> es" in lines[1] and "80.0% [49.0, 94.3]" in lines[1]
  assert "averaged" not in lines[0]  # the judge told no probabilities
