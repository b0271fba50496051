"""`xlrm bench ppo`: its plan without a device, and one real step."""

import json
import re

import pytest

from xlrm.launch import main

TINY = ("bench", "ppo", "--size=tiny", "--samples=1", "--batch=16")


def test_a_step_of_ppo_is_planned_with_all_its_models(capsys):
  assert main.main([*TINY, "--dry_run", "--devices=H100"]) == 0
  printed = capsys.readouterr().out
  found = dict(re.findall(r"^  (\w.*?) +(\d+\.\d+)$", printed, re.MULTILINE))
  vocabulary, width, layers = 32_000, 256, 8 * 4 * 256**2 + 4 * 4 * 256**2
  layers += 8 * 3 * 256 * 1024
  policy = 2 * vocabulary * width + layers  # beside norms and biases
  value = vocabulary * width + layers
  for name, count in (
    ("policy parameters", policy),
    ("reference", policy),
    ("value parameters", value),
    ("reward model 1", value),
  ):
    assert float(found[name]) == pytest.approx(count * 4 / 2**30, abs=6e-4)


@pytest.mark.slow  # compiles what `xlrm bench ppo` times
def test_a_step_of_ppo_is_timed_whole_and_in_parts(capsys):
  sizes = ("--size=nano", "--batch=8", "--inputs=16", "--targets=8")
  assert main.main(["bench", "ppo", *sizes, "--samples=1", "--steps=1"]) == 0
  found = json.loads(capsys.readouterr().out)
  assert found["kind"] == "ppo" and found["seconds_per_call"] > 0
  for part in ("rollout", "score", "update"):
    assert f"{part}_seconds" in found
