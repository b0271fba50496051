"""`xlrm study --launcher=...`: what is submitted, in which order, and again.

sbatch and squeue are stand-ins that keep what they are told in files.
"""

import json
import os
import subprocess
import sys
import time

import launching
import pytest
import slurm_world
import yaml

from xlrm.config import gin_jobs
from xlrm.launch import main
from xlrm.launch import study
from xlrm.launch.studies import study_launch
from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_state
from xlrm.launch.targets import launch_local
from xlrm.launch.targets import launch_plan
from xlrm.launch.targets import target_choice


def test_a_study_travels_as_the_same_study(world):
  given = slurm_world.loaded("Study.seeds = (0, 1)")
  plan = study_plan.StudyPlan.of(given)
  text, files = study_launch.travelling(given, plan)
  away = world / "away"
  away.mkdir()
  for name, content in {launch_plan.CONFIG: text, **files}.items():
    (away / name).write_text(content)
  (world / "mine/my_sft.gin").unlink()
  again = study_plan.StudyPlan.of(
    slurm_world.loaded(gin_file="away/config.gin")
  )
  assert again.identities == plan.identities
  assert again.macros == plan.macros
  assert again.study.seeds == (0, 1)
  cell = again.cells[0]
  job = gin_jobs.load([cell.gin_file], cell.bindings, ["away"])
  assert "TRAIN_STEPS = 7" in job.text()
  # study.gin, which a run leaves beside launch/, finds the jobs, too.
  options = study.argparse.Namespace(
    gin_file=["run/study.gin"], gin_search_paths=""
  )
  (world / "run/launch").mkdir(parents=True)
  assert study.search_paths(options) == ["run", "run/launch"]


TPU = ["--accelerator_type=v4-8", "--project=my-p", "--zone=us-central2-b"]


def test_on_a_pod_all_processes_run_the_whole_study(world, monkeypatch, capsys):
  (world / "xlrm-1-py3-none-any.whl").touch()
  model_dir = "--gin.MODEL_DIR='gs://my-bucket/betas'"
  base = "--gin.Study.base='gs://my-bucket/mt5'"
  line = [*slurm_world.LINE, model_dir, base, "--only=sft_*"]
  wheel = "--wheel=xlrm-1-py3-none-any.whl"
  monkeypatch.setattr(launch_plan, "run", lambda plan: 0)
  for target, options in (
    ("tpu", [*TPU, wheel]),
    ("kubernetes", ["--image=x", "--tpu=v6e", "--topology=4x4"]),
  ):
    monkeypatch.setattr(target_choice.module_of(target), "go", lambda plan: 0)
    assert main.main([*line, f"--launcher={target}", *options, "--go"]) == 0
  assert "gs:/" not in {x.name for x in world.iterdir()}
  folder = world / "xlrm_launch/betas"
  worker = (folder / "worker.sh").read_text()
  assert "COMMAND=(study '--only=sft_*' --gin_file=config.gin)\n" in worker
  gin = (folder / "config.gin").read_text()
  assert "'/gcs/my-bucket/mt5'" in gin and "gs://" not in gin
  tpu = (folder / "tpu.sh").read_text()
  listed = next(x for x in tpu.splitlines() if x.startswith("GIN_FILES="))
  names = {x.name for x in folder.glob("*.gin")}
  assert len(names) == 8
  assert set(listed.removeprefix("GIN_FILES=(").rstrip(")").split()) == names
  for name in ("tpu.sh", "worker.sh"):
    launching.shellcheck(folder / name)
  settings, jobset = yaml.safe_load_all((folder / "jobset.yaml").read_text())
  assert settings["data"].keys() == names
  (inner,) = jobset["spec"]["replicatedJobs"]
  pod = inner["template"]["spec"]["template"]["spec"]
  said = ["xlrm", "study", "--only=sft_*", "--gin_file=/job/config.gin"]
  assert pod["containers"][0]["command"] == said


