"""Sources on the same prompts; effects with intervals; what to recommend."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from xlrm.analysis import findings
from xlrm.analysis import pair_tables
from xlrm.analysis import source_comparisons
from xlrm.analysis import source_rankings
from xlrm.analysis import transfer_matrices
from xlrm.analysis.reports import sources_section


@pytest.fixture(scope="module")
def matrix(study):
  records = study.make_records(80, lift=0.2)
  return transfer_matrices.transfer_matrix(records, judge="gold")


def outcomes_of(matrix, source, target):
  cell = matrix.get(source, target)
  return np.array([cell.outcomes[x] for x in sorted(cell.outcomes)])


def made(rates, n=400, targets=("es", "ru")):
  """A matrix with these chances of a win, (source, target) -> p."""
  rng = np.random.default_rng(0)
  found = {}
  for (source, target), rate in rates.items():
    won = np.arange(n) < rate * n  # exact; shuffled, so that none is paired
    outcomes = {
      (0, "t", "d", f"{target}{i}"): float(x)
      for i, x in enumerate(rng.permutation(won))
    }
    win = transfer_matrices.win_rate(outcomes)
    found[source, target] = transfer_matrices.Cell(
      source, target, win, 0.0, 0.0, 0, outcomes
    )
  sources = tuple(dict.fromkeys(source for source, _ in rates))
  return transfer_matrices.Matrix(
    "gold", "best_of_n", "sample", sources, targets, found
  )


def test_every_two_sources_of_a_target_are_compared(matrix):
  found = source_comparisons.comparisons(matrix)
  assert [(x.target, x.first, x.second) for x in found] == [
    (target, *pair)
    for target in ("es", "ru")
    for pair in (("en", "de"), ("en", target), ("de", target))
  ]
  for x in found:
    ours, theirs = (
      outcomes_of(matrix, y, x.target) for y in (x.first, x.second)
    )
    wins, losses = int((ours > theirs).sum()), int((ours < theirs).sum())
    assert (x.test.better, x.test.worse, x.test.n) == (wins, losses, 80)
    p = stats.binomtest(wins, wins + losses).pvalue
    assert x.test.p == pytest.approx(p)
    assert x.low < x.test.difference < x.high
    # The normal interval of paired differences, and a little for many ties
    half = 1.96 * (ours - theirs).std() / np.sqrt(80)
    assert half < (x.high - x.low) / 2 < 1.3 * half


def test_the_family_is_all_comparisons(matrix):
  found = source_comparisons.comparisons(matrix)
  worst = min(found, key=lambda x: x.test.p)
  assert worst.adjusted == pytest.approx(min(1.0, 6 * worst.test.p))
  assert all(x.adjusted >= x.test.p for x in found)


def test_only_prompts_that_both_answered_are_compared(matrix):
  cell = matrix.get("en", "es")
  fewer = dict(list(cell.outcomes.items())[:50])
  changed = dataclasses.replace(cell, outcomes=fewer)
  smaller = dataclasses.replace(
    matrix, cells={**matrix.cells, ("en", "es"): changed}
  )
  found = source_comparisons.comparisons(smaller)
  assert [x.test.n for x in found] == [50, 50, 80, 80, 80, 80]


def test_a_prompt_under_two_seeds_counts_once(study):
  once = study.make_records(20, lift=0.2)
  again = [dataclasses.replace(x, seed=1) for x in once]
  single, double = (
    transfer_matrices.transfer_matrix(x, judge="gold")
    for x in (once, [*once, *again])
  )
  assert double.get("en", "es").win == single.get("en", "es").win
  compare = source_comparisons.comparisons
  assert compare(double) == compare(single)
  effects = [source_comparisons.overall(x) for x in (single, double)]
  assert effects[0] == effects[1]


def test_effects_and_their_intervals_against_a_bootstrap(matrix):
  found = source_comparisons.overall(matrix)
  table = pair_tables.of_matrix(matrix)
  assert dict(found.effects) == dict(source_rankings.overall(table))
  assert (found.pairs, list(found.targets)) == (4, ["es", "ru"])
  rng = np.random.default_rng(1)
  leads = []
  for _ in range(4000):
    lead = 0.0
    for target in ("es", "ru"):
      i = rng.integers(80, size=80)  # the sources of a target stay paired
      ours, theirs = (outcomes_of(matrix, x, target) for x in ("en", "de"))
      lead += (ours[i].mean() - theirs[i].mean()) / 2
    leads.append(lead)
  value, low, high = found.lead("en", "de")
  assert value == pytest.approx(np.mean(leads), abs=0.005)
  assert (low, high) == pytest.approx(
    np.quantile(leads, [0.025, 0.975]), abs=0.008
  )
  # Of two sources each is ahead of the mean by half of the lead.
  assert found.interval("en")[0] == pytest.approx(value / 2)
  assert found.interval("en")[2] == pytest.approx(high / 2)


def test_sources_without_a_common_target_are_not_compared():
  apart = made({("en", "es"): 0.6, ("de", "ru"): 0.7})
  assert source_comparisons.overall(apart) is None
  alone = made({("en", "es"): 0.6, ("en", "ru"): 0.7, ("es", "es"): 0.8})
  assert source_comparisons.overall(alone) is None
  # A chain of targets is enough.
  chain = {("en", "es"): 0.6, ("de", "es"): 0.5, ("de", "ru"): 0.6}
  found = source_comparisons.overall(made({**chain, ("fr", "ru"): 0.8}))
  assert list(found.effects) == ["fr", "en", "de"]
  assert found.lead("fr", "en")[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
  "rates, source, said",
  [
    ((0.60, 0.90, 0.60, 0.90), "de", "German is ahead of English by +30.0"),
    ((0.60, 0.61, 0.60, 0.61), "en", "stays so until another is clearly"),
    ((0.70, 0.60, 0.70, 0.60), "en", "English is ahead of German by +10.0"),
  ],
)
def test_english_stays_unless_another_is_clearly_ahead(rates, source, said):
  pairs = [(s, t) for t in ("es", "ru") for s in ("en", "de")]
  found = source_comparisons.overall(made(dict(zip(pairs, rates))))
  assert source_comparisons.recommended(found) == source
  text = " ".join(sources_section.advice(found))
  assert text.startswith("For a new target take ") and said in text
  assert "2 sources, 2 targets, 4 cross-lingual pairs" in text
  assert "very little" in text and "p = 0.5;" in text and "6 targets" in text
  assert ("which may be 0" in text) is (rates[1] == 0.61)


def test_without_english_the_best_is_recommended():
  found = source_comparisons.overall(
    made({("de", "es"): 0.6, ("fr", "es"): 0.5})
  )
  assert source_comparisons.recommended(found) == "de"
  text = " ".join(sources_section.advice(found))
  assert "English, the default, was not run." in text


def test_six_targets_can_decide():
  assert source_comparisons.enough_targets() == 6
  # The exact sign test of five and of six that all agree
  for n in (5, 6):
    p = stats.binomtest(n, n).pvalue
    assert source_comparisons.unanimous_p(n) == pytest.approx(p)


def test_a_target_without_a_second_source_has_no_section(study):
  records = [
    x for x in study.make_records(5) if x.source in ("", "en") and x.target
  ]
  inputs = study.make_small_inputs(records=records)
  assert sources_section.section(findings.results(inputs)) == ""
