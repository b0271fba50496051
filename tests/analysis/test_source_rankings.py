"""Rankings of sources: effects that were put in come out."""

import itertools

import numpy as np
import pytest

from xlrm.analysis import pair_tables
from xlrm.analysis import source_rankings
from xlrm.analysis import transfer_factors
from xlrm.analysis import transfer_matrices

SOURCES = {"en": 0.05, "de": 0.02, "es": -0.01, "ru": -0.06}
TARGETS = {"en": 0.5, "de": 0.6, "es": 0.55, "ru": 0.7}


def additive(leave_out=()):
  values = {
    (s, t): SOURCES[s] + TARGETS[t]
    for s, t in itertools.product(SOURCES, TARGETS)
    if (s, t) not in leave_out
  }
  return pair_tables.PairTable("m", "j", tuple(SOURCES), tuple(TARGETS), values)


@pytest.mark.parametrize("leave_out", [(), (("en", "ru"), ("de", "en"))])
def test_effects_are_found_whatever_was_not_run(leave_out):
  found = source_rankings.overall(additive(leave_out))
  assert [source for source, _ in found] == ["en", "de", "es", "ru"]
  # Means of rows would not do: each source lacks another target
  assert dict(found) == pytest.approx(SOURCES)


def test_recommendation_never_looks_at_the_target():
  table = additive()
  spoilt = table.map(lambda pair, x: 0.0 if pair[1] == "ru" else x)
  assert source_rankings.recommend(spoilt, "ru") == "en"
  assert source_rankings.recommend(table, "en") == "de"  # not itself


def test_english_is_the_default():
  one = pair_tables.PairTable("m", "j", ("de",), ("ru",), {("de", "ru"): 0.6})
  assert source_rankings.recommend(one, "ru") == "en"
  with pytest.raises(ValueError, match="without .'ru'."):
    source_rankings.overall(one, leave_out=("ru",))


def test_hindsight():
  found = {x.target: x for x in source_rankings.hindsight(additive())}
  assert found["ru"].source == found["ru"].best_source == "en"
  assert found["ru"].rate == found["ru"].best == pytest.approx(0.75)
  assert found["ru"].mean == pytest.approx(0.7 + 0.06 / 3)
  assert found["en"].default is None and found["en"].source == "de"


def test_a_table_of_measured_cells(inputs):
  matrix = transfer_matrices.transfer_matrix(inputs.records, judge="gold")
  table = pair_tables.of_matrix(matrix)
  assert set(table.values) == set(matrix.cells)
  expected = np.mean([c.win.rate for c in matrix.cross_lingual])
  assert pair_tables.cross_lingual_mean(table) == pytest.approx(expected)
  assert set(table.monolingual) == {("es", "es"), ("ru", "ru")}
  ranked = source_rankings.in_target(table, "es")
  assert [rate for _, rate in ranked] == sorted(
    (c.win.rate for c in matrix.cells.values() if c.target == "es"),
    reverse=True,
  )
  assert "es" not in dict(source_rankings.in_target(table, "es", own=False))


def test_better_than_own_counts_pairs_with_both():
  rows = {"en": {"en": 0.6, "de": 0.7}, "de": {"en": 0.6, "de": 0.8}}
  table = pair_tables.of_rows("m", "j", rows)
  assert pair_tables.num_better_than_own(table) == (1, 2)


def test_agreement_and_tau_use_the_pairs_that_both_have():
  table = additive()
  less = additive(leave_out=(("en", "ru"),))
  found = transfer_factors.ranking_agreement(table, less)
  assert {target: x.n for target, x in found.items()} == {
    "en": 6,
    "de": 6,
    "es": 6,
    "ru": 3,
  }
  assert transfer_factors.total(found).rate == 1
  assert transfer_factors.mean_tau(table, less) == pytest.approx(1)


def test_gain_is_over_the_better_baseline():
  table = additive()
  gains = transfer_factors.gain_over_baselines(
    table, dict.fromkeys(TARGETS, 0.5), {"en": 0.52}
  )
  assert gains.values["de", "en"] == pytest.approx(0.0)
  assert gains.values["de", "ru"] == pytest.approx(0.22)


def test_best_of_n_line():
  line = transfer_factors.best_of_n_line([1, 2, 64])
  assert line[0] == (0.0, 0.5)
  assert line[1] == pytest.approx((np.log(2) - 0.5, 2 / 3))
  assert line[2] == pytest.approx((3.1745, 64 / 65), abs=5e-5)


def test_g28_a_number_outside_of_the_table():
  with pytest.raises(ValueError, match="fr, en. is not in the table"):
    pair_tables.PairTable("m", "j", ("en",), ("en",), {("fr", "en"): 0.5})
