"""The diagnosis job: random heads as a control, and what is written."""

import dataclasses

import jax
import numpy as np

from xlrm.evaluation import accuracy
from xlrm.evaluation import accuracy_files
from xlrm.evaluation import judgments
from xlrm.jobs import asked_judgments
from xlrm.jobs import random_heads
from xlrm.miniworld import world_rows
from xlrm.rewards import text_scoring

LENGTHS = {"inputs": 64, "targets": 32}


def test_random_heads_score_as_each_of_them_alone():
  heads = random_heads.load("nano", LENGTHS)
  found = world_rows.rating_rows("es", "test", 0, 7)
  documents = [row.document for row in found]
  texts = [row.summary for row in found]
  scores = heads.scores(documents, texts, batch_size=4)
  assert scores.shape == (random_heads.RANDOM_HEADS, 7)
  for index in (0, 7):
    head = jax.tree.map(lambda x, i=index: x[i], heads.params["head"])
    alone = text_scoring.score_texts(
      heads.scorer,
      {**heads.params, "head": head},
      documents,
      [[text] for text in texts],
      batch_size=4,
    )
    np.testing.assert_allclose(scores[index], np.ravel(alone), atol=1e-4)
  assert len({round(float(x), 4) for x in scores[:, 0]}) > 10


def test_the_mean_row_is_a_mean_over_heads_with_its_own_interval(tmp_path):
  rng = np.random.default_rng(0)
  ratings = rng.integers(0, 2, 200)
  baseline = accuracy.LengthBaseline(5.0, True)
  found = [
    accuracy.accuracy_row(
      "head",
      "es",
      scores=sign * (ratings - 0.5) + rng.normal(size=200),
      ratings=ratings,
      lengths=rng.integers(1, 10, 200),
      baseline=baseline,
      faults=["" if x else "number" for x in ratings],
    )
    for sign in (3, -3, 3, -3)
  ]
  values = [row.accuracy for row in found]
  mean = accuracy.mean_row(found)
  assert mean.heads == 4 and mean.accuracy == np.mean(values)
  error = 1.96 * np.std(values, ddof=1) / 2
  np.testing.assert_allclose(mean.low, max(0, mean.accuracy - error))
  assert mean.spread[0] < 0.2 and mean.spread[1] > 0.8
  assert "mean of 4 heads" in accuracy.table([mean])
  path = tmp_path / "accuracy.json"
  accuracy_files.write(path, [mean])
  assert accuracy_files.read(path) == [mean]
  trained = dataclasses.replace(mean, heads=1)
  assert "heads" not in accuracy.table([trained])


def test_random_heads_on_ratings_and_rankings_give_one_mean_row():
  heads = random_heads.load("nano", LENGTHS)
  found = world_rows.rating_rows("es", "test", 0, 6)
  rated = judgments.Judgments.of_rows(
    [
      {
        "id": row.id,
        "reward_inputs": row.document,
        "targets_pretokenized": row.summary,
        "rating": row.rating,
      }
      for row in found
    ]
  )
  ranked = judgments.Judgments.of_rows(
    [
      {
        "id": row.id,
        "reward_inputs": row.document,
        "targets_pretokenized": row.summary,
        "responses": [row.summary, "Paris."],
        "ranks": [0, 1],
      }
      for row in found
    ]
  )
  for asked in (rated, ranked):
    baselines = judgments.Baselines.fit(asked)
    row = asked_judgments.accuracy_of_heads(
      "base", "es", heads, asked, baselines, 4
    )
    assert row.n == 6 and row.heads == random_heads.RANDOM_HEADS
    assert 0.3 < row.accuracy < 0.7
