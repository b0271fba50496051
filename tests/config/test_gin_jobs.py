"""G23: what gin takes in silence is an error here, with the nearest name."""

import pathlib
import subprocess
import sys

import pytest
import toy_jobs

from xlrm.config import gin_bindings
from xlrm.config import gin_checks
from xlrm.config import gin_files
from xlrm.config import gin_jobs
from xlrm.config import gin_statements
from xlrm.config import gin_targets

REQUIRED = ("MODEL_DIR = 'x'", "MIXTURE_OR_TASK_NAME = 'miniworld_summary.es'")
# Those under t5x/ are of T5X's trainer: they import modules and include T5X's
# own files.
SHIPPED = sorted(
  str(path.relative_to(gin_files.gin_directory()))
  for path in gin_files.gin_directory().rglob("*.gin")
  if path.parent.name != "t5x"
)


# A typo, and what is said of it; all but the last can be told from text.
TYPOS = {
  "TRIAN_STEPS = 3": "did you mean TRAIN_STEPS",
  "TrainCnfig.eval_period = 3": "nearest: TrainConfig",
  "vlaue/adafactor.decay_rate = 0.5": "nothing calls vlaue/adafactor",
  "TRAIN_STEPS = '1OO'": "a number, True or False is expected",
  "TRAIN_STEPS = [1": "command line:3: what is opened here is never closed",
  "TrainConfig.evl_period = 3": "nearest: eval_period",
}
WATCH = """
import sys, time
from xlrm import config
try:
  config.load(["sft.gin"], sys.argv[1:])
except config.ConfigError as error:
  print(error)
print(time.process_time())
print(sorted({"jax", "seqio", "tensorflow"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("typo", TYPOS)
def test_g23_a_typo_is_told_before_anything_is_imported(typo):
  done = subprocess.run(
    [sys.executable, "-c", WATCH, *REQUIRED, typo],
    capture_output=True,
    text=True,
    check=True,
  )
  *said, seconds, imported = done.stdout.splitlines()
  assert TYPOS[typo] in "\n".join(said)
  assert float(seconds) < 6
  # To know the parameters of TrainConfig takes JAX.
  assert imported == ("['jax']" if "evl" in typo else "[]")


def test_g23_what_is_still_to_be_set_is_listed():
  with pytest.raises(
    gin_statements.ConfigError,
    match=r"sft.gin: still to be set: MIXTURE_OR_TASK_NAME \(--gin.MIXT",
  ):
    gin_jobs.load(["sft.gin"], ["MODEL_DIR = 'x'"])


@pytest.mark.parametrize("name", SHIPPED)
def test_g23_every_shipped_gin_file_parses_and_its_saved_text_too(
  name, tmp_path
):
  sources = gin_files.with_includes(name, [gin_files.gin_directory()])
  unset = gin_checks.unset(sources)
  job = gin_jobs.load([name], [f"{macro} = 'x'" for macro in unset])
  saved = tmp_path / "config.gin"
  saved.write_text(job.text(), encoding="utf-8")
  again = gin_jobs.load([str(saved)])
  assert again.bindings == job.bindings
  assert again.text() == job.text()
  # It is whole: nothing that it calls has a default left.
  written = gin_bindings.Bindings.of(again.sources)
  for scope, called in written.reached.calls:
    given = written.given((scope, called))
    for parameter, default in gin_targets.parameters(called).items():
      assert parameter in given or default is gin_targets.NO_DEFAULT
  lines = (gin_files.gin_directory() / name).read_text(encoding="utf-8")
  assert len(lines.splitlines()) <= 60


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
    gin_statements.ConfigError, match="nothing calls adamw, so what"
  ):
    gin_jobs.load(["sft.gin"], [*REQUIRED, "adamw.learning_rate = 1e-3"])
  path = tmp_path / "mine.gin"
  path.write_text("include 'sft.gin'\nnew_language_model.seed = 3\n")
  with pytest.raises(
    gin_statements.ConfigError, match="mine.gin:2: nothing calls new"
  ):
    gin_jobs.load([str(path)], REQUIRED)
  # What an included file binds may lose its caller.
  path.write_text(
    "include 'sft.gin'\nsft.train.optimizer = @adamw()\n"
    "adamw.learning_rate = 1e-3\nLEARNING_RATE = 1.0\n"
  )
  gin_jobs.load([str(path)], [*REQUIRED, "MeshConfig.model = 2"])


def test_what_lost_its_caller_is_not_imported(tmp_path, monkeypatch):
  """So a file for a host without SeqIO may include one with it."""
  path = tmp_path / "mine.gin"
  path.write_text(
    "include 'sft.gin'\nsft.train.source = @npz_source()\n"
    "npz_source.path = 'x'\nnpz_source.batch_size = %BATCH_SIZE\n"
    "npz_source.lengths = %TASK_FEATURE_LENGTHS\n"
  )
  monkeypatch.setitem(sys.modules, "xlrm.data.seqio_source", None)
  job = gin_jobs.load([str(path)], REQUIRED[:1] + ("MIXTURE_OR_TASK_NAME='x'",))
  assert "SeqioSource" not in job.text()


def test_values_with_signs_in_them_reach_the_job(toy, tmp_path):
  folder = str(tmp_path / "me@uni.edu" / "50%OFF # 1")
  text = "MODEL_DIR = 'x'\ntoy.run.model_dir = %MODEL_DIR"
  job = toy(text, f"MODEL_DIR = {folder!r}")
  assert job.model_dir() == folder
  assert job.run()["model_dir"] == folder
  saved = pathlib.Path(folder, gin_jobs.SAVED)
  assert saved.read_text(encoding="utf-8") == job.text()
  again = gin_jobs.load([str(saved)], ["toy.run.title = 'again'"])
  assert again.run()["title"] == "again"


def test_a_dry_run_and_a_bucket_write_nothing(toy, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  text = "MODEL_DIR = 'runs/x'\ntoy.run.model_dir = %MODEL_DIR"
  assert toy(text).plan("v4-8") == "a toy's plan for v4-8"
  with pytest.raises(gin_statements.ConfigError, match="gcsfuse"):
    toy(text, "MODEL_DIR = 'gs://b/x'").run()
  assert [x.name for x in tmp_path.iterdir()] == ["toy.gin"]


def test_an_error_of_a_job_is_said_as_it_was(toys, tmp_path):
  path = tmp_path / "toy.gin"
  path.write_text("JOB = @toy.failing\ntoy.failing.source = @rate()\n")
  job = gin_jobs.load([str(path)], ["rate.base = 1.0"])
  with pytest.raises(gin_statements.ConfigError) as caught:
    job.run()
  assert str(caught.value) == "no such source 2.0"


def test_build_makes_the_object_that_job_names(toys, tmp_path):
  path = tmp_path / "toy.gin"
  path.write_text("JOB = @Inner\nInner.size = 4\n")
  job = gin_jobs.load([str(path)])
  assert job.build(toy_jobs.Inner) == toy_jobs.Inner(4)
  with pytest.raises(gin_statements.ConfigError, match="not @Outer"):
    job.build(toy_jobs.Outer)
  with pytest.raises(gin_statements.ConfigError, match="xlrm inner --gin_file"):
    job.run()


def test_an_import_that_fails_names_its_line(toys, tmp_path):
  path = tmp_path / "toy.gin"
  path.write_text("import json\nimport no.such\nJOB = @toy.run\n")
  with pytest.raises(
    gin_statements.ConfigError, match="toy.gin:2: import no.such: No module"
  ):
    gin_jobs.load([str(path)])


def test_macros_hold_what_they_are_set_to_in_the_end():
  texts = ["A = [%B, @f()]\nB = 1\nC = {'a': 1,\n  'b': %B}\n", "B = 2\n"]
  sources = [gin_statements.Source("x", text) for text in texts]
  reference = gin_statements.Reference((), "f", True)
  assert gin_jobs.macros(sources) == {
    "A": [2, reference],
    "B": 2,
    "C": {"a": 1, "b": 2},
  }


def test_read_is_in_the_order_of_force(tmp_path):
  path = tmp_path / "mine.gin"
  path.write_text("include 'sft.gin'\nTRAIN_STEPS = 3\n")
  sources = gin_jobs.read([str(path)], REQUIRED)
  names = [pathlib.Path(x.name).name for x in sources]
  assert names == ["sft.gin", "mine.gin", gin_jobs.COMMAND_LINE]
