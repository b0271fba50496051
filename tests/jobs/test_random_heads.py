"""A language model under many random heads at once."""

import jax
import numpy as np

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
