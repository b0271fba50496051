"""`xlrm study`: order, resumption, failures, locks, and what a dry run writes.

The jobs are those of fake_study.py, in a process of their own.
"""

import pathlib
import shutil

import pytest
import study_commands

from xlrm.config import gin_files
from xlrm.launch import main
from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_runner
from xlrm.studies import report_cells

ORDER = ["sft_en", "sft_de", "sft_es", "rm_en", "rm_de", "rm_es"]
ORDER += ["best_of_n_es", "ppo_es_by_en", "ppo_es_by_en_outputs"]
ORDER += ["diagnosis", "run"]  # the report stands in the study's folder


@pytest.fixture
def command(tmp_path):
  return study_commands.Command(tmp_path)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
  """A study that was killed while a job ran, and started again."""
  made = study_commands.Command(tmp_path_factory.mktemp("complete"))
  made.killed = made(FAKE_KILL="rm_de")
  made.before = made.ran
  made.states_between = made.states()
  made.continued = made()
  made.after = made.ran
  return made


@pytest.fixture
def finished(complete, tmp_path):
  """The same, free to be changed."""
  shutil.copytree(complete.run_dir, tmp_path / "run")
  return study_commands.Command(tmp_path)


def test_a_killed_study_continues_where_it_was(complete):
  assert complete.killed.returncode == -9
  assert complete.before == ORDER[:5]
  between = complete.states_between
  assert between["sft_en"] == between["rm_en"] == "exists"
  assert (between["rm_de"], between["rm_es"]) == ("begun", "missing")
  assert complete.continued.returncode == 0, complete.continued.stderr
  assert complete.after == ORDER[4:]
  said = complete.continued.stdout.splitlines()
  assert "[4/11] reward model en: exists" in said
  assert "[6/11] reward model es" in said
  assert said[-1] == str(complete.run_dir / "report.html")


def test_a_complete_study_runs_nothing_and_its_saved_file_is_it(finished):
  saved = finished.run_dir / study_runner.SAVED
  # The folder was moved, too: where it stands makes no difference.
  done = finished()
  assert done.returncode == 0, done.stderr
  assert finished.ran == []
  again = study_plan.Loaded.of([str(saved)])
  assert again.study == finished.loaded().study


def test_a_dry_run_writes_nothing(command, finished, capsys, monkeypatch):
  monkeypatch.setattr(study_plan, "check_tasks", lambda plan: None)
  line = ["study", f"--gin_file={command.gin_file}", "--dry_run"]
  before = sorted(command.folder.rglob("*"))
  assert main.main([*line, f"--gin.MODEL_DIR={str(command.run_dir)!r}"]) == 0
  assert main.main([*line, "--gin.MODEL_DIR='nowhere'"]) == 0
  assert sorted(command.folder.rglob("*")) == before
  assert not pathlib.Path("nowhere").exists()
  there, nowhere = capsys.readouterr().out.split("nowhere: ")
  assert "11 cells, 11 exist" in there and "0 training steps" in there
  # 3 SFT of 100 steps, 3 reward models of 200, PPO of 200; 5 prompts with 16
  # samples and 2 baselines, 200 batches of 32, 5 outputs.
  steps = 3 * 100 + 3 * 200 + 200
  texts = 5 * 18 + 200 * 32 + 5
  assert f"{steps:,} training steps, {texts:,} texts drawn" in nowhere


def test_a_failed_cell_stops_those_that_need_it_and_no_others(command):
  done = command(FAKE_FAIL="rm_de", FAKE_BUG="sft_en")
  assert done.returncode == 1
  assert command.ran == ["sft_en", "sft_de", "sft_es", "rm_de", "rm_es"]
  assert "[5/11] reward model de: FAILED: the disk is full" in done.stdout
  assert "[1/11] SFT en: FAILED: RuntimeError: a bug" in done.stdout
  assert "[4/11] reward model en: not run, it needs sft_en" in done.stdout
  assert "8 of 11 cells are not done" in done.stdout
  # What never began is not there.
  assert not (command.run_dir / "rm_de").exists()
  assert command().returncode == 0
  assert sorted(command.ran) == sorted(
    set(ORDER) - {"sft_de", "sft_es", "rm_es"}
  )


def test_a_report_takes_the_judges_that_are_done(finished):
  judges = "--gin.Study.judges={'j': {'MODEL': 'm'}}"
  done = finished(judges, FAKE_FAIL="judge_j_ppo")
  assert done.returncode == 1
  assert "judge j of ppo: FAILED: the disk is full" in done.stdout
  # The report is made all the same, and again when there is more to show.
  assert finished.ran == ["judge_j_best_of_n", "judge_j_ppo", "run"]
  binding = judges.removeprefix("--gin.").replace("=", " = ", 1)
  assert finished.states(binding)["report"] == "exists"
  done = finished(judges)
  assert done.returncode == 0, done.stderr
  assert finished.ran == ["judge_j_ppo", "run"]
  assert finished(judges).returncode == 0 and finished.ran == []


def test_the_report_of_the_first_values_compares_all(finished):
  betas = "--gin.Study.kl_coefficients=(0.1, 0.2, 0.4)"
  shutil.rmtree(finished.run_dir / "ppo_es_by_en")  # had its gin file's beta
  done = finished(betas, FAKE_FAIL="ppo_es_by_en_kl0.4")
  assert done.returncode == 1
  # What failed is left out.
  assert finished.ran[-2:] == ["report_kl0.2", "run"]
  done = finished(betas)
  assert done.returncode == 0, done.stderr
  assert finished.ran[-2:] == ["report_kl0.4", "run"]


