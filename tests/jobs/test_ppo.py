"""PPO as a job: kills, meshes, refusals, and what it leaves."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import killed_runs
import numpy as np
import ppo_runs
import pytest
import specks

from xlrm.checkpoints import native
from xlrm.checkpoints import pretrained
from xlrm.distributed import meshes
from xlrm.ppo import advantages
from xlrm.ppo import objective
from xlrm.rewards import reward_models
from xlrm.sampling import sampling_config
from xlrm.training import fit
from xlrm.training import optimizers

pytestmark = pytest.mark.usefixtures("compile_once")


@pytest.fixture(scope="module")
def run(place, tmp_path_factory, compile_once):
  """The run that nothing disturbs, of 6 steps, and what it returned."""
  folder = tmp_path_factory.mktemp("run") / "ppo"
  return folder, ppo_runs.train_all_weights(place, folder)


def test_g05_an_untrained_policy_is_its_reference(run):
  _, result = run
  steps = [row for row in result.history if "objective/kl" in row]
  assert len(steps) == 6
  for row in steps[:3]:  # the policy is first updated in step 3
    for name in ("objective/k1", "objective/k2", "objective/k3"):
      assert abs(row[name]) < 1e-4
  assert all(row["val/first_ratio_deviation"] < 1e-4 for row in steps[2:])
  assert "policy/clipfrac_avg" not in steps[0]  # frozen: not in the program


def test_g14_the_kl_of_the_reward_is_the_kl_of_the_log(run):
  for row in run[1].history:
    if "objective/kl" in row:
      assert row["objective/kl"] == row["objective/k1"]
      assert row["objective/non_score_reward"] == pytest.approx(
        -row["objective/kl_coefficient"] * row["objective/kl"], abs=1e-6
      )
      assert row["objective/rlhf_reward"] == pytest.approx(
        row["objective/scores"] + row["objective/non_score_reward"], abs=1e-5
      )


def test_g16_scores_are_scaled_to_the_policys_own_samples(run):
  folder, _ = run
  scale = json.loads((folder / "reward_scale.json").read_text())
  assert scale["n"] == 8 and scale["gain"] == pytest.approx(1 / scale["std"])
  assert scale["bias"] == pytest.approx(-scale["mean"] / scale["std"])


def test_g15_values_begin_as_the_scaled_reward_model(run):
  """V before the first token is the head's word on the prompt alone: the mean
  value of step 1 is within the scores, which have mean 0 and deviation 1."""
  first = next(row for row in run[1].history if "val/values" in row)
  assert 0 < abs(first["val/values"]) < 5


def test_g17_the_panel_is_always_there(run):
  folder, result = run
  row = next(row for row in result.history if "objective/kl" in row)
  for name in (
    "objective/scores",
    "policy/entropy_avg",
    "response/tokens",
    "response/repeated",
    "response/missing_eos",
    "response/unique",
  ):
    assert any(name in row for row in result.history), name
  assert 0 < row["response/unique"] <= 1
  assert (folder / "ppo_panel.png").read_bytes().startswith(b"\x89PNG")
  events = (folder / "events.jsonl").read_text().splitlines()
  for event in map(json.loads, events):
    assert {"step", "sign", "value", "threshold", "meaning"} == set(event)
  shown = (folder / "samples.jsonl").read_text().splitlines()
  assert [json.loads(x)["step"] for x in shown] == [3, 3, 6, 6]


def test_a_run_leaves_a_policy_and_the_best_and_the_last_checkpoint(run, speck):
  folder, result = run
  loaded = pretrained.load_language_model(folder)
  assert loaded.description.history[-1] == "PPO"
  assert result.best_step in (3, 6)
  assert set(native.steps(folder)) == {result.best_step, 5, 6}
  before = pretrained.load_language_model(speck).params
  moved = jax.tree.map(lambda a, b: abs(a - b).max(), before, result.params)
  assert max(jax.tree.leaves(moved)) > 0


@pytest.mark.parametrize(
  "step",
  [
    3,
    *(pytest.param(x, marks=pytest.mark.slow) for x in (1, 2, 4, 5)),
  ],
)
def test_g18_killed_it_ends_bit_equal(place, run, tmp_path, compile_once, step):
  killed = tmp_path / "ppo"
  said = killed_runs.kill_and_restart(place, killed, "ppo", compile_once, step)
  # A kill may come before the first checkpoint is whole: then it begins anew.
  anew = step == 1 or "checkpoint_1 was not finished; removed" in said
  assert "ppo: continues at step" in said or anew
  killed_runs.assert_same(killed, run[0], "samples.jsonl", "reward_scale.json")


@pytest.mark.slow
def test_g07_a_mesh_gives_the_same_run(place, tmp_path):
  one, many = (
    ppo_runs.train(
      place,
      tmp_path / str(mesh.data),
      mesh,
      config=ppo_runs.config(5, eval_period=5),
      value=specks.REWARD,
      optimizer=optimizers.adafactor(1e-4),
    )
    for mesh in (ppo_runs.ONE_DEVICE, meshes.MeshConfig(4, 2))
  )
  for a, b in zip(one.history, many.history, strict=True):
    for name in ("response/tokens", "response/unique"):
      assert a.get(name) == b.get(name)  # the same tokens were drawn
  for a, b in zip(
    jax.tree.leaves(one.params), jax.tree.leaves(many.params), strict=True
  ):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5)


@pytest.mark.parametrize(
  "advantage",
  [
    advantages.LeaveOneOut(),
    pytest.param(advantages.GroupNormalised(), marks=pytest.mark.slow),
  ],
)
def test_groups_need_no_value_model(place, tmp_path, advantage):
  result = ppo_runs.train(
    place,
    tmp_path / "run",
    config=ppo_runs.config(2),
    objective=objective.PPOConfig(advantage=advantage),
    rollouts=dataclasses.replace(ppo_runs.ROLLOUT, num_samples=2),
  )
  row = next(row for row in result.history if "objective/kl" in row)
  assert "loss/value_avg" not in row and "loss/policy_avg" in row
  # One pass over one minibatch: its ratio is that of the policy that drew.
  assert abs(row["val/ratio"] - 1) < 1e-4


@pytest.mark.slow
def test_a_batch_without_an_end_teaches_nothing_if_masked(
  place, speck, tmp_path
):
  before = pretrained.load_language_model(speck).params
  result = ppo_runs.train(
    place,
    tmp_path / "run",
    config=ppo_runs.config(2),
    objective=objective.PPOConfig(missing_eos="mask"),
    rollouts=dataclasses.replace(
      ppo_runs.ROLLOUT, sampler=sampling_config.SamplingConfig(max_tokens=2)
    ),
    lengths={"inputs": 48, "targets": 2},
  )
  row = next(row for row in result.history if "objective/kl" in row)
  assert row["response/missing_eos"] == 1 and row["skipped"] == 0
  jax.tree.map(np.testing.assert_array_equal, before, result.params)


def test_g22_scores_that_are_not_finite_stop_the_run_with_its_batch(
  place, tmp_path, monkeypatch
):
  real, calls = reward_models.RewardModel.device_scores, []

  def broken(self, asked, responses):
    calls.append(1)
    scores = real(self, asked, responses)
    return scores.at[1].set(jnp.nan) if len(calls) == 2 else scores

  monkeypatch.setattr(reward_models.RewardModel, "device_scores", broken)
  with pytest.raises(fit.NonFiniteError, match="the last of them step 2"):
    options = {**ppo_runs.ALL_WEIGHTS, "config": ppo_runs.config(5)}
    ppo_runs.train(place, tmp_path / "run", **options)
  saved = np.load(tmp_path / "run" / "nonfinite_batch_2.npz")
  assert np.isnan(saved["scores"][1]).all() and len(saved["ids"]) == 8
  assert saved["tokens"].shape == (8, 1, 12)


def test_a_reward_model_without_an_opinion_is_refused(
  place, tmp_path, monkeypatch
):
  monkeypatch.setattr(
    reward_models.RewardModel,
    "__call__",
    lambda self, p, r, **_: [0.25] * len(r),
  )
  with pytest.raises(ValueError, match="all 8 samples .* the same score, 0.25"):
    ppo_runs.train(place, tmp_path / "run")
  assert not (tmp_path / "run").exists()


def test_g28_models_of_another_vocabulary_are_refused(
  place, foreign_reward, tmp_path
):
  with pytest.raises(ValueError, match="the value model reads the policy's"):
    ppo_runs.train(place, tmp_path / "run", value=foreign_reward)
  with pytest.raises(ValueError, match="holds a response_scorer, not a lang"):
    ppo_runs.train(place, tmp_path / "run", reference=specks.REWARD)
  assert not (tmp_path / "run").exists()


def test_g28_sizes_that_do_not_divide_are_refused(place, tmp_path):
  rollout = dataclasses.replace(ppo_runs.ROLLOUT, batch_size=12)
  config = objective.PPOConfig(num_minibatches=8)
  with pytest.raises(ValueError, match="12 prompts.* nearest valid: 8, 16"):
    ppo_runs.train(place, tmp_path / "run", rollouts=rollout, objective=config)
  assert not (tmp_path / "run").exists()


def test_prompts_of_a_file_are_learnt_from_or_validated_on(place, tmp_path):
  """Never both: 8 of the 24 are held out."""
  with ppo_runs.few_devices():
    opened = ppo_runs.job(place, tmp_path / "run")._open()
    plan = ppo_runs.job(place, tmp_path / "run").plan()
  learnt = {row["id"] for row in opened.prompts.rows}
  shown = {row["id"] for row in opened.split.validation}
  assert len(learnt) == 16 and len(shown) == 8 and not learnt & shown
  assert "8 of the 24 prompts, chosen by seed 0, are held out" in plan.text()


def test_a_plan_counts_all_models_and_writes_nothing(place, tmp_path):
  judges = {"value": specks.REWARD, "heldout": specks.REWARD}
  with ppo_runs.few_devices():
    plan = ppo_runs.job(place, tmp_path / "run", **judges).plan("H100")
  said = plan.text()
  for name in (
    *("policy parameters", "value optimizer", "reference"),
    *("reward model 1", "held-out model 1"),
  ):
    assert name in said
  assert "H100" in said and not (tmp_path / "run").exists()
