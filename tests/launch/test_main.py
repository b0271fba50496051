"""The command line: help without weight, mistakes in one message."""

import subprocess
import sys

import pytest

from xlrm.launch import main

MAIN = [sys.executable, "-m", "xlrm.launch.main"]


def refused(capsys, *arguments) -> str:
  """The one message of a command that must fail with exit code 2."""
  try:
    code = main.main(arguments)
  except SystemExit as stop:  # argparse
    code = stop.code
  assert code == 2
  message = capsys.readouterr().err
  assert "Traceback" not in message
  return message


def test_help_loads_neither_jax_nor_tensorflow():
  code = (
    "import sys, xlrm.launch.main as m; m.main(['--help'])\n"
    "try: m.main(['run', '--help'])\n"
    "except SystemExit: pass\n"
    "assert not {'jax', 'tensorflow', 'seqio', 'gin'} & set(sys.modules)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, timeout=20
  )
  assert done.returncode == 0, done.stderr
  assert "usage: xlrm COMMAND" in done.stdout


def test_a_misspelt_command_names_the_nearest(capsys):
  assert "did you mean 'demo'" in refused(capsys, "dmo")


def test_a_reader_that_leaves_is_no_error():
  env = subprocess.Popen(
    [*MAIN, "env"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
  )
  env.stdout.close()
  _, errors = env.communicate(timeout=60)
  assert b"Broken pipe" not in errors and b"Exception" not in errors


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (("run", "--gin_file=stf.gin"), "nearest: sft.gin"),
    (("run", "--gin_file=sft.gin"), "--gin.MODEL_DIR=..."),
    (("run", "--gin_file=sft.gin", "--gin.TRIAN_STEPS=1"), "TRAIN_STEPS"),
    (("run", "--gin_file=sft.gin", "--gin.TRAIN_STEPS"), "--gin.NAME=VALUE"),
    (("vocab", "--output=x"), "--input or --miniworld"),
    (("vocab", "--input=no-such", "--size=50", "--output=x"), "no-such"),
    (("vocab", "--input=x", "--output=y"), "--size is missing"),
    (("bench", "train", "--size=smal"), "small"),
  ],
)
def test_g28_mistakes_are_one_message_and_write_nothing(
  arguments, said, capsys, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  assert said in refused(capsys, *arguments)
  assert not list(tmp_path.iterdir())


def test_a_bucket_is_no_folder(capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  place = "--gin.MODEL_DIR='gs://my-bucket/sft'"
  assert "xlrm launch" in refused(capsys, *SFT, NAMED, place)
  assert not list(tmp_path.iterdir())


SFT = ("run", "--gin_file=sft.gin")
NAMED = "--gin.MIXTURE_OR_TASK_NAME='miniworld_summary.es'"


@pytest.mark.parametrize(
  ("bindings", "said"),
  [
    (["--gin.MIXTURE_OR_TASK_NAME='miniworld_summary.se'"], "nearest"),
    ([NAMED, "--gin.MIXTURE_OR_TASK_MODULE='xlrm.tasks.minworld'"], "minworld"),
    ([NAMED, "--gin.INITIAL_CHECKPOINT_PATH='nnao'"], "nnao"),
    ([NAMED, "--gin.BATCH_SIZE=0"], "batch_size"),
    ([NAMED, "--gin.BATCH_SIZE=10**9"], "10**9"),
    (
      [NAMED, "--gin.MeshConfig.data=3", "--gin.sft.train.mesh=@MeshConfig()"],
      "3",
    ),
  ],
)
def test_g28_a_job_that_cannot_begin_leaves_nothing(
  bindings, said, capsys, tmp_path
):
  folder = tmp_path / "run"
  place = f"--gin.MODEL_DIR={str(folder)!r}"
  assert said in refused(capsys, *SFT, place, *bindings)
  assert not folder.exists()
