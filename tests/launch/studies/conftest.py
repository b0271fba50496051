"""A folder with a study in it, and SLURM's commands before all others."""

import os
import pathlib

import launching
import pytest
import slurm_world

from xlrm.launch.studies import study_plan


@pytest.fixture
def world(tmp_path, monkeypatch) -> pathlib.Path:
  """A folder with a study in mine/, and SLURM's commands before all others."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(study_plan, "check_tasks", lambda plan: None)
  (tmp_path / "mine").mkdir()
  (tmp_path / "mine/study.gin").write_text(slurm_world.STUDY)
  # What only an included file may do: options of an optimizer that is not used.
  text = "include 'sft.gin'\nTRAIN_STEPS = 7  # mine\n"
  text += "sft.train.optimizer = @adamw()\n"
  (tmp_path / "mine/my_sft.gin").write_text(text)
  programs = tmp_path / "bin"
  programs.mkdir()
  launching.program(programs, "sbatch", slurm_world.SBATCH)
  launching.program(programs, "squeue", 'cat "$WORLD/queue" 2>/dev/null\n:\n')
  launching.program(programs, "scancel", 'echo "$@" >> "$WORLD/cancelled"\n')
  monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
  monkeypatch.setenv("WORLD", str(tmp_path))
  return tmp_path