def test_one_more_seed_trains_that_seed_only(finished):
  done = finished("--gin.SEEDS=(0, 1)")
  assert done.returncode == 0, done.stderr
  added = [f"{name}_seed1" for name in ORDER[:-3]]
  assert finished.ran == [
    *added,
    "ppo_es_by_en_seed1_outputs",
    "diagnosis_seed1",
    "run",  # the report is made again, of both seeds
  ]


def test_training_with_other_settings_is_refused(finished):
  settings = "--gin.Study.settings={'sft': {'TRAIN_STEPS': 7}}"
  done = finished(settings)
  assert done.returncode == 2 and finished.ran == []
  # What is trained from another SFT model is another reward model.
  assert "7 cells were trained as something else" in done.stderr
  assert "sft_de: TRAIN_STEPS not set, now 7" in done.stderr
  for name in ORDER[:6] + ["ppo_es_by_en"]:
    shutil.rmtree(finished.run_dir / name)
  done = finished(settings)
  assert done.returncode == 0, done.stderr
  assert finished.ran == ORDER


def test_a_changed_gin_file_is_noticed_and_a_comment_is_not(finished):
  path = finished.folder / "sft.gin"  # beside the study: found first
  shipped = gin_files.gin_directory() / "sft.gin"
  path.write_text("# mine\n" + shipped.read_text())
  given = f"Study.jobs = {{'sft': {str(path)!r}}}"
  assert set(finished.states(given).values()) == {"exists"}
  path.write_text(shipped.read_text().replace("1e-3", "1e-4"))
  states = finished.states(given)
  assert {states[x] for x in ORDER[:-1]} == {"changed"}


def test_only_some_cells(command):
  done = command("--only=sft_*", "--only=rm_es")
  assert done.returncode == 0, done.stderr
  assert command.ran == ["sft_en", "sft_de", "sft_es", "rm_es"]
  done = command("--only=best_of_n_es")
  assert done.returncode == 2 and command.ran == []
  assert "best-of-n es needs rm_en, which is missing" in done.stderr
  done = command("--only=rm_fr")
  assert done.returncode == 2 and "the cells are sft_en, sft_de" in done.stderr


def test_more_answers_of_people_make_the_report_anew(finished):
  people = finished.folder / "people"
  people.mkdir()
  (people / report_cells.VERDICTS).write_text("one")
  given = f"Study.verdicts = ({str(people)!r},)"
  assert finished(f"--gin.{given.replace(' = ', '=')}").returncode == 0
  assert finished.ran == ["run"]
  assert finished.states(given)["report"] == "exists"
  (people / report_cells.VERDICTS).write_text("two")
  assert finished.states(given)["report"] == "changed"
  (people / "key.json").touch()  # now it is a folder of `xlrm annotate`
  (people / "answers.sqlite").write_text("one")  # the same as at first
  assert finished.states(given)["report"] == "exists"


@pytest.mark.parametrize(
  ("binding", "said"),
  [
    ("Study.jobs = {'sft': 'stf.gin'}", "SFT en: no gin file .*nearest: sft"),
    (
      "Study.settings = {'reward': {'TRIAN_STEPS': 1}}",
      "reward model en: .*did you mean TRAIN_STEPS",
    ),
    ("Study.sorces = ('en',)", "nearest: sources"),
    ("Study.sources = 'en'", "sources 'en': a list is expected"),
  ],
)
def test_g28_mistakes_are_found_before_anything_is_run(command, binding, said):
  with pytest.raises(ValueError, match=said):
    study_runner.run(command.loaded(binding))
  assert not command.run_dir.exists()


def test_g28_a_source_without_a_reward_task_is_named(command):
  binding = "Study.sources = ('en', 'fr')"
  with pytest.raises(ValueError, match="SFT fr: no task .*summary.fr'; near"):
    study_runner.run(command.loaded(binding))
  assert not command.run_dir.exists()


def test_a_job_is_no_study_and_a_study_no_job(command, capsys):
  folder = f"--gin.MODEL_DIR={str(command.run_dir)!r}"
  assert main.main(["run", f"--gin_file={command.gin_file}", folder]) == 2
  assert "xlrm study --gin_file" in capsys.readouterr().err
  assert main.main(["study", "--gin_file=score.gin"]) == 2
  given = ["--gin.REWARDS='x'", "--gin.INPUT='x'", "--gin.OUTPUT='x'"]
  assert main.main(["study", "--gin_file=score.gin", *given]) == 2
  assert "a job is for `xlrm run`" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("name", "pairs", "languages", "steps"),
  [("summarization", 36, 6, 3000), ("dialogue", 9, 3, 2500)],
)
def test_the_papers_studies(
  name, pairs, languages, steps, capsys, tmp_path, monkeypatch
):
  """SFT and reward models per language, all pairs, two judged methods."""
  monkeypatch.chdir(tmp_path)
  gin_file = f"experiments/paper/{name}.gin"
  macros = ["--gin.MODEL_DIR='runs/x'", "--gin.BASE='models/mt5_xl'"]
  options = ["study", f"--gin_file={gin_file}", "--dry_run", *macros]
  assert main.main(options) == 0
  said = capsys.readouterr().out
  count = 3 * languages + 2 * pairs + 1 + 1 + 2
  assert f"runs/x: {count} cells, 0 exist" in said
  assert said.count(f"missing  {steps} steps of 32 texts") == pairs
  assert said.count("1000 prompts x 66 texts") == languages
  assert not list(tmp_path.iterdir())
