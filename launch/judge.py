"""Lets a language model judge the outputs of two methods, pair by pair.

  xlrm judge --records=runs/bon_es/records.jsonl --model=gpt-4o-mini \\
    --output=runs/judged/verdicts.jsonl --input_price=0.15 \\
    --output_price=0.6 --dry_run

--backend=openai is any server that speaks OpenAI's protocol (--base_url);
google is Gemini; local is a model directory of ours. Keys are read from the
environment: OPENAI_API_KEY, GOOGLE_API_KEY. Both orders of every pair are
asked, answers go to a cache at once, and the same line asks only what is
missing. --dry_run prices the job and asks nothing. The job is judge.gin.
"""

import argparse
from collections.abc import Sequence

from xlrm.launch import run

BACKENDS = {
  "openai": "OpenAIBackend",
  "google": "GoogleBackend",
  "local": "LocalBackend",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  add = parser.add_argument
  add(
    "--records", action="append", required=True, help="file or glob; repeatable"
  )
  add("--output", required=True, help=".jsonl file of verdicts to write")
  add("--model", required=True, help="as the backend calls it")
  add("--backend", choices=list(BACKENDS), default="openai")
  add("--base_url", help="of a server, such as http://localhost:8000/v1")
  add("--method", default="best_of_n", help="whose wins are counted")
  add("--baseline", default="sample", help="against whom")
  add(
    "--template",
    default="summarization/overall",
    help="summarization/overall, /accuracy, /coherence, /coverage, "
    "dialogue/overall, or a file of your own",
  )
  add("--cache", help="SQLite file; default: answers.sqlite beside --output")
  add("--max_invalid", type=float, default=0.1, help="share of a cell's pairs")
  add("--concurrency", type=int, default=8, help="requests under way together")
  add("--requests_per_minute", type=float)
  add("--tokens_per_minute", type=float)
  add("--timeout_seconds", type=float, default=60.0, help="of one request")
  add("--input_price", type=float, help="dollars per million tokens")
  add("--output_price", type=float, help="dollars per million tokens")
  add("--dry_run", action="store_true", help="price the job, ask nothing")


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  options = parser.parse_args(arguments)
  if options.backend == "local" and options.base_url:
    parser.error("--base_url is of a server; --backend=local has none")
  return options


def bindings(options: argparse.Namespace) -> list[str]:
  """What the options mean in judge.gin."""
  names = "records output model method baseline template cache base_url "
  names += "max_invalid concurrency requests_per_minute tokens_per_minute "
  names += "timeout_seconds input_price output_price"
  lines = [
    f"{name.upper()} = {getattr(options, name)!r}" for name in names.split()
  ]
  if options.backend == "openai":
    return lines
  backend = BACKENDS[options.backend]
  lines += [f"BACKEND = @{backend}()", f"{backend}.model = %MODEL"]
  if options.backend == "google":
    lines.append(f"{backend}.base_url = %BASE_URL")
    lines.append(f"{backend}.timeout_seconds = %TIMEOUT_SECONDS")
  return lines


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.config import gin_jobs

  job = gin_jobs.load(["judge.gin"], bindings(options))
  run.carry_out(job, options.dry_run)
  return 0
