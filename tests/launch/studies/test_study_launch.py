"""`xlrm study --launcher=...`: what is submitted, in which order, and again.

sbatch and squeue are stand-ins that keep what they are told in files.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

import fake_study
import launching
import pytest
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
from xlrm.studies import study_cell

FAKE = pathlib.Path(fake_study.__file__)
STUDY = """
MODEL_DIR = 'run'
JOB = @Study
Study:
  model_dir = %MODEL_DIR
  sources = ('en', 'de')
  targets = ('es',)
  sft_task = 'miniworld_summary.{language}'
  reward_task = 'miniworld_rating.{language}'
  methods = ('best_of_n', 'ppo')
  ppo_pairs = (('en', 'es'),)
  max_prompts = 5
  jobs = {'sft': 'my_sft.gin'}
"""
LINE = ["study", "--gin_file=mine/study.gin"]
# Answers with the next number; refuses what $REFUSED names.
SBATCH = r"""
[[ "${!#}" != "${REFUSED:-}" ]] || { echo "queue is full" >&2; exit 1; }
printf '%s\n' "$@" "" >> "$WORLD/submitted"
number=$(($(cat "$WORLD/number" 2>/dev/null || echo 100) + 1))
echo "$number" > "$WORLD/number"
echo "$number;cluster"
"""


@pytest.fixture
def world(tmp_path, monkeypatch) -> pathlib.Path:
  """A folder with a study in mine/, and SLURM's commands before all others."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(study_plan, "check_tasks", lambda plan: None)
  (tmp_path / "mine").mkdir()
  (tmp_path / "mine/study.gin").write_text(STUDY)
  # What only an included file may do: options of an optimizer that is not used.
  text = "include 'sft.gin'\nTRAIN_STEPS = 7  # mine\n"
  text += "sft.train.optimizer = @adamw()\n"
  (tmp_path / "mine/my_sft.gin").write_text(text)
  programs = tmp_path / "bin"
  programs.mkdir()
  launching.program(programs, "sbatch", SBATCH)
  launching.program(programs, "squeue", 'cat "$WORLD/queue" 2>/dev/null\n:\n')
  launching.program(programs, "scancel", 'echo "$@" >> "$WORLD/cancelled"\n')
  monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
  monkeypatch.setenv("WORLD", str(tmp_path))
  return tmp_path


def loaded(*bindings: str, gin_file="mine/study.gin") -> study_plan.Loaded:
  folder = str(pathlib.Path(gin_file).parent)
  return study_plan.Loaded.of([gin_file], bindings, [folder])


def submitted(world: pathlib.Path) -> dict[str, set[str]]:
  """Cell -> cells that its job waits for, as sbatch was told; forgets it."""
  path = world / "submitted"
  calls = path.read_text().split("\n\n")[:-1] if path.exists() else []
  path.unlink(missing_ok=True)
  known = dict(
    line.split() for line in (world / "run/launch/jobs.txt").open()
  )  # number -> cell
  found = {}
  for call in calls:
    *options, script, cell = call.split("\n")
    after = [x for x in options if x.startswith("--dependency=")]
    numbers = re.findall(r"\d+", after[0]) if after else []
    assert ("--kill-on-invalid-dep=yes" in options) == bool(after)
    assert f"--job-name=run-{cell}" in options
    one = cell.startswith(("judge", "report"))
    assert script == ("one.sbatch" if one else "several.sbatch")
    found[cell] = {known[x] for x in numbers}
  return found


def complete(cell: study_cell.StudyCell, identity: str) -> None:
  study_state.write_mark(cell, identity, done=True)
  product = study_state.PRODUCTS[cell.kind].replace("*", "7")
  (cell.folder / product).parent.mkdir(exist_ok=True)
  (cell.folder / product).touch()


def launch(*options: str) -> int:
  return main.main([*LINE, "--launcher=slurm", *options])


