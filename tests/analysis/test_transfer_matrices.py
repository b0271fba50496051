"""The transfer matrix against plain counting."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from xlrm.analysis import transfer_matrices
from xlrm.evaluation import win_rates


@pytest.fixture(scope="module")
def records(study):
  return study.make_records(40)


def counted(records, source, target, judge, baseline):
  ours = {
    r.example_id: r.scores[judge]
    for r in records
    if (r.method, r.source, r.target) == ("best_of_n", source, target)
  }
  theirs = {
    r.example_id: r.scores[judge]
    for r in records
    if (r.method, r.target) == (baseline, target)
  }
  return [
    1.0 if ours[x] > theirs[x] else 0.5 if ours[x] == theirs[x] else 0.0
    for x in ours
  ]


@pytest.mark.parametrize("judge", ["gold", "reward/{target}"])
@pytest.mark.parametrize("baseline", ["sample", "greedy"])
def test_matrix_counts_wins_of_every_pair(records, judge, baseline):
  matrix = transfer_matrices.transfer_matrix(
    records, judge=judge, baseline=baseline
  )
  assert matrix.sources == ("en", "de", "es", "ru")
  assert matrix.targets == ("es", "ru")
  assert len(matrix.cells) == 6 and len(matrix.cross_lingual) == 4
  for (source, target), cell in matrix.cells.items():
    name = judge.replace("{target}", target)
    outcomes = counted(records, source, target, name, baseline)
    expected = win_rates.win_rate(np.array(outcomes))
    assert cell.win.rate == pytest.approx(expected.rate)
    assert cell.win.low == pytest.approx(expected.low)
    assert (cell.win.n, cell.unpaired) == (40, 0)


def test_missing_cells_stay_missing(records):
  matrix = transfer_matrices.transfer_matrix(records, judge="gold")
  assert matrix.get("es", "ru") is None
  assert matrix.get("en", "ru").source == "en"
  nothing = transfer_matrices.transfer_matrix(records, judge="unheard of")
  assert nothing.cells == {}
  assert transfer_matrices.cross_lingual_average(nothing) is None


def test_only_prompts_with_both_sides_are_compared(records):
  fewer = [
    r
    for r in records
    if not (r.method == "sample" and r.example_id.endswith("7"))
  ]
  cell = transfer_matrices.transfer_matrix(fewer, judge="gold").get("en", "es")
  assert (cell.win.n, cell.unpaired) == (36, 4)


def test_datasets_count_equally(records):
  def dataset(record):
    number = int(record.example_id[-6:])
    return dataclasses.replace(record, dataset="big" if number > 4 else "small")

  split = [dataset(r) for r in records]
  cell = transfer_matrices.transfer_matrix(split, judge="gold").get("en", "es")
  outcomes = np.array(counted(records, "en", "es", "gold", "sample"))
  expected = (outcomes[:5].mean() + outcomes[5:].mean()) / 2
  assert cell.win.rate == pytest.approx(expected)


def test_average_takes_targets_equally_and_prompts_once(records):
  matrix = transfer_matrices.transfer_matrix(records, judge="gold")
  average = transfer_matrices.cross_lingual_average(matrix)
  means = [
    np.mean([matrix.get(s, t).win.rate for s in ("en", "de")])
    for t in ("es", "ru")
  ]
  assert average.rate == pytest.approx(np.mean(means))
  assert average.n == 80  # prompts, not prompts times sources


def test_mean_scores(records):
  means = transfer_matrices.mean_scores(records, judge="gold", method="sample")
  expected = [
    r.scores["gold"]
    for r in records
    if r.method == "sample" and r.target == "es"
  ]
  assert means["es"] == (pytest.approx(np.mean(expected)), 40)


def test_g28_mixed_studies_and_duplicates_are_refused(records):
  other = dataclasses.replace(records[0], study="another")
  with pytest.raises(ValueError, match="2 studies.*another"):
    transfer_matrices.transfer_matrix([*records, other], judge="gold")
  with pytest.raises(ValueError, match="two records answer one prompt"):
    transfer_matrices.transfer_matrix([*records, records[0]], judge="gold")


def test_ordered():
  assert transfer_matrices.ordered("cab", "bx") == ["b", "a", "c"]


@pytest.fixture(scope="module")
def seeds(study):
  """Records of three seeds: the same prompts, drawn anew."""
  return {
    seed: [
      dataclasses.replace(r, seed=seed)
      for r in study.make_records(40, seed=seed)
    ]
    for seed in (5, 1, 2)
  }


def test_between_seeds(seeds):
  everything = [r for records in seeds.values() for r in records]
  cell = transfer_matrices.transfer_matrix(everything, judge="gold").get(
    "en", "ru"
  )
  outcomes = {
    seed: np.array(counted(records, "en", "ru", "gold", "sample"))
    for seed, records in seeds.items()
  }
  rates = {seed: float(x.mean()) for seed, x in outcomes.items()}
  assert cell.by_seed == pytest.approx(rates)
  expected = stats.ttest_1samp(list(rates.values()), 0).confidence_interval()
  assert cell.between_seeds == pytest.approx(tuple(expected))
  # The interval over prompts: a prompt counts once, with its mean over seeds.
  whole = win_rates.win_rate(np.mean(list(outcomes.values()), axis=0))
  assert cell.win.rate == pytest.approx(np.mean(list(rates.values())))
  assert (cell.win.low, cell.win.high) == pytest.approx((whole.low, whole.high))
  assert cell.win.n == 40


def test_one_seed_has_no_interval_between_seeds(records):
  cell = transfer_matrices.transfer_matrix(records, judge="gold").get(
    "en", "ru"
  )
  assert cell.between_seeds is None and cell.by_seed == {0: cell.win.rate}


def test_a_missing_prompt_of_one_seed_leaves_the_others(seeds):
  last = seeds[1][-1].example_id
  fewer = [
    r
    for records in seeds.values()
    for r in records
    if not (r.seed == 1 and r.example_id == last)
  ]
  cell = transfer_matrices.transfer_matrix(fewer, judge="gold").get("en", "ru")
  assert cell.win.n == 40 and set(cell.by_seed) == {1, 2, 5}
