"""Moments from optax to T5X's names, and what is refused."""

import numpy as np
import optax
import pytest
import t5x_layout

from xlrm.checkpoints import adafactor_moments
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import stored
from xlrm.checkpoints import t5x
from xlrm.checkpoints import t5x_writer


@pytest.fixture(scope="module")
def trained():
  return t5x_layout.trained()


def test_moments_and_step_come_back(trained, tmp_path):
  _, params, state = trained
  moments = adafactor_moments.of_state(state)
  t5x_writer.write(tmp_path, stored.of_tree(params), step=20, moments=moments)
  step, found = t5x.read_optimizer(tmp_path)
  assert step == 20 and found.keys() == moments.keys()
  for name, array in moments.items():
    np.testing.assert_array_equal(found[name].whole(), array.whole())
  factored = found["token_embedder/embedding/v_row"]
  assert factored.shape == (128,) and factored.whole().any()


def test_those_of_a_stored_run_are_the_same(trained):
  """By the paths under which a run stores its optimizer's state."""
  _, params, state = trained
  factored = state[0]
  rest = {"step": stored.StoredArray.of(np.zeros(()))}
  for moment in ("v", "v_row", "v_col"):
    for name, array in stored.of_tree(getattr(factored, moment)).items():
      rest[f"opt_state/0/{moment}/{name}"] = array
  arrays = stored.of_tree(params)
  found = adafactor_moments.of_stored(rest, arrays)
  expected = adafactor_moments.of_state(state)
  assert found.keys() == expected.keys()
  for name, array in expected.items():
    np.testing.assert_array_equal(found[name].whole(), array.whole())
  lacking = {x: y for x, y in rest.items() if not x.endswith("embedding")}
  assert adafactor_moments.of_stored(lacking, arrays) is None


def test_another_optimizer_has_none(trained):
  _, params, _ = trained
  with pytest.raises(checkpoint_errors.CheckpointError, match="has none"):
    adafactor_moments.of_state(optax.sgd(0.1).init(params))
  assert adafactor_moments.of_stored({}, stored.of_tree(params)) is None