def needs(plan: study_plan.Plan, missing: set[str]) -> dict[str, set[str]]:
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
  plan = study_plan.Plan.of(loaded())
  assert launch() == 0
  printed = capsys.readouterr().out
  assert "run: 11 cells, 0 exist" in printed and "--go does it" in printed
  assert not (world / "run").exists() and not (world / "submitted").exists()

  assert launch("--go") == 0
  told = submitted(world)
  assert told == needs(plan, {x.name for x in plan.cells})
  assert list(told) == [x.name for x in plan.cells]
  for path in (world / "run/launch").iterdir():
    assert path.name == "jobs.txt" or path.read_text().strip() in printed

  for cell in plan.cells[:4]:  # three SFT models and a reward model
    complete(cell, plan.identities[cell.name])
  assert launch("--go") == 0
  assert submitted(world) == needs(plan, {x.name for x in plan.cells[4:]})
  assert launch("--go", "--only=rm_*", "--only=sft_en") == 0
  assert submitted(world) == {"rm_de": set(), "rm_es": set()}
  for cell in plan.cells:
    complete(cell, plan.identities[cell.name])
  capsys.readouterr()
  assert launch("--go") == 0 and not submitted(world)
  assert "All cells are complete." in capsys.readouterr().out


def test_a_report_waits_for_judges_however_they_end(world):
  judges = {"gpt": {"MODEL": "x"}}
  judged = f"--gin.Study.judges={judges}"
  names = {"judge_gpt_best_of_n", "judge_gpt_ppo"}
  assert launch("--go", judged) == 0
  call = (world / "submitted").read_text().split("\n\n")[-2].split("\n")
  assert call[-1] == "report"
  (after,) = (x for x in call if x.startswith("--dependency="))
  kinds = dict(x.split(":", 1) for x in after.split("=")[1].split(","))
  jobs = (world / "run/launch/jobs.txt").read_text().splitlines()
  cells = dict(x.split() for x in jobs)  # number -> cell
  assert {cells[x] for x in kinds["afterany"].split(":")} == names
  assert not names & {cells[x] for x in kinds["afterok"].split(":")}
  submitted(world)

  plan = study_plan.Plan.of(loaded(f"Study.judges = {judges}"))
  for cell in plan.cells:
    if cell.kind != "judge":
      complete(*plan.present(cell))
  # The report is complete, and will be another one with the judges.
  assert launch("--go", judged) == 0
  assert submitted(world) == {**{x: set() for x in names}, "report": names}


def test_a_submission_that_failed_is_continued(world, monkeypatch, capfd):
  monkeypatch.setenv("REFUSED", "rm_de")
  assert launch("--go") == 1
  said = capfd.readouterr().err
  assert "queue is full" in said and "sbatch refused rm_de" in said
  assert "4 jobs submitted" in said and "scancel 101 102 103 104" in said
  assert list(submitted(world)) == ["sft_en", "sft_de", "sft_es", "rm_en"]

  monkeypatch.delenv("REFUSED")
  (world / "queue").write_text("101 None\n103 Priority\n104 Dependency\n")
  script = shlex.quote(str(world / "run/launch/submit.sh"))
  assert script in said
  assert os.system(f"bash {script}") == 0  # sft_de has left the queue
  told = submitted(world)
  assert list(told)[:3] == ["sft_de", "rm_de", "rm_es"] and len(told) == 8
  assert told["rm_de"] == {"sft_de"} and "rm_en" in told["best_of_n_es"]
  assert "rm_en: job 104 is queued or running" in capfd.readouterr().out
  assert not (world / "cancelled").exists()


