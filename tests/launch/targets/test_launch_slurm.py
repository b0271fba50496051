"""SLURM: what is refused, the script, and how a job is started."""

import os
import subprocess

import launching
import pytest

from xlrm.launch.targets import launch_slurm


@pytest.mark.parametrize("hostile", [False, True])
def test_slurm_script_passes_shellcheck(tmp_path, monkeypatch, hostile):
  folder = tmp_path / (launching.HOSTILE if hostile else "plain")
  folder.mkdir()
  monkeypatch.chdir(folder)
  plan = launching.plan(
    launch_slurm,
    folder / "rm_en",
    "--nodes=2",
    "--gpus_per_node=8",
    "--time=1-00:00:00",
    f"--sbatch=--comment={launching.HOSTILE if hostile else 'a'}",
  )
  script = tmp_path / "job.sbatch"
  script.write_text(plan.files[launch_slurm.SCRIPT], encoding="utf-8")
  launching.shellcheck(script, *launching.QUOTED[hostile])


def test_a_slurm_job_is_started_as_it_was_written(tmp_path, monkeypatch):
  """srun is given the gin file's path, whatever it is called; a job that says
  that it saved is queued again, one that failed is not."""
  folder = tmp_path / launching.HOSTILE
  folder.mkdir()
  monkeypatch.chdir(folder)
  plan = launching.plan(launch_slurm, folder / "rm")
  plan.write()
  bin_folder = tmp_path / "bin"
  bin_folder.mkdir()
  log = tmp_path / "log"
  note = f"printf '%s\\n' \"$@\" >> '{log}'"
  launching.program(bin_folder, "srun", f'{note}\nexit "$CODE"\n')
  launching.program(
    bin_folder, "scontrol", f"echo scontrol >> '{log}'\n{note}\n"
  )
  path = f"{bin_folder}:{os.environ['PATH']}"
  for code in (0, 3, 75):
    log.write_text("")
    environment = {"PATH": path, "SLURM_JOB_ID": "17", "CODE": str(code)}
    done = subprocess.run(
      ["bash", str(plan.folder / launch_slurm.SCRIPT)],
      env={**os.environ, **environment},
      capture_output=True,
      text=True,
      timeout=60,
    )
    assert done.returncode == code, done.stderr
    said = log.read_text(encoding="utf-8").splitlines()
    assert f"--gin_file={folder}/rm/launch/config.gin" in said
    queued = said[-3:] == ["scontrol", "requeue", "17"]
    assert queued == (code == 75)
  assert not list(tmp_path.rglob("hacked"))


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (["--time=tomorrow"], "24:00:00"),
    (["--time=1:00:00\n#SBATCH --x"], "24:00:00"),
    (["--nodes=0"], "--nodes=0"),
    (["--gpus_per_node=-1"], "must be at least 0"),
    (["--sbatch=partition=gpu"], "--sbatch=--partition=gpu"),
    (["--sbatch=--comment=a\n#SBATCH --wrap=x"], "in one line"),
    (["--python=/no/python"], "no program here"),
  ],
)
def test_slurm_names_what_is_wrong(arguments, said, tmp_path):
  assert said in launching.refused(launch_slurm, tmp_path / "rm", *arguments)
