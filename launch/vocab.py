"""Trains a sentencepiece vocabulary from text.

  xlrm vocab --input='data/*.jsonl.gz' --field=document --field=summary \\
    --size=8000 --output=spiece.model

  xlrm vocab --miniworld --output=spiece.model

Input is text, one sentence per line, or JSONL with --field. --miniworld makes
the vocabulary of the shipped nano model again: its text, size and language
tags. Padding is id 0, EOS 1, unknown 2, as in T5.
"""

import argparse
from collections.abc import Iterator, Sequence

MINIWORLD_SIZE = 1568  # with 32 sentinels 1,600 rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
  parser.add_argument(
    "--input", action="append", default=[], help="file or glob; repeatable"
  )
  parser.add_argument(
    "--miniworld", action="store_true", help="read no --input"
  )
  parser.add_argument(
    "--field", action="append", default=[], help="of JSONL rows; repeatable"
  )
  parser.add_argument("--size", type=int, help="pieces")
  parser.add_argument("--output", required=True, help="file to write")
  parser.add_argument("--model_type", default="bpe", help="bpe or unigram")
  parser.add_argument("--byte_fallback", action="store_true")
  parser.add_argument(
    "--symbol", action="append", default=[], help="kept whole; repeatable"
  )


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  options = parser.parse_args(arguments)
  if options.miniworld == bool(options.input):
    parser.error("give either --input or --miniworld")
  if options.input and options.size is None:
    parser.error("--size is missing: the number of pieces, such as 8000")
  return options


def sentences(patterns: Sequence[str], fields: Sequence[str]) -> Iterator[str]:
  """Texts of the files, in the order of their names.

  Raises:
    FileNotFoundError: a pattern matches nothing.
    ValueError: broken JSON or a missing field, with file and line.
  """
  from xlrm.storage import files
  from xlrm.storage import row_files

  for path in (x for pattern in patterns for x in files.expand(pattern)):
    if not fields:
      yield from (line.strip() for _, line in row_files.lines(path))
      continue
    for place, row in row_files.read(path):
      yield from (row_files.text(place, row, field) for field in fields)


def main(options: argparse.Namespace) -> int:
  from xlrm.miniworld import pretraining
  from xlrm.miniworld import world_rows
  from xlrm.text import tokenizer

  texts = sentences(options.input, options.field)
  size, symbols = options.size, options.symbol
  if options.miniworld:
    texts = pretraining.corpus()
    size = size or MINIWORLD_SIZE
    symbols = symbols or list(world_rows.LANGUAGE_TAGS.values())
  tokenizer.train_vocabulary(
    texts,
    size,
    options.output,
    model_type=options.model_type,
    byte_fallback=options.byte_fallback,
    user_defined_symbols=symbols,
  )
  print(f"wrote {options.output} ({size} pieces)")
  return 0
