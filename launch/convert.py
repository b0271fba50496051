"""Converts checkpoints between T5X, Hugging Face and xlrm.

  xlrm convert google/mt5-small runs/mt5_small --to=t5x
  xlrm convert runs/sft_es exported --to=hf --dtype=bfloat16

What SRC holds is recognised from its files and printed. A T5X checkpoint has
no vocabulary of its own: name it with --vocabulary, or put spiece.model beside
it. DST appears when it is whole.
"""

import argparse
from collections.abc import Sequence
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument("source", metavar="SRC")
  parser.add_argument("destination", metavar="DST")
  parser.add_argument(
    "--to", required=True, choices=("t5x", "hf", "xlrm"), help="kind of DST"
  )
  parser.add_argument(
    "--dtype",
    choices=("float32", "bfloat16"),
    help="of the parameters; by default as in SRC",
  )
  parser.add_argument("--vocabulary", help="sentencepiece file")
  parser.add_argument(
    "--step",
    type=int,
    help="of a T5X checkpoint's name; by default that of SRC's training",
  )


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  import tqdm

  from xlrm.checkpoints import conversion
  from xlrm.checkpoints import model_files

  files = model_files.find(options.source, options.vocabulary)
  print(f"{options.source}: {conversion.summary(files)}", flush=True)
  total = sum(array.nbytes for array in files.read().values())
  with tqdm.tqdm(
    total=total,
    unit="B",
    unit_scale=True,
    disable=not sys.stderr.isatty(),
  ) as bar:
    written = conversion.convert(
      options.source,
      options.destination,
      options.to,
      dtype=options.dtype,
      vocabulary=options.vocabulary,
      step=options.step,
      progress=bar.update,
    )
  print(f"wrote {written}")
  return 0
