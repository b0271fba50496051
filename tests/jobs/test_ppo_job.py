"""PPO as a job: kills, meshes, refusals, and what it leaves."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import jax
from jax.experimental.compilation_cache import compilation_cache
import jax.numpy as jnp
import numpy as np
import pytest

from xlrm import advantages
from xlrm import metric_writer
from xlrm import optimizers
from xlrm import ppo
from xlrm import pretrained
from xlrm import prompt_files
from xlrm import sampling_config
from xlrm import scorer
from xlrm import sharding
from xlrm import training
from xlrm.checkpoints import native
from xlrm.jobs import ppo as ppo_job
from xlrm.jobs import ppo_trainer
from xlrm.miniworld import rows


ROLLOUT = ppo_trainer.RolloutConfig(
  batch_size=8,
  num_scale_samples=16,
  num_validation_prompts=4,
  num_shown=2,
  debug=True,
)
SAMPLER = sampling_config.SamplingConfig(max_tokens=12)
LENGTHS = {"inputs": 48, "targets": 12}


POLICY: list[str] = []


@pytest.fixture(scope="module")
def reward(speck, speck_reward):
  POLICY[:] = [speck]
  return speck_reward


@pytest.fixture(scope="module", autouse=True)
def compile_once(tmp_path_factory):
  """Also for the processes that are killed."""
  folder = str(tmp_path_factory.mktemp("compilations"))
  jax.config.update("jax_compilation_cache_dir", folder)
  compilation_cache.reset_cache()
  yield folder
  jax.config.update("jax_compilation_cache_dir", None)
  compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
  path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
  made = [
    {"prompt": row.document, "id": row.id, "language": "es"}
    for row in rows.summary_rows("es", "train", 0, 24)
  ]
  path.write_text("".join(json.dumps(x) + "\n" for x in made))
  return str(path)


def train(prompts, reward, folder, steps=3, devices=(1, 1), **options):
  count = devices[0] * devices[1]
  mesh = sharding.MeshConfig(*devices)
  options = {
    "rollout": ROLLOUT,
    "ppo_config": ppo.PPOConfig(policy_start_step=1),
    "optimizer": optimizers.adafactor(1e-3),
    "config": training.TrainConfig(
      train_steps=steps,
      eval_period=2,
      log_period=1,
      best_metric="validation/scores",
      best_mode="max",
      max_nonfinite_steps=1,
    ),
    "sampler": SAMPLER,
    "lengths": LENGTHS,
    **options,
  }
  with pytest.MonkeyPatch.context() as patch:
    build = sharding.MeshConfig.build
    patch.setattr(
      sharding.MeshConfig, "build", lambda x: build(x, jax.devices()[:count])
    )
    return ppo_job.train(
      source=prompt_files.PromptFile(prompts, instruction="<es> "),
      policy=POLICY[0],
      rewards=reward,
      model_dir=str(folder),
      mesh=mesh,
      **options,
    )


@pytest.fixture(scope="module")
def run(prompts, reward, tmp_path_factory):
  folder = tmp_path_factory.mktemp("run") / "ppo"
  return folder, train(prompts, reward, folder, value=reward, heldout=reward)


def test_g05_an_untrained_policy_is_its_reference(run):
  _, result = run
  steps = [row for row in result.history if "objective/kl" in row]
  assert len(steps) == 3
  for row in steps[:2]:  # the policy is first updated in step 2
    for name in ("objective/k1", "objective/k2", "objective/k3"):
      assert abs(row[name]) < 1e-4
  assert all(row["val/first_ratio_deviation"] < 1e-4 for row in steps[1:])
  # One pass over one minibatch: its ratio is that of the policy that drew.
  assert abs(steps[2]["val/ratio"] - 1) < 1e-4
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


def test_g16_scores_are_scaled_to_the_policys_own_samples(run, reward):
  folder, _ = run
  scale = json.loads((folder / "reward_scale.json").read_text())
  assert scale["n"] == 16 and scale["gain"] == pytest.approx(1 / scale["std"])
  assert scale["bias"] == pytest.approx(-scale["mean"] / scale["std"])


def test_g15_values_begin_as_the_scaled_reward_model(run, prompts):
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
  assert [json.loads(x)["step"] for x in shown] == [2, 2, 3, 3]


def test_a_run_leaves_a_policy_and_the_best_and_the_last_checkpoint(run):
  folder, result = run
  loaded = pretrained.load_language_model(folder)
  assert loaded.description.history[-1] == "PPO"
  assert set(native.steps(folder)) == {2, 3}
  assert result.best_step in (2, 3)
  before = pretrained.load_language_model(POLICY[0]).params
  moved = jax.tree.map(lambda a, b: abs(a - b).max(), before, result.params)
  assert max(jax.tree.leaves(moved)) > 0


def code(prompts, reward, folder, wait):
  return f"""
