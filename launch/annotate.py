"""Blind judgments by people: two outputs per prompt, in a local web page.

  xlrm annotate RECORDS --method=best_of_n --source=en --baseline=sample \\
    --language=es --annotators=ana,ben --items=100 --output=DIR
  xlrm annotate export DIR --output=tasks.csv     for an outside platform
  xlrm annotate import DIR answers.csv
  xlrm annotate verdicts DIR --output=verdicts.jsonl

The first begins a study, or resumes it, prints a link per annotator, and serves
until Ctrl-C. Every answer is on disk before the page shows the next item. The
others may run meanwhile. See docs/annotation.md.
"""

import argparse
from collections.abc import Sequence
import pathlib
import sys

ACTIONS = ("export", "import", "verdicts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the command's options to its parser."""
  parser.add_argument(
    "records", metavar="RECORDS", help=".jsonl or .jsonl.gz, e.g. of a report"
  )
  parser.add_argument("--output", required=True, help="folder of the study")
  parser.add_argument(
    "--language", required=True, help="target language: outputs and page"
  )
  parser.add_argument(
    "--annotators", required=True, help="names, separated by commas"
  )
  parser.add_argument("--method", default="best_of_n", help="whose outputs win")
  parser.add_argument(
    "--source", default="", help="language of the method's reward model"
  )
  parser.add_argument("--baseline", default="sample", help="against whose")
  parser.add_argument(
    "--kind", default="summary", help="what is judged: summary or dialogue"
  )
  parser.add_argument("--items", type=int, default=100, help="prompts")
  parser.add_argument(
    "--overlap",
    type=int,
    help="how many of them all annotators judge, the others are divided; "
    "default all",
  )
  parser.add_argument(
    "--attention", type=float, default=0.1, help="attention checks per pair"
  )
  parser.add_argument(
    "--no_ties", action="store_true", help="one of the two must be better"
  )
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument(
    "--instructions", help="text file in place of our instructions"
  )
  parser.add_argument(
    "--host", default="127.0.0.1", help="another one lets the network in"
  )
  parser.add_argument("--port", type=int, default=8760, help="0: a free one")


def parse(
  parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> argparse.Namespace:
  """A first word of ACTIONS has arguments of its own."""
  if arguments and arguments[0] in ACTIONS:
    return _action_parser(arguments[0]).parse_args(arguments[1:])
  options = parser.parse_args(arguments)
  options.action = "serve"
  return options


def _action_parser(action: str) -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(prog=f"xlrm annotate {action}")
  parser.set_defaults(action=action)
  parser.add_argument("directory", metavar="DIR", help="folder of the study")
  if action == "import":
    parser.add_argument("answers", metavar="ANSWERS.csv")
  else:
    kind = ".csv" if action == "export" else ".jsonl"
    parser.add_argument("--output", required=True, help=f"{kind} to write")
  return parser


def main(options: argparse.Namespace) -> int:
  """Runs the command; returns its exit code."""
  if options.action == "serve":
    return _serve(options)
  from xlrm.storage import files

  directory = files.local(options.directory)
  return {"export": _export, "import": _import, "verdicts": _verdicts}[
    options.action
  ](directory, options)


def _export(directory: pathlib.Path, options: argparse.Namespace) -> int:
  from xlrm.annotation import annotation_study
  from xlrm.annotation import exchange

  with annotation_study.opened(directory) as store:
    tasks, answers = exchange.export(store, options.output)
  print(f"wrote {options.output}: {tasks} tasks, {answers} with an answer")
  return 0


def _import(directory: pathlib.Path, options: argparse.Namespace) -> int:
  from xlrm.annotation import annotation_study
  from xlrm.annotation import exchange

  with annotation_study.opened(directory) as store:
    answers = exchange.read(store, options.answers)
    new = store.add(answers)
  print(f"{options.answers}: {len(answers)} answers, {new} of them new")
  return 0


def _verdicts(directory: pathlib.Path, options: argparse.Namespace) -> int:
  from xlrm.annotation import people_verdicts

  found = people_verdicts.read(directory)
  found.write(options.output)
  print(found.text())
  print(f"wrote {options.output}: {len(found.verdicts)} verdicts")
  return 0


def _settings(options: argparse.Namespace):
  from xlrm.annotation import design

  instructions = ""
  if options.instructions:
    instructions = design.read_instructions(options.instructions)
  return design.Settings(
    method=options.method,
    source=options.source,
    baseline=options.baseline,
    language=options.language,
    kind=options.kind,
    items=options.items,
    overlap=options.overlap,
    attention=options.attention,
    ties=not options.no_ties,
    seed=options.seed,
    instructions=instructions,
  )


def _serve(options: argparse.Namespace) -> int:
  from xlrm.annotation import annotation_page
  from xlrm.annotation import annotation_study
  from xlrm.annotation import pairs as pairs_lib
  from xlrm.storage import files

  directory = files.local(options.output)
  settings = _settings(options)
  annotators = [x.strip() for x in options.annotators.split(",") if x.strip()]
  pairs = annotation_study.read_pairs(options.records, settings)
  language = annotation_page.language_of(settings.language)
  if language != settings.language:
    print(
      f"the page has no words in {settings.language!r}: it is in {language!r}"
    )
  with annotation_study.locked(directory):
    if annotation_study.begun(directory):
      annotation_study.resume(directory, pairs, settings, annotators)
    else:
      annotation_study.begin(directory, pairs, settings, annotators, language)
    different = sum(not pairs_lib.look_alike(pair) for pair in pairs)
    print(
      f"{min(settings.items, different)} items of {len(pairs)} prompts, "
      f"{len(pairs) - different} of which have identical outputs"
    )
    with annotation_study.opened(directory) as store:
      _serve_until_interrupted(store, options.host, options.port)
  return 0


def _serve_until_interrupted(store, host: str, port: int) -> None:
  from xlrm.annotation import server as server_lib

  try:
    server = server_lib.Server(store, host, port)
  except OSError as error:
    raise ValueError(
      f"--host={host} --port={port}: {error.strerror}; --port=0 takes a free "
      "one"
    ) from error
  if not server_lib.is_loopback(host):
    print(
      f"warning: --host={host} lets the network in: whoever learns a link can "
      "read the texts and answer, and http is not encrypted",
      file=sys.stderr,
    )
  with server:
    for name in store.tokens:
      state = store.state(name)
      print(f"{name}: {state.done} of {state.total} done, {server.link(name)}")
    print("Ctrl-C ends this; the same command continues.", flush=True)
    server.serve_forever()
