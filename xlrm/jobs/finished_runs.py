"""What finished runs left in their folders, as a report reads it."""

from collections.abc import Sequence

from xlrm.analysis import report_inputs
from xlrm.best_of_n import pools as pools_lib
from xlrm.checkpoints import model_files
from xlrm.evaluation import records as records_lib
from xlrm.jobs import best_of_n
from xlrm.storage import files
from xlrm.training import metric_writer

CONFIG = "config.gin"


def read_records(runs: Sequence[str]) -> list[records_lib.EvalRecord]:
  """The records of runs, in their order."""
  return [
    record
    for run_dir in runs
    for record in records_lib.read(
      files.path(run_dir) / best_of_n.RECORDS, records_lib.EvalRecord
    )
  ]


def read_pools(runs: Sequence[str]) -> list[pools_lib.Pool]:
  """The pools of the best-of-n runs among them."""
  paths = [files.path(run) / best_of_n.POOLS for run in runs]
  return [
    pool for path in paths if path.exists() for pool in pools_lib.read(path)
  ]


def read_ppo_training(
  records: Sequence[records_lib.EvalRecord],
) -> dict[str, report_inputs.History]:
  """Policy -> metrics of its run, of the policies after PPO whose run is still
  where the records say."""
  policies = sorted({x.policy for x in records if x.method == "ppo"})
  paths = {x: files.path(x) / metric_writer.METRICS for x in policies}
  return {
    policy: metric_writer.read(path)
    for policy, path in paths.items()
    if path.exists()
  }


def configs(directories: Sequence[str]) -> dict[str, str]:
  """'FOLDER/config.gin' -> the text, of the runs that have one."""
  texts = {}
  for directory in directories:
    path = files.path(directory) / CONFIG
    if path.exists():
      texts[f"{path.parent.name}/{CONFIG}"] = files.read_text(path)
  return texts


def base_history(records: Sequence[records_lib.EvalRecord]) -> list[str]:
  """What the base model had seen before, oldest first."""
  started = [x for x in records if x.method == "sample"] or records
  policies = sorted({x.policy for x in started})
  history = model_files.read_description(policies[0]).history
  return list(history[:-1] or history)  # the last stage made the policy