import time
from xlrm import metric_writer, optimizers, ppo, prompt_files, training
from xlrm import sampling_config, sharding
from xlrm.jobs import ppo as job, ppo_trainer
real = metric_writer.MetricWriter.write
def slow(self, *arguments):
  real(self, *arguments)
  time.sleep({wait})
metric_writer.MetricWriter.write = slow
job.train(
  source=prompt_files.PromptFile({prompts!r}, instruction="<es> "),
  policy={POLICY[0]!r}, rewards={reward!r}, value={reward!r},
  model_dir={str(folder)!r},
  optimizer=optimizers.adafactor(1e-3),
  config=training.TrainConfig(train_steps=6, eval_period=3, log_period=1,
    checkpoint_period=1, best_metric="validation/scores", best_mode="max"),
  ppo_config=ppo.PPOConfig(policy_start_step=2, kl_target=1.0,
    num_minibatches=2, num_epochs=2),
  rollout=ppo_trainer.RolloutConfig(batch_size=8, num_scale_samples=16,
    num_validation_prompts=4),
  sampler=sampling_config.SamplingConfig(max_tokens=12),
  lengths={{"inputs": 48, "targets": 12}}, mesh=sharding.MeshConfig(1, 1),
)
"""


def start(text, cache) -> subprocess.Popen:
  environment = {
    **os.environ,
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
  }
  return subprocess.Popen(
    [sys.executable, "-c", text],
    env={**environment, "JAX_COMPILATION_CACHE_DIR": cache},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finish(text, cache) -> str:
  process = start(text, cache)
  said, _ = process.communicate(timeout=300)
  assert process.returncode == 0, said
  return said


@pytest.fixture(scope="module")
def undisturbed(prompts, reward, tmp_path_factory, compile_once):
  folder = tmp_path_factory.mktemp("whole") / "ppo"
  finish(code(prompts, reward, folder, 0), compile_once)
  return folder


@pytest.mark.parametrize(
  "step",
  [
    3,
    *(pytest.param(x, marks=pytest.mark.slow) for x in (1, 2, 4, 5)),
  ],
)
def test_g18_killed_it_ends_bit_equal(
  prompts, reward, undisturbed, tmp_path, compile_once, step
):
  killed = tmp_path / "ppo"
  process = start(code(prompts, reward, killed, 0.4), compile_once)
  limit = time.monotonic() + 240
  while process.poll() is None and time.monotonic() < limit:
    history = metric_writer.read(killed / "metrics.jsonl")
    if any(row["step"] >= step for row in history):
      process.send_signal(signal.SIGKILL)
      break
    time.sleep(0.01)
  said, _ = process.communicate(timeout=60)
  assert process.returncode == -signal.SIGKILL, said
  said = finish(code(prompts, reward, killed, 0), compile_once)
  # A kill may come before the first checkpoint is whole: then it begins anew.
  anew = step == 1 or "checkpoint_1 was not finished; removed" in said
  assert "ppo: continues at step" in said or anew
  for name in ("metrics.jsonl", "reward_scale.json", "samples.jsonl"):
    assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()
  for item in ("params", "rest"):
    ours, theirs = (
      _arrays(x / "checkpoint_6" / item) for x in (killed, undisturbed)
    )
    assert ours.keys() == theirs.keys()
    for name in ours:
      np.testing.assert_array_equal(ours[name], theirs[name])


def _arrays(path) -> dict[str, np.ndarray]:
  import orbax.checkpoint as ocp

  with ocp.StandardCheckpointer() as orbax:
    return {k: np.asarray(v) for k, v in orbax.restore(path.absolute()).items()}


@pytest.mark.slow
def test_g07_a_mesh_gives_the_same_run(prompts, reward, tmp_path):
  config = training.TrainConfig(
    train_steps=5,
    eval_period=5,
    log_period=1,
    best_metric="validation/scores",
    best_mode="max",
  )
  one, many = (
    train(
      prompts,
      reward,
      tmp_path / str(devices[0]),
      devices=devices,
      config=config,
      value=reward,
      optimizer=optimizers.adafactor(1e-4),
    )
    for devices in ((1, 1), (4, 2))
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
def test_groups_need_no_value_model(prompts, reward, tmp_path, advantage):
  result = train(
    prompts,
    reward,
    tmp_path / "run",
    steps=2,
    ppo_config=ppo.PPOConfig(advantage=advantage),
    rollout=dataclasses.replace(ROLLOUT, num_samples=2),
  )
  row = next(row for row in result.history if "objective/kl" in row)
  assert "loss/value_avg" not in row and "loss/policy_avg" in row


@pytest.mark.slow
def test_a_batch_without_an_end_teaches_nothing_if_masked(
  prompts, reward, tmp_path
):
  before = pretrained.load_language_model(POLICY[0]).params
  result = train(
    prompts,
    reward,
    tmp_path / "run",
    steps=2,
    ppo_config=ppo.PPOConfig(missing_eos="mask"),
    sampler=sampling_config.SamplingConfig(max_tokens=2),
    lengths={"inputs": 48, "targets": 2},
  )
  row = next(row for row in result.history if "objective/kl" in row)
  assert row["response/missing_eos"] == 1 and row["skipped"] == 0
  jax.tree.map(np.testing.assert_array_equal, before, result.params)


def test_g22_scores_that_are_not_finite_stop_the_run_with_its_batch(
  prompts, reward, tmp_path, monkeypatch
):
  real, calls = scorer.RewardModel.device_scores, []

  def broken(self, asked, responses):
    calls.append(1)
    scores = real(self, asked, responses)
    return scores.at[1].set(jnp.nan) if len(calls) == 2 else scores

  monkeypatch.setattr(scorer.RewardModel, "device_scores", broken)
  with pytest.raises(training.NonFiniteError, match="the last of them step 2"):
    train(prompts, reward, tmp_path / "run", steps=5)
  saved = np.load(tmp_path / "run" / "nonfinite_batch_2.npz")
  assert np.isnan(saved["scores"][1]).all() and len(saved["ids"]) == 8
  assert saved["tokens"].shape == (8, 1, 12)


def test_a_reward_model_without_an_opinion_is_refused(
  prompts, reward, tmp_path, monkeypatch
):
  monkeypatch.setattr(
    scorer.RewardModel, "__call__", lambda self, p, r, **_: [0.25] * len(r)
  )
  with pytest.raises(
    ValueError, match="all 16 samples .* the same score, 0.25"
  ):
    train(prompts, reward, tmp_path / "run")
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  "sampler, said",
  [
    ({"top_k": 5}, "top_k 5"),
    ({"top_p": 0.9}, "top_p 0.9"),
    ({"greedy": True}, "greedy True"),
    ({"int8_output_matrix": True}, "int8_output_matrix True"),
  ],
)
def test_g04_ppo_refuses_draws_that_are_not_the_policys(
  prompts, reward, tmp_path, sampler, said
):
  config = sampling_config.SamplingConfig(max_tokens=12, **sampler)
  with pytest.raises(ValueError, match=f"PPO draws from the whole .*{said}"):
    train(prompts, reward, tmp_path / "run", sampler=config)


def test_g28_models_of_another_vocabulary_are_refused(
  prompts, reward, foreign_reward, tmp_path
):
  with pytest.raises(ValueError, match="the value model reads the policy's"):
    train(prompts, reward, tmp_path / "run", value=foreign_reward)
  with pytest.raises(ValueError, match="holds a response_scorer, not a lang"):
    train(prompts, reward, tmp_path / "run", reference=reward)
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  "options, said",
  [
    (
      {"rollout": dataclasses.replace(ROLLOUT, batch_size=12)},
      r"12 \(12 prompts\) is not divisible by 8 minibatches .* valid: 8, 16",
    ),
    (
      {"ppo_config": ppo.PPOConfig(advantage=advantages.LeaveOneOut())},
      "num_samples 1 must be at least 2",
    ),
  ],
)
def test_sizes_that_do_not_divide(prompts, reward, tmp_path, options, said):
  options = {"ppo_config": ppo.PPOConfig(num_minibatches=8), **options}
  with pytest.raises(ValueError, match=said):
    train(prompts, reward, tmp_path / "run", **options)


def test_a_group_size_that_does_not_divide_the_batch():
  with pytest.raises(
    ValueError, match="9 responses cannot be 4 .* valid: 8, 12"
  ):
    ppo_trainer.RolloutConfig(batch_size=9, num_samples=4)


def test_a_dry_run_counts_all_models_and_writes_nothing(
  prompts, reward, tmp_path, capsys
):
  train(prompts, reward, tmp_path / "run", value=reward, dry_run="H100")
  said = capsys.readouterr().out
  for name in ("policy parameters", "value optimizer", "reference", "reward"):
    assert name in said
  assert "H100" in said and not (tmp_path / "run").exists()
