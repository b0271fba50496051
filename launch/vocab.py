"""Trains a sentencepiece vocabulary from text.

  xlrm vocab --input='data/*.jsonl.gz' --field=document --field=summary \\
    --size=8000 --output=spiece.model

  xlrm vocab --miniworld --output=spiece.model

Input is text, one sentence per line, or JSONL with --field. --miniworld makes
the vocabulary of the shipped nano model again: its text, size and language
tags. Padding is id 0, EOS 1, unknown 2, as in T5.
"""

import argparse
from collections.abc import Sequence


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
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
  """Parses the options; a contradiction among them ends the command."""
  options = parser.parse_args(arguments)
  if options.miniworld == bool(options.input):
    parser.error("give either --input or --miniworld")
  if options.input and options.size is None:
    parser.error("--size is missing: the number of pieces, such as 8000")
  return options


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  from xlrm.text import tokenizer
  from xlrm.text import vocabulary_texts

  if options.miniworld:
    found = vocabulary_texts.miniworld()
  else:
    texts = vocabulary_texts.sentences(options.input, options.field)
    found = vocabulary_texts.VocabularyTexts(texts, options.size)
  size = options.size or found.size
  tokenizer.train_vocabulary(
    found.texts,
    size,
    options.output,
    model_type=options.model_type,
    byte_fallback=options.byte_fallback,
    user_defined_symbols=options.symbol or found.symbols,
  )
  print(f"wrote {options.output} ({size} pieces)")
  return 0
