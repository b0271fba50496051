"""PPO of adapters as a job: what it keeps, continues, refuses and leaves."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
from jax.experimental.compilation_cache import compilation_cache
import numpy as np
import pytest

from xlrm import lora
from xlrm import metric_writer
from xlrm import optimizers
from xlrm import ppo
from xlrm import pretrained
from xlrm import prompt_files
from xlrm import sampling_config
from xlrm import sharding
from xlrm import training
from xlrm.checkpoints import native
from xlrm.jobs import ppo as ppo_job
from xlrm.jobs import ppo_trainer
from xlrm.launch import main
from xlrm.miniworld import rows

pytestmark = pytest.mark.xdist_group("ppo_lora")  # compiled once

CONFIG = lora.LoraConfig(rank=2, alpha=4.0)
STEPS = 4


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


@pytest.fixture(scope="module")
def start(speck, speck_reward, prompts):
  """train(folder, ..) of one policy, reward model and file of prompts."""

  def train(folder, steps=STEPS, devices=(1, 1), **options):
    options = {
      "policy": speck,
      "rewards": speck_reward,
      "value": speck_reward,
      "lora": CONFIG,
      "config": training.TrainConfig(
        train_steps=steps,
        eval_period=2,
        log_period=1,
        best_metric="validation/scores",
        best_mode="max",
      ),
      **options,
    }
    count = devices[0] * devices[1]
    with pytest.MonkeyPatch.context() as patch:
      build = sharding.MeshConfig.build
      patch.setattr(
        sharding.MeshConfig, "build", lambda x: build(x, jax.devices()[:count])
      )
      return ppo_job.train(
        source=prompt_files.PromptFile(prompts, instruction="<es> "),
        model_dir=str(folder),
        mesh=sharding.MeshConfig(*devices),
        optimizer=optimizers.adafactor(1e-2, multiply_by_parameter_scale=False),
        ppo_config=ppo.PPOConfig(policy_start_step=1),
        rollout=ppo_trainer.RolloutConfig(
          batch_size=8,
          num_scale_samples=8,
          num_validation_prompts=4,
          num_shown=2,
          debug=True,  # ratio 1 and KL 0 are checked
        ),
        sampler=sampling_config.SamplingConfig(max_tokens=12),
        lengths={"inputs": 48, "targets": 12},
        **options,
      )

  return train


@pytest.fixture(scope="module")
def run(start, tmp_path_factory):
  folder = tmp_path_factory.mktemp("run") / "ppo"
  return folder, start(folder)


def arrays(checkpoint, item) -> dict[str, np.ndarray]:
  import orbax.checkpoint as ocp

  with ocp.StandardCheckpointer() as orbax:
    found = orbax.restore((checkpoint / item).absolute())
  return {name: np.asarray(x) for name, x in found.items()}


def test_g05_adapters_start_as_the_reference(run):
  steps = [row for row in run[1].history if "objective/kl" in row]
  for row in steps[:2]:  # the policy is first updated in step 2
    for name in ("objective/k1", "objective/k2", "objective/k3"):
      assert abs(row[name]) < 1e-4
  assert all(row["val/first_ratio_deviation"] < 1e-4 for row in steps[1:])
  assert steps[-1]["objective/k3"] > 1e-6  # then it moves


def test_what_is_left_is_the_base_with_adapters_merged(run, speck):
  folder, _ = run
  merged = arrays(folder / "checkpoint_4", "params")
  rest = arrays(folder / "checkpoint_4", "rest")
  base = {
    optimizers.path_name(path).replace("/", "."): np.asarray(x)
    for path, x in jax.tree_util.tree_leaves_with_path(
      pretrained.load_language_model(speck).params
    )
  }
  assert merged.keys() == base.keys()  # ordinary names, all of them
  moved = 0
  for name, matrix in base.items():
    pair = [rest.get(f"policy.params.{name}.lora_{x}") for x in "ab"]
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
  trained = sum(x.size for name, x in rest.items() if ".params." in name)
  kept = sum(x.size for name, x in rest.items() if ".opt_state." in name)
  whole = sum(x.size for x in base.values())
  assert 0 < kept < 2 * trained + 100 < whole / 4


def test_others_read_the_folder_as_any_policy(run, prompts, tmp_path):
  folder, result = run
  loaded = pretrained.load_language_model(folder / "checkpoint_4")
  jax.tree.map(
    np.testing.assert_array_equal, loaded.params, dict(result.params)
  )
  few, output = tmp_path / "few.jsonl", tmp_path / "samples.jsonl"
  few.write_text("".join(open(prompts).readlines()[:2]))
  arguments = [f"--model={folder}", f"--input={few}", f"--output={output}"]
  assert main.main(["sample", *arguments, "--max_tokens=4"]) == 0
  made = [json.loads(x) for x in output.read_text().splitlines()]
  assert all(len(row["responses"]) == 1 for row in made) and len(made) == 2


def same(one, other):
  for name in ("metrics.jsonl", "samples.jsonl", "lora.json"):
    assert (one / name).read_bytes() == (other / name).read_bytes()
  for item in ("params", "rest"):
    ours, theirs = (
      arrays(x / f"checkpoint_{STEPS}", item) for x in (one, other)
    )
    assert ours.keys() == theirs.keys()
    for name in ours:
      np.testing.assert_array_equal(ours[name], theirs[name])


def test_g18_continued_it_ends_bit_equal(start, run, tmp_path, capsys):
  start(tmp_path / "run", steps=2)
  start(tmp_path / "run")
  assert "ppo: continues at step 2" in capsys.readouterr().out
  same(tmp_path / "run", run[0])


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
  start, run, changes, message
):
  config = changes and dataclasses.replace(CONFIG, **changes)
  with pytest.raises(native.CheckpointError, match=message):
    start(run[0], lora=config)


def test_adapters_over_another_base_are_refused(
  start, run, speck_reward, tmp_path
):
  found = pretrained.load_scorer(speck_reward)
  params = jax.tree.map(np.array, found.params)
  params["backbone"]["encoder"]["encoder_norm"]["scale"][0] += 0.5
  other = str(tmp_path / "rm")
  pretrained.write_archive(other, params, found.description, found.vocabulary)
  with pytest.raises(
    native.CheckpointError, match="other weights of the value than are there"
  ):
    start(run[0], value=other)


def test_a_target_that_is_not_there_is_refused_before_anything(start, tmp_path):
  config = dataclasses.replace(CONFIG, targets=("/querry/",))
  with pytest.raises(
    ValueError, match="'/querry/' matches no .*nearest: .*que"
  ):
    start(tmp_path / "run", lora=config)
  assert not (tmp_path / "run").exists()


def test_the_plan_has_the_base_once(start, tmp_path, capsys):
  def total(**options):
    start(tmp_path / "run", dry_run=True, **options)
    said = capsys.readouterr().out
    found = re.findall(r"^  ([a-z].*?) +(\d+\.\d+)$", said, re.MULTILINE)
    return {name: float(size) for name, size in found}

  adapted, whole = total(), total(lora=None)
  assert adapted["total"] < whole["total"]
  assert adapted["reference"] == 0 and adapted["base of value model"] == 0
  assert adapted["base of policy"] == whole["policy parameters"]
  assert not (tmp_path / "run").exists()


def code(prompts, speck, reward, folder, wait):
  return f"""
