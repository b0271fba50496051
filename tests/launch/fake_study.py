"""The `xlrm` command with jobs that only leave what real ones leave.

  python fake_study.py study --gin_file=...

The shipped gin files are read; what they configure comes to `Job`. Each job
checks that its inputs are complete, and adds a line to $FAKE_LOG. $FAKE_FAIL
and $FAKE_KILL are folders: there a job raises, or its process is killed.
"""

import functools
import os
import pathlib
import signal
import sys

from xlrm.config import gin_targets
from xlrm.launch import main
from xlrm.launch.studies import study_plan

JUDGED = "verdicts.jsonl"
TRAINED = "checkpoint_3/manifest.json"


def anything(**options):
  return options


def _needed(options) -> list[str]:
  """Files that must be there before the job runs."""
  models = [options.get(x) for x in ("policy", "heldout")]
  models += [(options.get("initial") or {}).get("path")]
  rewards = options.get("rewards") or {}
  models += [rewards] if isinstance(rewards, str) else list(rewards.values())
  models += list((options.get("training") or {}).values())
  runs = [f"{x}/records.jsonl" for x in options.get("runs", ())]
  models = [x for x in models if x and x != "nano"]
  verdicts = [f"{x}/{JUDGED}" for x in options.get("verdicts", ())]
  swept = [f"{x}/report.html" for x, _ in options.get("swept", ())[1:]]
  return [*(f"{x}/{TRAINED}" for x in models), *runs, *verdicts, *swept]


def job(product, **options):
  output = pathlib.Path(options.get("output", ""))  # of a prompted judge
  folder = pathlib.Path(options.get("model_dir", output.parent))
  for path in _needed(options):
    assert pathlib.Path(path).exists(), f"{folder} has begun without {path}"
  with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(f"{folder.name}\n")
  if folder.name == os.environ.get("FAKE_FAIL"):
    raise ValueError("the disk is full")
  if folder.name == os.environ.get("FAKE_BUG"):
    raise RuntimeError("a bug")
  (folder / product).parent.mkdir(parents=True, exist_ok=True)
  (folder / "begun").touch()
  if folder.name == os.environ.get("FAKE_KILL"):
    os.kill(os.getpid(), signal.SIGKILL)
  (folder / product).write_text("done")


def _job(product):
  class Fake:
    """A job that takes any options."""

    def __init__(self, **options):
      self.run = functools.partial(job, product, **options)

  # gin asks the class what it is.
  Fake.run = Fake.plan = lambda self: None
  return Fake


JOBS = {
  "sft.train": _job(TRAINED),
  "reward.train": _job(TRAINED),
  "ppo.train": _job(TRAINED),
  "best_of_n.run": _job("records.jsonl"),
  "outputs.run": _job("records.jsonl"),
  "diagnose.run": _job("accuracy.json"),
  "judge.run": _job(JUDGED),
  "evaluate.run": _job("report.html"),
}

if __name__ == "__main__":
  target = gin_targets.target
  gin_targets.target = lambda name: (
    target(name) if name == "Study" else JOBS.get(name, anything)
  )
  study_plan.check_tasks = lambda plan: None  # imports SeqIO
  sys.exit(main.main(sys.argv[1:]))
