"""The same jobs as the demo on real text, with few steps: does the road hold?

SFT on debsum (en, es) with one vocabulary trained from both, a reward model on
real SEAHORSE ratings from the English SFT model, best-of-8 of the Spanish
policy, chrF and ROUGE-L, records and report. Reads $XLRM_REAL_DATA.
"""

import argparse
from collections.abc import Sequence
import os
import pathlib
import sys

from xlrm.config import gin_jobs
from xlrm.storage import files
from xlrm.text import tokenizer
from xlrm.text import vocabulary_texts

VOCABULARY_SIZE = 4096
LANGUAGES = ("en", "es")


def _run(gin_file: str, **macros) -> None:
  bindings = [f"{name} = {value!r}" for name, value in macros.items()]
  gin_jobs.load([gin_file], bindings).run()


def run(output: str) -> pathlib.Path:
  """Runs every stage; returns the report.

  Raises:
    ValueError: XLRM_REAL_DATA is not set.
  """
  data = os.environ.get("XLRM_REAL_DATA")
  if not data:
    raise ValueError("set XLRM_REAL_DATA to the folder of real text")
  folder = files.local(output)
  pieces = folder / "spiece.model"
  if not pieces.exists():
    names = [f"{data}/debsum/{x}.train.jsonl.gz" for x in LANGUAGES]
    texts = vocabulary_texts.sentences(names, ["document", "summary"])
    tokenizer.train_vocabulary(
      (text for number, text in enumerate(texts) if number % 4 < 2),
      VOCABULARY_SIZE,
      pieces,
    )
  for language in LANGUAGES:
    _run(
      "experiments/realtext/sft.gin",
      VOCABULARY=str(pieces),
      MIXTURE_OR_TASK_NAME=f"debsum_summary.{language}",
      MODEL_DIR=str(folder / f"sft_{language}"),
    )
  _run(
    "experiments/realtext/reward.gin",
    MODEL_DIR=str(folder / "rm_en"),
    INITIAL_CHECKPOINT_PATH=str(folder / "sft_en"),
  )
  _run(
    "experiments/realtext/best_of_n.gin",
    MODEL_DIR=str(folder / "best_of_n_es"),
    POLICY=str(folder / "sft_es"),
    REWARDS={"en": str(folder / "rm_en")},
  )
  _run(
    "evaluate.gin",
    MODEL_DIR=str(folder),
    RUNS=[str(folder / "best_of_n_es")],
    TRAINING={
      "SFT en": str(folder / "sft_en"),
      "SFT es": str(folder / "sft_es"),
      "reward model en": str(folder / "rm_en"),
    },
    TITLE="xlrm on real text: English ratings, Spanish outputs",
  )
  return folder / "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument("--output", default="xlrm_realtext")


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  run(options.output)
  return 0


if __name__ == "__main__":
  from xlrm.launch import main as command

  sys.exit(command.main(["realtext", *sys.argv[1:]]))
