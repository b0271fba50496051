"""Scores a file of prompts and responses with a reward model.

  xlrm score --model=runs/rm_en --input=rows.jsonl --output=scored.jsonl

Input is JSON lines (or .jsonl.gz, .parquet) with a prompt and a response, or a
list of responses, per row; output is the same rows with a score. Several
--model are an ensemble: --combine=mean, min, or mean-1sd (the mean minus one
standard deviation; any number). Killed, the same line continues. The job is
score.gin.
"""

import argparse
from collections.abc import Sequence
import re

from xlrm.launch import process_options
from xlrm.launch import run


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument(
    "--model", action="append", required=True, help="repeatable: an ensemble"
  )
  parser.add_argument("--input", required=True, help="file or glob")
  parser.add_argument("--output", required=True, help=".jsonl file to write")
  parser.add_argument("--prompt_field", default="prompt", help="'' for none")
  parser.add_argument("--response_field", default="response")
  parser.add_argument("--score_field", default="score")
  parser.add_argument("--batch_size", type=int, default=32)
  parser.add_argument("--combine", default="mean", help="mean, min, mean-1sd")
  parser.add_argument("--dry_run", action="store_true", help="check only")
  process_options.add_arguments(parser)


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  options = parser.parse_args(arguments)
  if _combiner(options.combine) is None:
    parser.error(
      f"--combine={options.combine}: expected mean, min, or mean-Ksd with a "
      "number K, such as mean-1sd"
    )
  return options


def _combiner(name: str) -> list[str] | None:
  """What `Ensemble.combine` is bound to."""
  deviations = re.fullmatch(r"mean-(\d+(?:\.\d+)?)sd", name)
  if deviations:
    return [
      "Ensemble.combine = @MeanMinusDeviations()",
      f"MeanMinusDeviations.k = {float(deviations[1])}",
    ]
  known = {"mean": "@mean_score", "min": "@min_score"}
  return [f"Ensemble.combine = {known[name]}"] if name in known else None


def bindings(options: argparse.Namespace) -> list[str]:
  """The gin bindings that the options mean."""
  macros = {
    "INPUT": options.input,
    "OUTPUT": options.output,
    "PROMPT_FIELD": options.prompt_field,
    "RESPONSE_FIELD": options.response_field,
    "SCORE_FIELD": options.score_field,
    "BATCH_SIZE": options.batch_size,
  }
  lines = [f"{name} = {value!r}" for name, value in macros.items()]
  if len(options.model) == 1:
    return [*lines, f"REWARDS = {options.model[0]!r}"]
  return [
    *lines,
    "REWARDS = @Ensemble()",
    f"Ensemble.paths = {options.model!r}",
    *_combiner(options.combine),
  ]


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.config import gin_jobs

  job = gin_jobs.load(["score.gin"], bindings(options))
  process_options.start(options)
  run.carry_out(job, options.dry_run)
  process_options.finish()
  return 0
