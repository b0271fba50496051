"""`xlrm demo`: the whole experiment on the embedded world, in one process.

Sources en and de, targets es and ru: an SFT model and a reward model for each
of the four, best-of-16 for the four cross-lingual and the two monolingual
pairs, PPO for one of them, judged by the gold judge and by the target-language
reward model. It is the study of demo_study.gin: a stage that is complete is not
run again, so a killed demo continues.
"""

import argparse
from collections.abc import Sequence
import time

GIN_FILE = "demo_study.gin"
# Option -> its type, default, and the binding that it is.
OPTIONS = {
  "output": (str, "xlrm_demo", "MODEL_DIR = {!r}"),
  "seed": (int, 0, "Study.seeds = ({},)"),
  "prompts": (int, 400, "Study.max_prompts = {}"),
  "num_samples": (int, 16, "Study.num_samples = ({},)"),
  "temperature": (float, 1.0, "Study.temperatures = ({},)"),
}


def bindings(options: argparse.Namespace) -> list[str]:
  """The options as gin lines."""
  return [
    line.format(getattr(options, name))
    for name, (_, _, line) in OPTIONS.items()
  ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  for name, (kind, default, _) in OPTIONS.items():
    parser.add_argument(
      f"--{name}", type=kind, default=default, help=f"default {default}"
    )


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.launch.studies import study_plan
  from xlrm.launch.studies import study_runner

  started = time.monotonic()
  loaded = study_plan.Loaded.of([GIN_FILE], bindings(options))
  code = study_runner.run(loaded)
  minutes = (time.monotonic() - started) / 60
  opening = f" Open {options.output}/report.html in a browser."
  print(f"{minutes:.1f} minutes.{'' if code else opening}")
  return code
