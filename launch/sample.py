"""Draws responses to the prompts of a file.

  xlrm sample --model=runs/sft_es --input=prompts.jsonl --output=out.jsonl -n 8

Input is JSON lines (or .jsonl.gz, .parquet) with a prompt per row, or a text
file with one per line; output is the same rows with `responses` and their
log-probabilities. Killed, the same line continues. The job is sample.gin.
"""

import argparse
from collections.abc import Sequence

from xlrm.launch import process_options
from xlrm.launch import run


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
  """Those that every command with a file of prompts has."""
  parser.add_argument("--input", required=True, help="file or glob of prompts")
  parser.add_argument("--prompt_field", default="prompt")
  parser.add_argument("--language", default="und", help="of rows without one")
  parser.add_argument(
    "--instruction", default="", help="put before each prompt for the policy"
  )
  parser.add_argument("--temperature", type=float, default=1.0)
  parser.add_argument("--top_k", type=int, default=0, help="0 is off")
  parser.add_argument("--top_p", type=float, default=1.0, help="1 is off")
  parser.add_argument(
    "--max_tokens", type=int, help="of a response; default: as trained"
  )
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--dry_run", action="store_true", help="print the plan")
  process_options.add_arguments(parser)


def prompt_bindings(options: argparse.Namespace) -> list[str]:
  """Macros of `add_prompt_arguments`."""
  names = "input prompt_field language instruction temperature top_k top_p "
  names += "max_tokens seed batch_size"
  return [
    f"{name.upper()} = {getattr(options, name)!r}" for name in names.split()
  ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument("--model", required=True, help="the policy")
  parser.add_argument("--output", required=True, help=".jsonl file to write")
  parser.add_argument(
    "-n", "--num_samples", type=int, default=1, help="responses per prompt"
  )
  parser.add_argument(
    "--greedy", action="store_true", help="the likeliest token at every step"
  )
  parser.add_argument(
    "--batch_size", type=int, default=32, help="responses under way together"
  )
  add_prompt_arguments(parser)


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def bindings(options: argparse.Namespace) -> list[str]:
  """What the options mean in sample.gin."""
  return [
    *prompt_bindings(options),
    f"POLICY = {options.model!r}",
    f"OUTPUT = {options.output!r}",
    f"NUM_SAMPLES = {options.num_samples!r}",
    f"GREEDY = {options.greedy!r}",
  ]


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.config import gin_jobs

  job = gin_jobs.load(["sample.gin"], bindings(options))
  process_options.start(options)
  run.carry_out(job, options.dry_run)
  process_options.finish()
  return 0