@pytest.mark.parametrize(
  ("options", "said"),
  [
    (["--launcher=slrum"], "did you mean 'slurm'"),
    (["--launcher=slurm", "--zone=x"], "--launcher=tpu, not of slurm"),
    (["--launcher=local", "--spot"], "--launcher=tpu or --launcher=kubernetes"),
    (["--go"], "--go is an option of --launcher=local or"),
    (["--nodes=2"], "--launcher=slurm or --launcher=kubernetes"),
    (["--launcher=slurm", "--nodse=2"], "unrecognized arguments: --nodse=2"),
    (["--launcher=slurm", "--nodes=0"], "--nodes=0 must be at least 1"),
    (["--launcher=slurm", "--only=rm_fr"], "the cells are sft_en, sft_de"),
    (["--launcher=slurm", "--only=rm_en"], "reward model en needs sft_en"),
    (["--launcher=slurm", "--process_id=1"], "--process_id is for a process"),
    (["--launcher=tpu"], "still to be said: --accelerator_type"),
    (["--launcher=slurm", "--gin.MODEL_DIR='gs://a/b'"], "folder that they"),
    (["--launcher=slurm", "--gin.Study.jobs={'sft': 'stf.gin'}"], "sft.gin"),
    (["--gin.MODEL_DIR='gs://a/b'"], "a study runs in a folder"),
  ],
)
def test_mistakes_submit_nothing(world, options, said, capsys):
  before = sorted(world.rglob("*"))
  line = [*slurm_world.LINE, *options]
  if any(x.startswith("--launcher") for x in options):
    line.append("--go")
  try:
    code = main.main(line)
  except SystemExit as stop:  # argparse
    code = stop.code
  assert code == 2
  assert said in capsys.readouterr().err
  assert sorted(world.rglob("*")) == before


def test_training_as_something_else_is_not_submitted(world, capsys):
  plan = study_plan.StudyPlan.of(slurm_world.loaded())
  slurm_world.complete(plan.cells[0], "another")
  assert slurm_world.launch("--go") == 2
  assert "trained as something else" in capsys.readouterr().err
  assert not (world / "submitted").exists()


def fake(*options: str, **environment: str) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, str(slurm_world.FAKE), *slurm_world.LINE, *options],
    env={**os.environ, "FAKE_LOG": "log", **environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def test_a_cell_waits_for_what_it_needs_and_for_who_runs_it(world):
  plan = study_plan.StudyPlan.of(slurm_world.loaded())
  cell = plan.cells[0]
  with study_state.cell_lock(cell):
    said, _ = fake("--only=sft_en").communicate(timeout=120)
    assert f"another process runs SFT en (process {os.getpid()} on" in said
    waiting = fake("--only=sft_en", "--wait_seconds=100")
    dependent = fake("--only=rm_en", "--wait_seconds=100")
    time.sleep(2)
    assert waiting.poll() is None and dependent.poll() is None
  for process in (waiting, dependent):
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
  assert (world / "log").read_text().split() == ["sft_en", "rm_en"]
  assert json.loads((cell.folder / study_state.MARK).read_text())["done"]


def test_two_processes_run_a_study_together(world, capfd):
  """Each cell in both; a cell that fails in both stops those that need it."""
  options = launching.options(launch_local, "--processes=2")
  job = launch_plan.job("run", "", command=slurm_world.LINE[:1])
  told = launch_local.plan(options, job).commands
  fail = {"FAKE_LOG": str(world / "log"), "FAKE_BUG": "rm_de"}
  commands = [
    launch_plan.Command(
      (sys.executable, str(slurm_world.FAKE), *slurm_world.LINE),
      {**x.environment, **fail},
    )
    for x in told
  ]
  assert launch_local.run_together(commands) == 1
  said = capfd.readouterr().out
  assert said.count("FAILED: RuntimeError: a bug") == 2  # at once, in the end
  assert "best-of-n es: not run, it needs rm_de" in said
  ran = ["sft_en", "sft_de", "sft_es", "rm_en", "rm_de", "rm_es"]
  assert (world / "log").read_text().split() == sorted(2 * ran, key=ran.index)
  states = study_plan.StudyPlan.of(slurm_world.loaded()).states
  assert [x for x in states if states[x] is study_state.CellState.EXISTS] == [
    x for x in ran if x != "rm_de"
  ]
