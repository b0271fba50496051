"""G23: what gin takes in silence is an error here, with the nearest name."""

import pathlib
import time

import pytest

from xlrm.config import gin_files
from xlrm.config import gin_jobs

REQUIRED = ("MODEL_DIR = 'x'", "MIXTURE_OR_TASK_NAME = 'miniworld_summary.es'")
# Those under t5x/ are of T5X's trainer: they import modules and include T5X's
# own files.
SHIPPED = sorted(
  str(path.relative_to(gin_jobs.gin_directory()))
  for path in gin_jobs.gin_directory().rglob("*.gin")
  if path.parent.name != "t5x"
)


def test_g23_a_macro_that_nothing_uses_names_the_nearest():
  with pytest.raises(gin_jobs.ConfigError, match="did you mean TRAIN_STEPS"):
    gin_jobs.load(["sft.gin"], [*REQUIRED, "TRIAN_STEPS = 3"])


def test_g23_an_unknown_configurable_names_the_nearest():
  with pytest.raises(gin_jobs.ConfigError, match="nearest: TrainConfig"):
    gin_jobs.load(["sft.gin"], [*REQUIRED, "TrainCnfig.eval_period = 3"])


def test_g23_an_unknown_parameter_names_the_nearest():
  started = time.process_time()
  with pytest.raises(gin_jobs.ConfigError, match="nearest: eval_period"):
    gin_jobs.load(["sft.gin"], [*REQUIRED, "TrainConfig.evl_period = 3"])
  assert time.process_time() - started < 15


def test_g23_what_is_still_to_be_set_is_listed():
  with pytest.raises(gin_jobs.ConfigError, match="MIXTURE_OR_TASK_NAME"):
    gin_jobs.load(["sft.gin"], ["MODEL_DIR = 'x'"])


def test_g23_a_file_of_t5x_s_trainer_is_refused():
  with pytest.raises(gin_jobs.ConfigError, match="for T5X's own trainer"):
    gin_jobs.load(["t5x/sft.gin"], REQUIRED)


def test_g23_an_include_below_a_binding_is_refused(tmp_path):
  path = tmp_path / "mine.gin"
  path.write_text("TRAIN_STEPS = 3\ninclude 'sft.gin'\n")
  with pytest.raises(
    gin_jobs.ConfigError, match="mine.gin:2: an include below"
  ):
    gin_jobs.load([str(path)])


def test_a_file_that_includes_itself_is_refused(tmp_path):
  path = tmp_path / "mine.gin"
  path.write_text(f"include '{path}'\n")
  with pytest.raises(gin_jobs.ConfigError, match="includes itself"):
    gin_jobs.load([str(path)])


def test_a_missing_file_names_the_nearest():
  with pytest.raises(FileNotFoundError, match="nearest: sft.gin"):
    gin_jobs.load(["stf.gin"])


@pytest.mark.parametrize("name", SHIPPED)
def test_g23_every_shipped_gin_file_parses_and_its_saved_text_too(
  name, tmp_path
):
  text = "\n".join(
    source.text
    for source in gin_files.with_includes(name, [gin_jobs.gin_directory()])
  )
  unset = gin_jobs._unset([gin_jobs.Source(name, text)])
  job = gin_jobs.load([name], [f"{macro} = 'x'" for macro in unset])
  saved = tmp_path / "config.gin"
  saved.write_text(job.text(), encoding="utf-8")
  assert gin_jobs.load([str(saved)]).text() == job.text()
  folder = pathlib.Path(gin_jobs.gin_directory())
  lines = (folder / name).read_text(encoding="utf-8").splitlines()
  assert len(lines) <= 60


def test_g28_a_job_that_never_began_leaves_nothing(tmp_path):
  folder = tmp_path / "run"
  bindings = [
    f"MODEL_DIR = {str(folder)!r}",
    "MIXTURE_OR_TASK_NAME = 'miniworld_summary.se'",
  ]
  job = gin_jobs.load(["sft.gin"], bindings)
  with pytest.raises(ValueError, match="nearest: miniworld_summary"):
    job.run()
  assert not folder.exists()


def test_g23_a_binding_that_nothing_calls_is_an_error(tmp_path):
  with pytest.raises(
    gin_jobs.ConfigError, match="nothing calls adamw, so what"
  ):
    gin_jobs.load(["sft.gin"], [*REQUIRED, "adamw.learning_rate = 1e-3"])
  path = tmp_path / "mine.gin"
  path.write_text("include 'sft.gin'\nnew_language_model.seed = 3\n")
  with pytest.raises(
    gin_jobs.ConfigError, match="mine.gin:2: nothing calls new"
  ):
    gin_jobs.load([str(path)], REQUIRED)
  # What an included file binds may lose its caller.
  path.write_text(
    "include 'sft.gin'\nsft.train.optimizer = @adamw()\n"
    "adamw.learning_rate = 1e-3\nLEARNING_RATE = 1.0\n"
  )
  gin_jobs.load([str(path)], [*REQUIRED, "MeshConfig.model = 2"])
