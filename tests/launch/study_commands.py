"""`xlrm study` in a folder, with the jobs of fake_study.py."""

import os
import pathlib
import subprocess
import sys

from xlrm.launch.studies import study_plan

FAKE = pathlib.Path(__file__).with_name("fake_study.py")


STUDY = """
MODEL_DIR = %gin.REQUIRED
SEEDS = (0,)
JOB = @Study
Study:
  model_dir = %MODEL_DIR
  sources = ('en', 'de')
  targets = ('es',)
  sft_task = 'miniworld_summary.{language}'
  reward_task = 'miniworld_rating.{language}'
  methods = ('best_of_n', 'ppo')
  ppo_pairs = (('en', 'es'),)
  seeds = %SEEDS
  max_prompts = 5
"""


class Command:
  """Runs `xlrm study` in `folder`/run."""

  def __init__(self, folder: pathlib.Path):
    self.folder, self.log = folder, folder / "log"
    self.run_dir = folder / "run"
    self.gin_file = folder / "mine.gin"
    self.gin_file.write_text(STUDY)

  def __call__(self, *options: str, **environment: str):
    self.log.write_text("")
    return subprocess.run(
      [sys.executable, str(FAKE), "study", f"--gin_file={self.gin_file}"]
      + [f"--gin.MODEL_DIR={str(self.run_dir)!r}", *options],
      env={**os.environ, "FAKE_LOG": str(self.log), **environment},
      capture_output=True,
      text=True,
      timeout=300,
    )

  @property
  def ran(self) -> list[str]:
    """Folders in which jobs have run, in order."""
    return self.log.read_text().split()

  def loaded(self, *bindings: str) -> study_plan.Loaded:
    lines = [f"MODEL_DIR = {str(self.run_dir)!r}", *bindings]
    return study_plan.Loaded.of([str(self.gin_file)], lines)

  def states(self, *bindings: str) -> dict[str, str]:
    found = study_plan.StudyPlan.of(self.loaded(*bindings)).states
    return {name: state.value for name, state in found.items()}
