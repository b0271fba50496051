"""Best-of-n for the prompts of a file.

  xlrm best_of_n --policy=runs/sft_es --reward=en=runs/rm_en \\
    --input=prompts.jsonl --output=runs/bon_es -n 64

Draws n samples per prompt and lets each reward model choose. Writes into the
folder --output: records.jsonl (the chosen texts, one baseline sample and the
greedy output), pools.jsonl (all samples and scores) and best_of_k.csv (what
every k <= n is worth). --reward may be repeated, each as NAME=PATH; for an
ensemble give several paths with commas. Killed, the same line continues. The
job is best_of_n_file.gin.
"""

import argparse
from collections.abc import Sequence
import os

from xlrm.launch import process_options
from xlrm.launch import run
from xlrm.launch import sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument("--policy", required=True, help="the language model")
  parser.add_argument(
    "--reward",
    action="append",
    required=True,
    metavar="NAME=PATH",
    help="a reward model; repeatable",
  )
  parser.add_argument("--output", required=True, help="folder to write")
  parser.add_argument(
    "-n", "--num_samples", type=int, default=16, help="samples per prompt"
  )
  parser.add_argument(
    "--soft_scale", type=float, help="lambda of soft best-of-n; default none"
  )
  parser.add_argument(
    "--alpaca_eval", action="store_true", help="write AlpacaEval's format, too"
  )
  parser.add_argument(
    "--batch_size", type=int, default=64, help="responses under way together"
  )
  sample.add_prompt_arguments(parser)


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def rewards(values: Sequence[str]) -> dict[str, str | list[str]]:
  """['en=runs/rm_en', 'both=a,b'] -> {'en': 'runs/rm_en', 'both': ['a', 'b']}

  A value without a name is named by the last part of its path.
  """
  found: dict[str, str | list[str]] = {}
  for value in values:
    name, separator, path = value.partition("=")
    if not separator:
      name, path = os.path.basename(value.rstrip("/")), value
    if not name or not path:
      raise ValueError(f"--reward={value}: NAME=PATH was expected")
    if name in found:
      raise ValueError(f"--reward={value}: {name!r} is given twice")
    paths = path.split(",")
    found[name] = paths if len(paths) > 1 else path
  return found


def bindings(options: argparse.Namespace) -> list[str]:
  """What the options mean in best_of_n_file.gin."""
  return [
    *sample.prompt_bindings(options),
    f"POLICY = {options.policy!r}",
    f"MODEL_DIR = {options.output!r}",
    f"REWARDS = {rewards(options.reward)!r}",
    f"NUM_SAMPLES = {options.num_samples!r}",
    f"SOFT_SCALE = {options.soft_scale!r}",
    f"ALPACA_EVAL = {options.alpaca_eval!r}",
  ]


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.config import gin_jobs

  job = gin_jobs.load(["best_of_n_file.gin"], bindings(options))
  process_options.start(options)
  run.carry_out(job, options.dry_run)
  process_options.finish()
  return 0
