"""Cells as SLURM jobs: what is submitted, in which order, and again."""

import os
import shlex
import subprocess
import sys

import launching
import pytest
import slurm_world

from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_state


def needs(plan: study_plan.StudyPlan, missing: set[str]) -> dict[str, set[str]]:
  """Found by who names whose folder, not by the cells' own lists."""
  found = {}
  for cell in plan.cells:
    if cell.name in missing:
      text = "\n".join(x for x in cell.bindings if "MODEL_DIR =" not in x)
      found[cell.name] = {
        other.name
        for other in plan.cells
        if f"'{other.folder}'" in text and other.name in missing - {cell.name}
      }
  return found


def test_cells_are_submitted_after_those_that_they_need(world, capsys):
  plan = study_plan.StudyPlan.of(slurm_world.loaded())
  assert slurm_world.launch() == 0
  printed = capsys.readouterr().out
  assert "run: 11 cells, 0 exist" in printed and "--go does it" in printed
  assert not (world / "run").exists() and not (world / "submitted").exists()

  assert slurm_world.launch("--go") == 0
  told = slurm_world.submitted(world)
  assert told == needs(plan, {x.name for x in plan.cells})
  assert list(told) == [x.name for x in plan.cells]
  for path in (world / "run/launch").iterdir():
    assert path.name == "jobs.txt" or path.read_text().strip() in printed

  for cell in plan.cells[:4]:  # three SFT models and a reward model
    slurm_world.complete(cell, plan.identities[cell.name])
  assert slurm_world.launch("--go") == 0
  assert slurm_world.submitted(world) == needs(
    plan, {x.name for x in plan.cells[4:]}
  )
  assert slurm_world.launch("--go", "--only=rm_*", "--only=sft_en") == 0
  assert slurm_world.submitted(world) == {"rm_de": set(), "rm_es": set()}
  for cell in plan.cells:
    slurm_world.complete(cell, plan.identities[cell.name])
  capsys.readouterr()
  assert slurm_world.launch("--go") == 0 and not slurm_world.submitted(world)
  assert "All cells are complete." in capsys.readouterr().out


def test_a_report_waits_for_judges_however_they_end(world):
  judges = {"gpt": {"MODEL": "x"}}
  judged = f"--gin.Study.judges={judges}"
  names = {"judge_gpt_best_of_n", "judge_gpt_ppo"}
  assert slurm_world.launch("--go", judged) == 0
  call = (world / "submitted").read_text().split("\n\n")[-2].split("\n")
  assert call[-1] == "report"
  (after,) = (x for x in call if x.startswith("--dependency="))
  kinds = dict(x.split(":", 1) for x in after.split("=")[1].split(","))
  jobs = (world / "run/launch/jobs.txt").read_text().splitlines()
  cells = dict(x.split() for x in jobs)  # number -> cell
  assert {cells[x] for x in kinds["afterany"].split(":")} == names
  assert not names & {cells[x] for x in kinds["afterok"].split(":")}
  slurm_world.submitted(world)

  plan = study_plan.StudyPlan.of(slurm_world.loaded(f"Study.judges = {judges}"))
  for cell in plan.cells:
    if cell.kind != "judge":
      slurm_world.complete(*plan.present(cell))
  # The report is complete, and will be another one with the judges.
  assert slurm_world.launch("--go", judged) == 0
  assert slurm_world.submitted(world) == {
    **{x: set() for x in names},
    "report": names,
  }


