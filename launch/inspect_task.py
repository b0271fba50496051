"""Looks at a task before training: rows as the model reads them, lengths and
truncation, tokens per word and unknown tokens per language, label balance,
agreement of duplicates.

  xlrm inspect seahorse_rating --tokenizer=nano --inputs=8 --targets=64
  xlrm inspect my_task.en --module=my_tasks.py --html=my_task.html
"""

import argparse
from collections.abc import Sequence
import importlib.util


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument("task", help="name of a task or mixture")
  parser.add_argument(
    "--module", help="module or .py that registers it; looked up in xlrm.tasks"
  )
  parser.add_argument(
    "--tokenizer", default="nano", help="model directory, or spiece.model"
  )
  parser.add_argument("--inputs", type=int, default=1024, help="tokens")
  parser.add_argument("--targets", type=int, default=512, help="tokens")
  parser.add_argument("--split", default="train")
  parser.add_argument("--rows", type=int, default=3, help="rows shown")
  parser.add_argument(
    "--max_rows", type=int, default=2000, help="rows tokenized per language"
  )
  parser.add_argument("--html", help="write one page, too")


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """Parses the options; a contradiction among them ends the command."""
  return parser.parse_args(arguments)


def _module(options: argparse.Namespace) -> str | None:
  """The given one, or that of xlrm.tasks whose name the task begins with."""
  if options.module:
    return options.module
  name = f"xlrm.tasks.{options.task.partition('.')[0].partition('_')[0]}"
  return name if importlib.util.find_spec(name) else None


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.analysis.reports import inspection_page
  from xlrm.checkpoints import pretrained
  from xlrm.data import inspection
  from xlrm.data import seqio_source
  from xlrm.storage import files
  from xlrm.text import tokenizer as tokenizer_lib

  if options.tokenizer.endswith(".model"):
    tokenizer = tokenizer_lib.Tokenizer.load(options.tokenizer)
  else:
    tokenizer = pretrained.load_tokenizer(options.tokenizer)
  made = seqio_source.SeqioSource(
    options.task,
    {"inputs": options.inputs, "targets": options.targets},
    batch_size=1,
    tokenizer=tokenizer,
    module=_module(options),
  )
  parts = inspection.inspect(
    made,
    options.split,
    num_samples=options.rows,
    max_rows=options.max_rows,
  )
  title = f"{options.task}, {options.split}"
  print(inspection_page.text(title, parts), flush=True)
  if options.html:
    page = inspection_page.render(title, options.tokenizer, parts)
    files.write_text(options.html, page)
    print(f"page: {options.html}")
  return 0