def test_jobs_that_wait_for_one_that_failed_are_submitted_again(world):
  assert launch("--go") == 0
  names = [x.name for x in study_plan.Plan.of(loaded()).cells]
  submitted(world)
  # SFT and rm_en run; rm_de, the fifth, has failed, and SLURM has not yet
  # noticed it for all that wait for it.
  reasons = ["None"] * 4 + [None, "Priority", "DependencyNeverSatisfied"]
  reasons += ["Dependency"] * 4
  lines = [f"{i} {x}\n" for i, x in enumerate(reasons, 101) if x]
  (world / "queue").write_text("".join(lines))
  assert launch("--go") == 0
  told = submitted(world)
  assert list(told) == ["rm_de", *names[6:]]
  assert {"rm_de", "rm_en"} <= told["best_of_n_es"]
  cancelled = (world / "cancelled").read_text().split()
  assert cancelled == ["107", "108", "109", "110", "111"]


@pytest.mark.parametrize("place", ["plain", "a 'b' \"c\" $(touch hacked) % ü"])
def test_scripts_pass_shellcheck(world, monkeypatch, place):
  (world / place).mkdir()
  model_dir = f"--gin.MODEL_DIR={str(world / place / 'run')!r}"
  assert launch(model_dir, "--go", "--nodes=2", "--gpus_per_node=8") == 0
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
  text = f'shift 2\nexec "{sys.executable}" "{FAKE}" "$@"\n'
  launching.program(world, "python", text)
  launching.program(world / "bin", "srun", 'shift 2\nexec "$@"\n')
  monkeypatch.setenv("FAKE_LOG", str(world / "log"))
  assert launch(f"--python={python}", "--go") == 0
  run = lambda name, cell: subprocess.run(
    ["bash", world / "run/launch" / name, cell],
    env={**os.environ, "SLURM_JOB_ID": "17"},
    capture_output=True,
    text=True,
  )
  done = run("several.sbatch", "sft_de")
  assert done.returncode == 0, done.stderr
  states = study_plan.Plan.of(loaded()).states  # of the study as it was written
  assert states["sft_de"] is study_state.State.EXISTS
  assert (world / "log").read_text() == "sft_de\n"


def test_a_study_travels_as_the_same_study(world):
  given = loaded("Study.seeds = (0, 1)")
  plan = study_plan.Plan.of(given)
  text, files = study_launch.travelling(given, plan)
  away = world / "away"
  away.mkdir()
  for name, content in {launch_plan.CONFIG: text, **files}.items():
    (away / name).write_text(content)
  (world / "mine/my_sft.gin").unlink()
  again = study_plan.Plan.of(loaded(gin_file="away/config.gin"))
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
  line = [*LINE, model_dir, base, "--only=sft_*"]
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
  line = [*LINE, *options]
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
  plan = study_plan.Plan.of(loaded())
  complete(plan.cells[0], "another")
  assert launch("--go") == 2
  assert "trained as something else" in capsys.readouterr().err
  assert not (world / "submitted").exists()


def fake(*options: str, **environment: str) -> subprocess.Popen:
  return subprocess.Popen(
    [sys.executable, str(FAKE), *LINE, *options],
    env={**os.environ, "FAKE_LOG": "log", **environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def test_a_cell_waits_for_what_it_needs_and_for_who_runs_it(world):
  plan = study_plan.Plan.of(loaded())
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
  job = launch_plan.job("run", "", command=LINE[:1])
  told = launch_local.plan(options, job).commands
  fail = {"FAKE_LOG": str(world / "log"), "FAKE_BUG": "rm_de"}
  commands = [
    launch_plan.Command(
      (sys.executable, str(FAKE), *LINE), {**x.environment, **fail}
    )
    for x in told
  ]
  assert launch_local.run_together(commands) == 1
  said = capfd.readouterr().out
  assert said.count("FAILED: RuntimeError: a bug") == 2  # at once, in the end
  assert "best-of-n es: not run, it needs rm_de" in said
  ran = ["sft_en", "sft_de", "sft_es", "rm_en", "rm_de", "rm_es"]
  assert (world / "log").read_text().split() == sorted(2 * ran, key=ran.index)
  states = study_plan.Plan.of(loaded()).states
  assert [x for x in states if states[x] is study_state.State.EXISTS] == [
    x for x in ran if x != "rm_de"
  ]
