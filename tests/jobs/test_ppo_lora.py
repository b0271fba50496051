"""PPO of adapters as a job: what it keeps, continues, refuses and leaves."""

import dataclasses
import json
import shutil

import jax
import killed_runs
import numpy as np
import ppo_runs
import pytest
import specks

from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import native
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.distributed import sharding
from xlrm.launch import main

pytestmark = [
  pytest.mark.xdist_group("ppo_lora"),  # compiled once
  pytest.mark.usefixtures("compile_once"),
]

RUN = ppo_runs.ADAPTERS


def start(place, folder, **options):
  return ppo_runs.train(place, folder, **{**RUN, **options})


@pytest.fixture(scope="module")
def run(place, tmp_path_factory, compile_once):
  folder = tmp_path_factory.mktemp("run") / "ppo"
  return folder, start(place, folder)


def test_g05_adapters_start_as_the_reference(run):
  steps = [row for row in run[1].history if "objective/kl" in row]
  for row in steps[:2]:  # the policy is first updated in step 2
    for name in ("objective/k1", "objective/k2", "objective/k3"):
      assert abs(row[name]) < 1e-4
  assert all(row["val/first_ratio_deviation"] < 1e-4 for row in steps[1:])
  assert abs(steps[1]["val/ratio"] - 1) < 1e-4  # one pass over one minibatch
  assert steps[-1]["objective/k3"] > 1e-6  # then it moves


def test_what_is_left_is_the_base_with_adapters_merged(run, speck):
  folder, _ = run
  merged = by_name(native.read(folder / "checkpoint_4"))
  rest = by_name(native.read_rest(folder / "checkpoint_4")[1])
  base = {
    sharding.path_name(path): np.asarray(x)
    for path, x in jax.tree_util.tree_leaves_with_path(
      pretrained.load_language_model(speck).params
    )
  }
  assert merged.keys() == base.keys()  # ordinary names, all of them
  moved = 0
  for name, matrix in base.items():
    pair = [rest.get(f"policy/params/{name}/lora_{x}") for x in "ab"]
    if pair[0] is None:
      assert merged[name].tobytes() == matrix.tobytes()
      continue
    moved += 1
    expected = matrix.astype(np.float64) + 2.0 * (
      pair[0].astype(np.float64) @ pair[1].astype(np.float64)
    )
    np.testing.assert_allclose(merged[name], expected, atol=1e-5)
    assert np.abs(expected - matrix).max() > 1e-4
  assert moved == 6  # queries and values of three attentions
  # Optimizers know adapters and the head, nothing of the base.
  trained = sum(x.size for name, x in rest.items() if "/params/" in name)
  kept = sum(x.size for name, x in rest.items() if "/opt_state/" in name)
  whole = sum(x.size for x in base.values())
  assert 0 < kept < 2 * trained + 100 < whole / 4


def by_name(stored) -> dict[str, np.ndarray]:
  return {name: array.whole() for name, array in stored.items()}


def test_others_read_the_folder_as_any_policy(run, place, tmp_path):
  folder, result = run
  loaded = pretrained.load_language_model(folder / "checkpoint_4")
  jax.tree.map(
    np.testing.assert_array_equal, loaded.params, dict(result.params)
  )
  few, output = tmp_path / "few.jsonl", tmp_path / "samples.jsonl"
  few.write_text("".join(open(place / specks.PROMPTS).readlines()[:2]))
  arguments = [f"--model={folder}", f"--input={few}", f"--output={output}"]
  assert main.main(["sample", *arguments, "--max_tokens=4"]) == 0
  made = [json.loads(x) for x in output.read_text().splitlines()]
  assert all(len(row["responses"]) == 1 for row in made) and len(made) == 2


def test_g18_continued_it_ends_bit_equal(place, run, tmp_path, capsys):
  """As if it had been killed before its last checkpoint was whole."""
  shutil.copytree(run[0], tmp_path / "run")
  shutil.rmtree(tmp_path / "run" / "checkpoint_4")
  start(place, tmp_path / "run")
  assert "ppo: continues at step 2" in capsys.readouterr().out
  killed_runs.assert_same(
    tmp_path / "run", run[0], "samples.jsonl", "lora.json"
  )


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"rank": 3},
      r"trained with LoRA of rank 2, alpha 4.0, targets .*, not with LoRA of "
      "rank 3, alpha 4.0",
    ),
    ({"targets": ("/key/kernel$",)}, r"query\|value.* not with .*key/kernel"),
    (None, r"trained with LoRA of rank 2, .*, not with all weights \(no LoRA"),
  ],
)
def test_checkpoints_of_other_adapters_are_refused(
  place, run, changes, message
):
  config = changes and dataclasses.replace(RUN["lora"], **changes)
  with pytest.raises(checkpoint_errors.CheckpointError, match=message):
    start(place, run[0], lora=config)


def test_adapters_over_another_base_are_refused(
  place, run, speck_reward, tmp_path
):
  found = pretrained.load_scorer(speck_reward)
  params = jax.tree.map(np.array, found.params)
  params["backbone"]["encoder"]["encoder_norm"]["scale"][0] += 0.5
  other = str(tmp_path / "rm")
  pretrained.write_archive(other, params, found.description, found.vocabulary)
  with pytest.raises(
    checkpoint_errors.CheckpointError,
    match="other weights of the value than are there",
  ):
    start(place, run[0], value=other)


def test_a_target_that_is_not_there_is_refused_before_anything(place, tmp_path):
  config = dataclasses.replace(RUN["lora"], targets=("/querry/",))
  with pytest.raises(
    ValueError, match="'/querry/' matches no .*nearest: .*que"
  ):
    start(place, tmp_path / "run", lora=config)
  assert not (tmp_path / "run").exists()


def test_the_plan_has_the_base_once(place, tmp_path):
  def planned(**options):
    options = {**RUN, **options}
    with ppo_runs.few_devices():
      plan = ppo_runs.job(place, tmp_path / "run", **options).plan()
    return plan.memory["a step"]

  adapted, whole = planned(), planned(lora=None)
  assert adapted.total < whole.total
  adapted, whole = adapted.bytes, whole.bytes
  assert adapted["reference"] == 0 and adapted["base of value model"] == 0
  assert adapted["base of policy"] == whole["policy parameters"]
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_g18_killed_it_ends_bit_equal(place, run, tmp_path, compile_once):
  killed = tmp_path / "killed"
  killed_runs.kill_and_restart(place, killed, "ppo_lora", compile_once, 3)
  killed_runs.assert_same(killed, run[0], "samples.jsonl", "lora.json")


@pytest.mark.slow
def test_g07_a_mesh_gives_the_same_run(place, run, tmp_path):
  many = start(place, tmp_path / "run", mesh=meshes.MeshConfig(4, 2))
  for a, b in zip(
    jax.tree.leaves(run[1].params), jax.tree.leaves(many.params), strict=True
  ):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=2e-5)
