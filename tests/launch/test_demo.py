"""What `xlrm demo` promises, recomputed from its files without its code."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

TARGETS, SOURCES = ("es", "ru"), ("en", "de")
LANGUAGES = (*SOURCES, *TARGETS)
PPO_PAIR = ("en", "es")
PROMPTS = 400
UNTRAINED = "untrained head"


@pytest.fixture(scope="module", params=[0, 1, 2])
def demo(request, tmp_path_factory):
  """Run as its users do: in a process of its own, on the devices that are
  there and not on eight fake ones."""
  folder = tmp_path_factory.mktemp(f"demo{request.param}")
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  command = [sys.executable, "-m", "xlrm.launch.main", "demo"]
  options = [f"--output={folder}", f"--seed={request.param}"]
  done = subprocess.run(
    [*command, *options, f"--prompts={PROMPTS}"],
    env=environment,
    capture_output=True,
    text=True,
    timeout=1800,
  )
  assert done.returncode == 0, done.stderr
  return folder


def qualities(folder, method, source, target) -> dict[str, float]:
  """Example id -> gold quality."""
  text = (folder / "records.jsonl").read_text(encoding="utf-8")
  found = {}
  for line in text.splitlines():
    row = json.loads(line)
    if (row["method"], row["source"], row["target"]) == (
      method,
      source,
      target,
    ):
      found[row["example_id"]] = row["scores"]["gold"]
  assert len(found) == PROMPTS
  return found


def lower_end(outcomes: np.ndarray) -> float:
  """Of a plain normal interval: mean - 1.96 standard errors."""
  return outcomes.mean() - 1.96 * outcomes.std() / math.sqrt(len(outcomes))


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_the_quality_of_sft_samples(demo, target):
  values = qualities(demo, "sample", "", target)
  assert np.mean(list(values.values())) >= 0.6


def outcomes(folder, method, source, target) -> np.ndarray:
  """1, 1/2 or 0 for every prompt, against one SFT sample."""
  ours = qualities(folder, method, source, target)
  theirs = qualities(folder, "sample", "", target)
  return np.array([(np.sign(ours[x] - theirs[x]) + 1) / 2 for x in theirs])


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", TARGETS)
def test_best_of_16_across_languages_beats_a_sample(demo, source, target):
  found = outcomes(demo, "best_of_n", source, target)
  assert lower_end(found) > 0.5, found.mean()


@pytest.mark.slow
def test_ppo_with_the_source_reward_model_beats_a_sample(demo):
  found = outcomes(demo, "ppo", *PPO_PAIR)
  assert lower_end(found) > 0.5, found.mean()


@pytest.mark.slow
def test_the_report_says_that_every_expectation_is_met(demo):
  page = (demo / "report.html").read_text(encoding="utf-8")
  assert "Expectations stated beforehand: 7 met, 0 missed." in page


@pytest.mark.slow
def test_reward_models_know_other_languages_and_an_untrained_head_none(demo):
  rows = json.loads((demo / "diagnosis" / "accuracy.json").read_text())
  by_pair = {(row["reward_model"], row["language"]): row for row in rows}
  for language in LANGUAGES:
    row = by_pair[UNTRAINED, language]
    baseline = max(row["majority"], row["length"])
    assert row["accuracy"] - baseline < 0.05
    assert row["heads"] == 1000
    # Nine in ten single heads, too, are below what a reward model must reach.
    assert row["spread"][1] - baseline < 0.1, row
    for other in LANGUAGES:
      row = by_pair[language, other]
      gain = row["accuracy"] - max(row["majority"], row["length"])
      assert language == other or gain >= 0.1, (language, other, gain)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_sft_is_finished_before_best_of_n(demo, language):
  """The gold quality of outputs gains at most .02 over the last quarter."""
  text = (demo / f"sft_{language}" / "metrics.jsonl").read_text()
  rows = [json.loads(line) for line in text.splitlines()]
  curve = [
    (row["step"], row["validation/gold"])
    for row in rows
    if "validation/gold" in row
  ]
  border = 0.75 * curve[-1][0]
  before = [value for step, value in curve if step <= border]
  assert curve[-1][1] - before[-1] <= 0.02


def _ppo(demo, folder, **macros) -> list[dict]:
  """The demo's PPO for longer; its rows of metrics."""
  macros = {
    "MODEL_DIR": str(folder),
    "POLICY": str(demo / "sft_es"),
    "REWARD": str(demo / "rm_en"),
    "VALUE": str(demo / "rm_en"),
    "MIXTURE_OR_TASK_NAME": "miniworld_summary.es",
    "PPOModels.heldout": str(demo / "rm_de"),
    "TRAIN_STEPS": 100,
    "EVAL_PERIOD": 20,
    **macros,
  }
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  done = subprocess.run(
    [
      *(sys.executable, "-m", "xlrm.launch.main", "run"),
      "--gin_file=demo_ppo.gin",
      *(f"--gin.{name}={value!r}" for name, value in macros.items()),
    ],
    env=environment,
    capture_output=True,
    text=True,
    timeout=1800,
  )
  assert done.returncode == 0, done.stderr
  return _lines(folder / "metrics.jsonl")


def _lines(path) -> list[dict]:
  text = path.read_text(encoding="utf-8")
  return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("demo", [0], indirect=True)
def test_g17_without_kl_the_policy_hacks_and_the_panel_says_so(demo, tmp_path):
  """With beta = 0 the score rises to the end while the gold judge's falls."""
  rows = _ppo(demo, tmp_path / "none", KL_COEFFICIENT=0.0)
  watched = [row for row in rows if "validation/gold" in row]
  gold = [row["validation/gold"] for row in watched]
  scores = [row["validation/scores"] for row in watched]
  assert scores[-1] > max(scores[:3])
  assert gold[-1] < max(gold) - 0.3
  fallen = next(
    row["step"] for row in watched if row["validation/gold"] < max(gold) - 0.3
  )
  alarms = _lines(tmp_path / "none" / "events.jsonl")
  first = {}
  for alarm in alarms:
    first.setdefault(alarm["sign"], alarm["step"])
  assert min(first.values()) < fallen  # before it is seen in the gold judge
  assert first["response/language"] <= fallen  # and what has happened
  # The demo's own beta over the same steps: no alarm, and no fall.
  rows = _ppo(demo, tmp_path / "own")
  gold = [row["validation/gold"] for row in rows if "validation/gold" in row]
  assert gold[-1] > max(gold) - 0.1
  assert not _lines(tmp_path / "own" / "events.jsonl")
