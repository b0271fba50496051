"""What runs left: read in order, and only where it still is."""

import dataclasses
import json

import comparisons
import pytest

from xlrm.best_of_n import pools as pools_lib
from xlrm.checkpoints import pretrained
from xlrm.evaluation import records as records_lib
from xlrm.jobs import finished_runs


@pytest.fixture
def runs(tmp_path):
  """A best-of-n run, and outputs, which have no pools."""
  found = comparisons.both(["a", "b"], ["c", "d"])
  pool = pools_lib.Pool(
    example_id="x",
    language="es",
    dataset="d",
    task="t",
    inputs="",
    reward_inputs="",
    reference="",
    texts=["a", "b"],
    logprobs=[-1.0, -2.0],
    scores={"reward/en": [0.0, 1.0]},
    greedy={},
  )
  for name, part in (("bon", found[:3]), ("out", found[3:])):
    (tmp_path / name).mkdir()
    records_lib.write(tmp_path / name / "records.jsonl", part)
  pools_lib.write(tmp_path / "bon" / "pools.jsonl", [pool])
  (tmp_path / "out" / "config.gin").write_text("JOB = @outputs.run\n")
  return found, pool, [str(tmp_path / "out"), str(tmp_path / "bon")]


def test_records_come_in_the_order_of_runs_and_pools_where_there_are(runs):
  found, pool, folders = runs
  assert finished_runs.read_records(folders) == [*found[3:], *found[:3]]
  assert finished_runs.read_pools(folders) == [pool]
  with pytest.raises((ValueError, OSError), match="nowhere"):
    finished_runs.read_records(["nowhere"])


def test_configurations_are_named_by_their_folder(runs):
  *_, folders = runs
  assert finished_runs.configs(folders) == {
    "out/config.gin": "JOB = @outputs.run\n"
  }


def test_runs_of_ppo_are_found_where_the_records_say(tmp_path):
  sample = comparisons.record("a", method="sample")
  after = [
    dataclasses.replace(sample, method="ppo", source="en", policy=str(folder))
    for folder in (tmp_path / "a", tmp_path / "b", tmp_path / "gone")
  ]
  for name in ("a", "b"):
    (tmp_path / name).mkdir()
  line = json.dumps({"step": 1, "objective/kl": 0.5})
  (tmp_path / "a" / "metrics.jsonl").write_text(line + "\n")
  found = finished_runs.read_ppo_training([sample, *after, after[0]])
  assert found == {str(tmp_path / "a"): [{"step": 1, "objective/kl": 0.5}]}


def test_the_base_had_seen_what_the_policys_last_stage_had_not_made(
  place, tmp_path
):
  folder = str(tmp_path / "policy")
  base = pretrained.load_language_model(str(place / "speck"))
  description = dataclasses.replace(
    base.description, history=("text", "pairs", "SFT")
  )
  pretrained.write_archive(folder, base.params, description, base.vocabulary)
  sample = comparisons.record("a", method="sample", policy=folder)
  chosen = comparisons.record("a", method="ppo", policy="elsewhere")
  assert finished_runs.base_history([chosen, sample]) == ["text", "pairs"]
