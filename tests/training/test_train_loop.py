"""What the loop decides between steps: what is best, when to log and stop."""

import json

import numpy as np
import pytest
import tiny_run

from xlrm.training import metric_writer
from xlrm.training import train_loop


def test_g22_a_run_stops_after_k_bad_steps_and_keeps_the_batch(tmp_path):
  source = tiny_run.Source(bad_from=4)
  with pytest.raises(train_loop.NonFiniteError, match="3 steps .* step 7;"):
    tiny_run.run(tmp_path, source=source, max_nonfinite_steps=3)
  saved = np.load(tmp_path / "nonfinite_batch_7.npz")
  np.testing.assert_array_equal(saved["inputs"], source.batch(6)["inputs"])
  assert np.isnan(saved["scale"][3])


def test_g22_a_few_bad_steps_are_counted_and_survived(tmp_path, capsys):
  source = tiny_run.Source(bad_from=4, bad_until=6)
  result = tiny_run.run(tmp_path, source=source, max_nonfinite_steps=3)
  skipped = {
    row["step"]: row["train/skipped"]
    for row in result.history
    if "train/skipped" in row
  }
  assert skipped == {2: 0, 4: 0, 6: 1, 8: 0, 10: 0, 12: 0}
  assert "step 5: loss or gradient not finite" in capsys.readouterr().out
  path = tmp_path / metric_writer.METRICS
  assert "NaN" not in path.read_text()


def test_patience_stops_a_run_and_a_restart_does_not_go_on(tmp_path):
  """The metric never improves after the first evaluation."""
  values = iter([1.0, 2.0, 2.0, 2.0, 2.0])
  options = dict(
    eval_period=2,
    patience=2,
    best_metric="validation/x",
    evaluate=lambda params, step: {"validation/x": next(values)},
  )
  result = tiny_run.run(tmp_path, **options)
  assert (result.step, result.best_step) == (6, 2)
  assert tiny_run.run(tmp_path, **options).step == 6


def test_what_the_host_remembers_comes_back_from_metadata():
  memory = train_loop.HostState("data", since_best=2)
  memory.averages.add({"loss": (6.0, 4.0)})
  kept = json.loads(json.dumps(memory.metadata()))
  averages = metric_writer.Averages(kept.pop("averages"))
  again = train_loop.HostState(**kept, averages=averages)
  assert again.averages.means() == {"loss": 1.5}
  assert (again.data, again.best, again.since_best) == ("data", None, 2)


def test_a_metric_that_is_none_names_the_nearest():
  train_loop.require_metric("loss", ["loss"])
  with pytest.raises(ValueError, match="'lost' is none .* a, loss; .* loss$"):
    train_loop.require_metric("lost", ["loss", "a"])


def test_leaves_are_named_by_their_paths():
  batch = {"batch": {"inputs": np.ones(2)}, "ratings": np.zeros(3)}
  found = train_loop.leaves(batch)
  assert {name: x.shape for name, x in found.items()} == {
    "batch.inputs": (2,),
    "ratings": (3,),
  }
