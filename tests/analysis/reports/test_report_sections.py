"""What the sections on outputs and on accuracy say, by counting."""

import dataclasses
import re

import numpy as np
import pytest
from scipy import stats

from xlrm.analysis import findings
from xlrm.analysis import pair_tables
from xlrm.analysis.reports import fidelity_section
from xlrm.analysis.reports import generalisation_section
from xlrm.evaluation import language_id

ENGLISH = "A fire destroyed 54 houses in Rome, said Brown."


def fidelity(inputs):
  return fidelity_section.section(inputs, findings.results(inputs))


def cells_of(page, *head):
  """The numbers of the row that begins with these texts."""
  start = "".join(
    rf"<{tag}[^>]*>{re.escape(text)}</{tag}>"
    for tag, text in zip(("th", "td"), head)
  )
  row = re.search(rf"<tr[^>]*>{start}(.*?)</tr>", page).group(1)
  return re.findall(r"<td[^>]*>([^<]*)", row)


def test_wins_that_came_with_a_change_of_language_are_counted(study):
  """The English best-of-n answers its first 10 Spanish prompts in English, and
  the judge likes it; the Russian samples 3 times."""
  changed = []
  for x in study.make_records(20):
    number = int(x.example_id[-6:])
    if (x.method, x.source, x.target) == ("best_of_n", "en", "es"):
      if number < 10:
        x = dataclasses.replace(x, output=ENGLISH, scores={"gold": 2.0})
    if (x.method, x.target) == ("sample", "ru") and number < 3:
      x = dataclasses.replace(x, output=ENGLISH, scores={"gold": -1.0})
    changed.append(x)
  page = fidelity(study.make_small_inputs(records=changed))
  rows = {
    pair: cells_of(page, "best-of-n", pair)
    for pair in ("English → Spanish", "German → Spanish", "German → Russian")
  }
  # changed, left, returned to, otherwise
  assert rows["English → Spanish"][1:5] == ["10", "10", "0", "0"]
  assert rows["German → Spanish"][1:5] == ["0", "0", "0", "0"]
  assert rows["German → Russian"][1:5] == ["3", "0", "3", "0"]
  assert rows["English → Spanish"][-1] == "10"  # prompts that kept it
  assert re.search(
    r"By the gold judge 1\d of \d+ wins .* in 10 the winner is not in the "
    "language asked",
    page,
  )
  # The target-language reward model was not asked about what was changed.
  assert "By the target-language reward model none of" in page
  shares = cells_of(page, "best-of-n, English reward model", "Spanish")
  assert shares[:2] == ["20", "50.0%"]
  assert "the words of the miniworld" in page


def test_without_an_identifier_the_report_says_so(study):
  inputs = study.make_small_inputs(
    records=study.make_records(4), identifier=None
  )
  page = fidelity(inputs)
  assert language_id.NOT_MEASURED.replace("'", "&#x27;") in page
  assert cells_of(page, "one SFT sample", "Spanish")[:2] == ["4", "–"]
  assert "came with a change" not in page


def test_languages_that_an_identifier_does_not_know_are_not_counted(study):
  class Other:
    name, languages = "other", ("fr", "it")

    def identify(self, text):
      return "fr"

  inputs = study.make_small_inputs(
    records=study.make_records(4), identifier=Other()
  )
  page = fidelity(inputs)
  assert "came with a change" not in page and "by other, among" in page


def test_accuracy_against_gain_over_cross_lingual_pairs(inputs):
  found = findings.results(inputs)
  (matrix, _) = found.deciding
  accuracy = generalisation_section.accuracy_table(inputs.accuracy, matrix)
  assert len(accuracy.values) == 6  # the untrained head is no source
  pairs = [(s, t) for s in ("en", "de") for t in ("es", "ru")]
  rows = {(x.reward_model, x.language): x.accuracy for x in inputs.accuracy}
  tau, p = stats.kendalltau(
    [rows[pair] for pair in pairs],
    [matrix.cells[pair].win.rate for pair in pairs],
  )
  page = generalisation_section.section(inputs.accuracy, found)
  assert f"the 4 cross-lingual pairs is {tau:+.2f} (two-sided p = {p:.2g}" in (
    page
  )
  assert "6 pairs" in page
  assert generalisation_section.section((), found) == ""


@pytest.mark.parametrize("count, least", [(3, 2 / 6), (4, 2 / 24)])
def test_few_pairs_can_prove_nothing(count, least):
  values = {("en", f"t{i}"): float(i) for i in range(count)}
  targets = tuple(target for _, target in values)
  table = pair_tables.PairTable("m", "j", ("en",), targets, values)
  text = generalisation_section.sentence(table, table)
  # Of all orders of the second, two are as extreme as the same one.
  assert stats.kendalltau(range(count), range(count)).pvalue == pytest.approx(
    least
  )
  assert "+1.00" in text and f"even a perfect order has p = {least:.2g}" in text
  flat = table.map(lambda pair, x: 0.5)
  assert "the same for all" in generalisation_section.sentence(table, flat)


def test_two_pairs_have_no_correlation():
  values = {("en", "es"): 0.6, ("en", "ru"): 0.7, ("es", "es"): 0.8}
  table = pair_tables.PairTable("m", "j", ("en", "es"), ("es", "ru"), values)
  text = generalisation_section.sentence(table, table)
  assert text.startswith("No correlation is given: 2 cross-lingual pairs")
  assert np.all([x not in text for x in ("tau", "+1.00")])
