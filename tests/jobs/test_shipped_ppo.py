"""G23: every shipped PPO file dry-runs, with the shipped model for all four."""

import pathlib
import re

import pytest

from xlrm.config import gin_files
from xlrm.config import gin_jobs

TASK = "miniworld_summary.es"


def shipped() -> list[str]:
  """ppo.gin and whatever includes it."""
  folder = gin_files.gin_directory()
  found = []
  for path in sorted(folder.rglob("*.gin")):
    if path.parent.name != "t5x":  # of T5X's trainer
      sources = gin_files.with_includes(str(path), [folder])
      if any(pathlib.Path(x.name).name == "ppo.gin" for x in sources):
        found.append(str(path.relative_to(folder)))
  return found


@pytest.mark.parametrize("gin_file", shipped())
def test_g23_a_shipped_ppo_file_dry_runs(gin_file, reward, tmp_path):
  macros = {
    "MIXTURE_OR_TASK_MODULE": "xlrm.tasks.miniworld",
    "MIXTURE_OR_TASK_NAME": TASK,
    "POLICY": "nano",
    "REWARD": reward,
    "MODEL_DIR": str(tmp_path / "run"),
  }
  lines = [f"{name} = {value!r}" for name, value in macros.items()]
  said = gin_jobs.load([gin_file], lines).plan().text()
  assert not (tmp_path / "run").exists()
  for part in ("policy optimizer", "value optimizer", "reference", "reward"):
    assert re.search(rf"^  {part}.* \d+\.\d+$", said, re.MULTILINE)


@pytest.mark.parametrize(
  ("name", "steps"), [("summarization", 3000), ("dialogue", 2500)]
)
def test_the_papers_files_say_what_the_paper_says(name, steps):
  needed = ("MODEL_DIR", "POLICY", "REWARD", "MIXTURE_OR_TASK_NAME")
  gin_file = f"experiments/paper/ppo_{name}.gin"
  text = gin_jobs.load(
    [gin_file], [f"{macro} = 'x'" for macro in needed]
  ).text()
  assert set(text.splitlines()) >= {
    f"TRAIN_STEPS = {steps}",
    "POLICY_START_STEP = 2000",
    "VALUE_WARMUP_STEPS = 1000",
    "BATCH_SIZE = 32",
    "LEARNING_RATE = 0.0001",
    "VALUE_LEARNING_RATE = 0.0001",
    "KL_COEFFICIENT = 0.1",
    "TASK_FEATURE_LENGTHS = {'inputs': 1024, 'targets': 512}",
  }