def test_a_submission_that_failed_is_continued(world, monkeypatch, capfd):
  monkeypatch.setenv("REFUSED", "rm_de")
  assert slurm_world.launch("--go") == 1
  said = capfd.readouterr().err
  assert "queue is full" in said and "sbatch refused rm_de" in said
  assert "4 jobs submitted" in said and "scancel 101 102 103 104" in said
  assert list(slurm_world.submitted(world)) == [
    "sft_en",
    "sft_de",
    "sft_es",
    "rm_en",
  ]

  monkeypatch.delenv("REFUSED")
  (world / "queue").write_text("101 None\n103 Priority\n104 Dependency\n")
  script = shlex.quote(str(world / "run/launch/submit.sh"))
  assert script in said
  assert os.system(f"bash {script}") == 0  # sft_de has left the queue
  told = slurm_world.submitted(world)
  assert list(told)[:3] == ["sft_de", "rm_de", "rm_es"] and len(told) == 8
  assert told["rm_de"] == {"sft_de"} and "rm_en" in told["best_of_n_es"]
  assert "rm_en: job 104 is queued or running" in capfd.readouterr().out
  assert not (world / "cancelled").exists()


def test_jobs_that_wait_for_one_that_failed_are_submitted_again(world):
  assert slurm_world.launch("--go") == 0
  names = [x.name for x in study_plan.StudyPlan.of(slurm_world.loaded()).cells]
  slurm_world.submitted(world)
  # SFT and rm_en run; rm_de, the fifth, has failed, and SLURM has not yet
  # noticed it for all that wait for it.
  reasons = ["None"] * 4 + [None, "Priority", "DependencyNeverSatisfied"]
  reasons += ["Dependency"] * 4
  lines = [f"{i} {x}\n" for i, x in enumerate(reasons, 101) if x]
  (world / "queue").write_text("".join(lines))
  assert slurm_world.launch("--go") == 0
  told = slurm_world.submitted(world)
  assert list(told) == ["rm_de", *names[6:]]
  assert {"rm_de", "rm_en"} <= told["best_of_n_es"]
  cancelled = (world / "cancelled").read_text().split()
  assert cancelled == ["107", "108", "109", "110", "111"]


@pytest.mark.parametrize("place", ["plain", "a 'b' \"c\" $(touch hacked) % ü"])
def test_scripts_pass_shellcheck(world, monkeypatch, place):
  (world / place).mkdir()
  model_dir = f"--gin.MODEL_DIR={str(world / place / 'run')!r}"
  assert (
    slurm_world.launch(model_dir, "--go", "--nodes=2", "--gpus_per_node=8") == 0
  )
  folder = world / place / "run/launch"
  for name in ("several.sbatch", "one.sbatch", "submit.sh"):
    launching.shellcheck(folder / name, "--exclude=SC2016")
  assert not list(world.rglob("hacked"))
  several, one = (folder / f"{x}.sbatch" for x in ("several", "one"))
  assert "#SBATCH --ntasks-per-node=8\n" in several.read_text()
  assert "#SBATCH --nodes=1\n#SBATCH --ntasks-per-node=1\n" in one.read_text()
  call = (world / "submitted").read_text().split("\n\n")[3].split("\n")
  log = f"{folder}/rm_en-%j.log".replace("% ", "%% ")
  assert f"--output={log}" in call


def test_a_job_runs_its_cell(world, monkeypatch):
  """The sbatch file, with a srun that only starts one process."""
  python = world / "python"
  text = f'shift 2\nexec "{sys.executable}" "{slurm_world.FAKE}" "$@"\n'
  launching.program(world, "python", text)
  launching.program(world / "bin", "srun", 'shift 2\nexec "$@"\n')
  monkeypatch.setenv("FAKE_LOG", str(world / "log"))
  assert slurm_world.launch(f"--python={python}", "--go") == 0
  run = lambda name, cell: subprocess.run(
    ["bash", world / "run/launch" / name, cell],
    env={**os.environ, "SLURM_JOB_ID": "17"},
    capture_output=True,
    text=True,
  )
  done = run("several.sbatch", "sft_de")
  assert done.returncode == 0, done.stderr
  states = study_plan.StudyPlan.of(
    slurm_world.loaded()
  ).states  # of the study as it was written
  assert states["sft_de"] is study_state.CellState.EXISTS
  assert (world / "log").read_text() == "sft_de\n"