import time
from xlrm import lora, metric_writer, optimizers, ppo, prompt_files, training
from xlrm import sampling_config, sharding
from xlrm.jobs import ppo as job, ppo_trainer
real = metric_writer.MetricWriter.write
def slow(self, *arguments):
  real(self, *arguments)
  time.sleep({wait})
metric_writer.MetricWriter.write = slow
job.train(
  source=prompt_files.PromptFile({prompts!r}, instruction="<es> "),
  policy={speck!r}, rewards={reward!r}, value={reward!r},
  model_dir={str(folder)!r}, lora=lora.LoraConfig(rank=2, alpha=4.0),
  optimizer=optimizers.adafactor(1e-2, multiply_by_parameter_scale=False),
  config=training.TrainConfig(train_steps={STEPS}, eval_period=2, log_period=1,
    best_metric="validation/scores", best_mode="max"),
  ppo_config=ppo.PPOConfig(policy_start_step=1),
  rollout=ppo_trainer.RolloutConfig(batch_size=8, num_scale_samples=8,
    num_validation_prompts=4, num_shown=2),
  sampler=sampling_config.SamplingConfig(max_tokens=12),
  lengths={{"inputs": 48, "targets": 12}}, mesh=sharding.MeshConfig(1, 1),
)
"""


@pytest.mark.slow
def test_g18_killed_it_ends_bit_equal(
  prompts, speck, speck_reward, tmp_path, compile_once
):
  environment = {
    **os.environ,
    "XLA_FLAGS": "",
    "JAX_COMPILATION_CACHE_DIR": compile_once,
  }

  def begin(folder, wait):
    text = code(prompts, speck, speck_reward, tmp_path / folder, wait)
    return subprocess.Popen([sys.executable, "-c", text], env=environment)

  assert begin("whole", 0).wait(timeout=600) == 0
  process = begin("killed", 0.4)
  limit = time.monotonic() + 600
  while process.poll() is None and time.monotonic() < limit:
    history = metric_writer.read(tmp_path / "killed" / "metrics.jsonl")
    if any(row["step"] >= 3 for row in history):
      process.send_signal(signal.SIGKILL)
      break
    time.sleep(0.01)
  assert process.wait(timeout=60) == -signal.SIGKILL
  assert begin("killed", 0).wait(timeout=600) == 0
  same(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_g07_a_mesh_gives_the_same_run(start, run, tmp_path):
  many = start(tmp_path / "run", devices=(4, 2))
  for a, b in zip(
    jax.tree.leaves(run[1].params), jax.tree.leaves(many.params), strict=True
  ):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=2e-5)
