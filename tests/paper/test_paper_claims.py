"""The golden numbers of the paper's tables, each to the digits given."""

import csv

import pytest

from xlrm.analysis import pair_tables
from xlrm.analysis import transfer_factors
from xlrm.analysis import typology
from xlrm.best_of_n import estimators
from xlrm.paper import paper_claims
from xlrm.paper import paper_tables


def mean(number):
  table = paper_tables.pair_table(number)
  return 100 * pair_tables.cross_lingual_mean(table)


def test_transfer_and_translate_train():
  assert f"{mean(6):.3f}" == "58.810"
  assert f"{mean(17):.3f}" == "57.487"


@pytest.mark.parametrize(
  "number, above", [(6, 26), (8, 28), (10, 28), (12, 29)]
)
def test_win_rates_above_one_half(number, above):
  values = paper_tables.pair_table(number).cross_lingual
  assert (pair_tables.num_above(values), len(values)) == (above, 30)


@pytest.mark.parametrize(
  "first, second, agreed, tied, n",
  [(6, 10, 70, 0, 90), (8, 12, 69, 2, 90), (7, 11, 9, 0, 9)],
)
def test_judges_agree_which_source_is_better(first, second, agreed, tied, n):
  found = paper_claims.judges_agree(first, second)
  assert (found.agreed, found.tied, found.n) == (agreed, tied, n)


def test_a_rounded_tie_decides_between_69_and_70_of_90():
  found = paper_claims.judges_agree(8, 12)
  assert 90 * found.strict == pytest.approx(69)
  assert 90 * found.rate == pytest.approx(70)


@pytest.mark.parametrize("number, tau", [(6, "0.0992"), (8, "0.1349")])
def test_accuracy_hardly_orders_the_win_rates(number, tau):
  found = transfer_factors.mean_tau(
    paper_tables.pair_table(18), paper_tables.pair_table(number)
  )
  assert f"{found:.4f}" == tau


def test_g10_chance_agreement_with_the_length_baseline():
  found = transfer_factors.chance_agreement(
    paper_tables.pair_table(19), paper_tables.baseline(19, "length")
  )
  assert f"{found:.4f}" == "0.5662"


def test_wals_features():
  features, languages = paper_tables.wals(), paper_tables.LANGUAGES
  constant = [x for x in features if x.is_constant(languages)]
  testable = typology.testable(features, languages)
  assert (len(features), len(constant), len(testable)) == (123, 20, 103)


@pytest.mark.parametrize(
  "identifier, p, digits",
  [
    ("37A", 0.00052, 5),
    ("3A", 0.0038, 4),
    ("1A", 0.0098, 4),
    ("65A", 0.0495, 4),
    ("54A", 0.24, 2),
  ],
)
def test_wals_features_of_rl(identifier, p, digits):
  assert round(paper_claims.p_value(8, identifier), digits) == p


def test_only_four_features_of_rl_are_below_5_percent_and_none_passes():
  below = [
    x.feature.identifier
    for x in paper_claims.wals_tests(8)
    if x.student_p < 0.05
  ]
  assert below == ["37A", "3A", "1A", "65A"]
  assert paper_claims.passing(8) == []


def test_by_gpt4_one_feature_passes():
  (found,) = paper_claims.passing(12)
  assert found.feature.identifier == "1A"
  assert f"{found.student_p:.1e}" == "2.4e-07"
  # It sets one language apart: no permutation can make it rarer than 1 in 6
  assert found.permutation_p == pytest.approx(1 / 6)
  assert found.family_p > 0.5


def test_best_of_64_bound():
  assert f"{estimators.kl_bound(64):.4f}" == "3.1745"


def test_claims_repeat_the_statements_and_judge_them():
  found = {x.statement.key: x for x in paper_claims.claims()}
  assert len(found) == len(paper_tables.statements()) == 27
  differing = [key for key, x in found.items() if x.agrees is False]
  assert differing == ["wals_54A", "wals_family_gpt4"]
  unknown = [key for key, x in found.items() if x.agrees is None]
  assert unknown == ["bag_of_words"]
  for claim in found.values():
    if claim.agrees and claim.statement.origin == "recomputation":
      assert claim.computed == claim.statement.stated
  assert found["human_highest"].computed == "71.4%"
  assert found["wals_54A"].computed == ".24"
  assert found["wals_family_gpt4"].computed == "1A (p = 2.4e-7)"


def test_a_statement_that_is_wrong_is_seen(monkeypatch):
  statement = paper_tables.Statement(
    "transfer_mean", "mean", "58.811", "recomputation"
  )
  monkeypatch.setattr(
    paper_tables, "statements", lambda: {statement.key: statement}
  )
  (claim,) = paper_claims.claims.__wrapped__()
  assert claim.agrees is False and claim.computed == "58.810"


def test_single_tables_hold_what_the_list_of_all_holds():
  with open(paper_tables.FOLDER / "all_long.csv", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  seen = 0
  for row in rows:
    number = int(row["table"].removeprefix("table"))
    if number < 6:
      continue
    table = paper_tables.whole_table(number)
    pair = (row["row_source_or_strategy"], row["col_target_lang"])
    scale = 1 if number in (20, 21) else 100
    assert scale * table.values[pair] == pytest.approx(float(row["value"]))
    seen += 1
  total = sum(
    len(paper_tables.whole_table(number).values) for number in range(6, 26)
  )
  assert seen == total


def test_no_such_table():
  with pytest.raises(ValueError, match="no table 26: 1 to 25"):
    paper_tables.rows(26)
  with pytest.raises(ValueError, match="table 1 has no number per source"):
    paper_tables.whole_table(1)
