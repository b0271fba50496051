"""Plans of `xlrm launch` without a job behind them."""

import argparse
import pathlib

from xlrm.launch import launch_plan

GIN = "MODEL_DIR = 'gs://my-bucket/rm_en'\nX = 'a\\'b $(c) \"d\"'\n"


def options(module, *arguments: str) -> argparse.Namespace:
  parser = argparse.ArgumentParser()
  module.add_arguments(parser)
  return parser.parse_args(arguments)


def job(model_dir: str | pathlib.Path, gin: str = GIN) -> launch_plan.Job:
  return launch_plan.job(str(model_dir), gin)


def plan(module, model_dir, *arguments: str) -> launch_plan.Plan:
  said = options(module, *arguments)
  module.check(said)
  return module.plan(said, job(model_dir))
