"""Writes a report as one page and as files of every table and figure in it.

  xlrm report --paper --output=paper_report

--paper is the report of the paper's own numbers (arXiv 2404.12318, tables 1 to
25, shipped with xlrm): what it says beside what its tables give.
"""

import argparse
from collections.abc import Sequence
import os
import pathlib


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument(
    "--paper", action="store_true", help="the paper's own numbers"
  )
  parser.add_argument("--output", help="folder that is written")


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  options = parser.parse_args(arguments)
  if not options.paper:
    parser.error(
      "which report? --paper is that of the paper's own numbers; `xlrm run "
      "--gin_file=evaluate.gin` writes that of your records"
    )
  if not options.output:
    parser.error("--output is missing: the folder that is written")
  if os.path.exists(options.output) and not os.path.isdir(options.output):
    parser.error(f"--output={options.output} is a file; name a folder")
  return options


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.analysis.exhibits import exhibit
  from xlrm.paper import paper_page

  try:
    content = paper_page.files()
  except ImportError as error:  # matplotlib, with what installs it
    raise ValueError(str(error)) from error
  exhibit.write(options.output, content)
  print(
    f"{len(content)} files, {pathlib.Path(options.output, paper_page.PAGE)}"
  )
  return 0
