"""The `xlrm` command. Help and typos cost no import of JAX or TensorFlow."""

import argparse
from collections.abc import Sequence
import difflib
import importlib
import os
import signal
import sys

from xlrm.distributed import preemption
from xlrm.launch import process_options

COMMANDS = {
  "run": ("runs the job of a gin file", "xlrm.launch.run"),
  "study": ("runs what is missing of a study", "xlrm.launch.study"),
  "launch": ("a job on a pod, SLURM, Kubernetes", "xlrm.launch.launch"),
  "demo": ("the whole experiment on the embedded world", "xlrm.launch.demo"),
  "vocab": ("trains a sentencepiece vocabulary", "xlrm.launch.vocab"),
  "convert": ("T5X, Hugging Face, xlrm checkpoints", "xlrm.launch.convert"),
  "sample": ("responses to a file of prompts", "xlrm.launch.sample"),
  "best_of_n": ("the best of n responses, by file", "xlrm.launch.best_of_n"),
  "score": ("a reward model's scores of a file", "xlrm.launch.score"),
  "judge": ("a language model compares outputs", "xlrm.launch.judge"),
  "annotate": ("people compare outputs, blind", "xlrm.launch.annotate"),
  "inspect": ("looks at a task before training", "xlrm.launch.inspect_task"),
  "report": ("the paper's own numbers, recomputed", "xlrm.launch.report"),
  "env": ("versions and devices, for bug reports", "xlrm.launch.environment"),
  "realtext": ("the same jobs on real text", "xlrm.launch.realtext"),
  "bench": ("speed of training, sampling, scoring", "xlrm.launch.bench"),
}


def _overview() -> str:
  width = max(map(len, COMMANDS))
  lines = [f"  {name:<{width}}  {text}" for name, (text, _) in COMMANDS.items()]
  return "\n".join(
    [
      "usage: xlrm COMMAND ...",
      "",
      "Cross-lingual alignment by reward-model transfer.",
      "",
      *lines,
      "",
      "xlrm COMMAND --help tells more; --debug shows tracebacks.",
    ]
  )


def _cache_compilations() -> None:
  """JAX's persistent cache: the second run of a job compiles nothing."""
  folder = os.path.join(
    os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "xlrm"
  )
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs a command; 2 is a mistake of the user's, said in one message."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  debug = "--debug" in arguments
  if debug:
    arguments.remove("--debug")
  if not arguments or arguments[0] in ("-h", "--help", "help"):
    print(_overview())
    return 0
  if arguments[0] == "--version":
    import xlrm

    print(xlrm.__version__)
    return 0
  if arguments[0] not in COMMANDS:
    near = difflib.get_close_matches(arguments[0], COMMANDS, 1, 0.3)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    print(f"xlrm: no command {arguments[0]!r}{hint}", file=sys.stderr)
    return 2
  module = importlib.import_module(COMMANDS[arguments[0]][1])
  parser = argparse.ArgumentParser(
    prog=f"xlrm {arguments[0]}",
    description=module.__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  module.add_arguments(parser)
  options = module.parse(parser, arguments[1:])
  _cache_compilations()
  try:
    result = module.main(options) or 0
    sys.stdout.flush()
    return result
  except BrokenPipeError:  # the reader of our output has left: xlrm env | head
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
  except preemption.Preempted:
    # A scheduler ends the slower processes of a job once one has left.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise
  except (ValueError, OSError) as error:
    if debug:
      raise
    print(f"xlrm: {process_options.who()}{error}", file=sys.stderr)
    process_options.leave(2)
    return 2
  except KeyboardInterrupt:
    print("xlrm: interrupted; the same command continues", file=sys.stderr)
    process_options.leave(130)
    return 130


if __name__ == "__main__":
  sys.exit(main())
