"""The diagnosis as tables, figures and a page."""

import csv
import io
import math

import numpy as np
import pytest

from xlrm.analysis.reports import diagnosis_page
from xlrm.analysis.reports import diagnosis_tables
from xlrm.evaluation import accuracy
from xlrm.evaluation import agreement
from xlrm.evaluation import diagnosis
from xlrm.evaluation import judgments

MODELS, LANGUAGES = ("en", "de"), ("en", "ru")


def made(seed=0):
  rng = np.random.default_rng(seed)
  accuracies, rows = [], []
  for language in LANGUAGES:
    found = judgments.Judgments.of_rows(
      [
        {
          "id": str(i),
          "reward_inputs": "d",
          "targets_pretokenized": "word " * int(rng.integers(1, 9)),
          "rating": float(i % 2),
        }
        for i in range(40)
      ]
    )
    baselines = judgments.Baselines.fit(found)
    for model in MODELS:
      scored = found.scored(
        [
          [2 * (r - 0.5) + x]
          for r, x in zip(found.ratings, rng.normal(size=40))
        ]
      )
      accuracies.append(
        accuracy.accuracy_row(
          model,
          language,
          scores=scored.trials.scores,
          ratings=scored.trials.ratings,
          lengths=scored.trials.lengths,
          baseline=baselines.length,
          majority_good=baselines.majority_good,
        )
      )
      training = scored if language == "en" else None
      rows.append(diagnosis.diagnosis_row(model, language, scored, training))
  people = {"en": agreement.Agreement(0.72, 0.6, 0.8, 50)}
  return accuracies, rows, people


@pytest.fixture(scope="module")
def tables():
  return {x.name: x for x in diagnosis_tables.all_tables(*made())}


def read(table):
  return list(csv.DictReader(io.StringIO(table.csv())))


def test_every_table_has_a_row_per_reward_model_and_language(tables):
  assert list(tables) == [
    "accuracy",
    "auc",
    "human_agreement",
    "gap",
    "calibration",
    "reliability",
    "length",
    "scores",
    "bag_of_words",
  ]
  for name in ("accuracy", "gap", "calibration", "length", "scores"):
    places = [(x["reward_model"], x["language"]) for x in read(tables[name])]
    assert sorted(places) == sorted((m, x) for m in MODELS for x in LANGUAGES)


def test_csv_holds_the_numbers_and_leaves_unknown_ones_empty(tables):
  accuracies, rows, _ = made()
  written = read(tables["accuracy"])
  assert float(written[0]["accuracy"]) == pytest.approx(
    accuracies[0].accuracy, abs=1e-6
  )
  gaps = {(x["reward_model"], x["language"]): x for x in read(tables["gap"])}
  assert gaps["en", "ru"]["gap"] == "" and gaps["en", "en"]["gap"] == "0.000000"
  assert math.isnan(rows[-1].gap)
  bins = [x for x in read(tables["reliability"]) if x["language"] == "ru"]
  assert {x["temperature"] for x in bins} == {"as trained"}
  assert sum(int(x["n"]) for x in bins) == 80


def test_g10_the_accuracy_figure_has_both_baselines(tables):
  accuracies, rows, _ = made()
  drawn = diagnosis_page.drawings(list(tables.values()), rows)
  cells = tables["accuracy"].cells()
  for name in ("majority", "length"):
    shown = f"{100 * getattr(accuracies[0], name):.1f}"
    assert cells[name, "en"][1] == shown and f">{name}<" in drawn["accuracy"]


def test_the_same_scores_give_the_same_bytes(tables):
  pages = []
  for _ in range(2):
    found = made()
    again = diagnosis_tables.all_tables(*found)
    drawn = diagnosis_page.drawings(again, found[1])
    pages.append(diagnosis_page.render("<title>", again, drawn, ["a note"]))
  assert pages[0] == pages[1]
  assert "&lt;title&gt;" in pages[0] and "a note" in pages[0]
  assert pages[0].count("<svg") == len(tables) - 1 + len(LANGUAGES)
  assert 'href="calibration.csv"' in pages[0]
  assert "http" not in pages[0].replace("http://www.w3.org", "")
