"""Prices of answers: exact where tokens are counted."""

import pytest

from xlrm.evaluation.prompted import completions
from xlrm.evaluation.prompted import prices

PRICES = prices.Prices(input=1.0, output=10.0)


def test_costs_are_exact_and_the_unknown_is_not_zero():
  answers = [
    completions.Completion("1", None, 1_000_000, 2),
    completions.Completion("2", None, 500_000, 0),
    completions.Completion("1"),
  ]
  bill = prices.bill(answers, PRICES)
  assert bill == prices.Bill(3, 1, 1_500_000, 2, 1.50002)
  assert bill.text().endswith("$1.5000, 1 of them without token counts")
  assert prices.bill(answers, prices.Prices()).dollars is None
  assert prices.Prices().cost(answers[2]) == {}
  assert (
    prices.bytes_per_token(
      ["aaaa", "bbbb"],
      [
        completions.Completion("1", None, 1, 1),
        completions.Completion("1", None, 3, 1),
      ],
    )
    == 2.0
  )
  with pytest.raises(ValueError, match="input price -1.0"):
    prices.Prices(input=-1.0)


def test_what_was_not_asked_yet_is_estimated_at_the_most():
  found = prices.estimate(["12345678", "1234"], 16, PRICES, ratio=4.0)
  assert found == prices.Bill(2, 0, 2 + 1, 32, (3 * 1.0 + 32 * 10.0) / 1e6)
  unknown = prices.estimate(["1234"], 16, prices.Prices(input=1.0), ratio=4.0)
  assert unknown.dollars is None and "$" not in unknown.text()


def test_without_counts_the_size_of_a_token_is_a_guess():
  answers = [completions.Completion("1")]
  assert prices.bytes_per_token(["prompt"], answers) == 4.0
