"""Job: judges the records of best-of-n runs and writes the report.

The gold judge reads miniworld only; a target-language reward model judges from
the scores that the records already carry; ROUGE-L and chrF compare with the
reference. Writes `records.jsonl` with every score, `report.html`, and `tables/`
and `figures/` with all that the page shows.
"""

from collections.abc import Mapping, Sequence
import functools
import importlib.metadata
import pathlib
import platform

import numpy as np

from xlrm.analysis import pool_curves as pool_curves_lib
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis.reports import report
from xlrm.best_of_n import pools as pools_lib
from xlrm.checkpoints import model_files
from xlrm.distributed import processes
from xlrm.evaluation import accuracy_files
from xlrm.evaluation import judges as judges_lib
from xlrm.evaluation import language_id
from xlrm.evaluation import records as records_lib
from xlrm.jobs import best_of_n
from xlrm.jobs import diagnose
from xlrm.jobs import ppo_evaluation
from xlrm.jobs import verdict_sources
from xlrm.miniworld import gold as gold_lib
from xlrm.miniworld import identification
from xlrm.storage import files
from xlrm.training import metric_writer

CONFIG = "config.gin"
PACKAGES = ("xlrm", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint")


def versions() -> dict[str, str]:
  """Of Python and of the packages that make the numbers."""
  found = {"python": platform.python_version()}
  for name in PACKAGES:
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      found[name] = "unknown"
  return found


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


def read_panels(runs: Mapping[str, str]) -> dict[str, bytes]:
  """Label -> panel of the runs of PPO among them."""
  paths = {
    label: files.path(run) / ppo_evaluation.PANEL for label, run in runs.items()
  }
  return {
    label: files.read_bytes(path)
    for label, path in paths.items()
    if path.exists()
  }


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


def _judged(pool: pools_lib.Pool, judge: str) -> np.ndarray | None:
  """The judge's scores of all texts; None if it gave none."""
  if judge == "gold":
    judgments = (gold_lib.judge_example(pool.example_id, x) for x in pool.texts)
    return np.array([x.quality for x in judgments])
  scores = pool.scores.get(
    judge.replace(transfer_matrices.TARGET, pool.language)
  )
  return None if scores is None else np.asarray(scores)


def pool_curves(
  pools: Sequence[pools_lib.Pool],
  records: Sequence[records_lib.EvalRecord],
  judge: str,
) -> dict[tuple[str, str], list[pool_curves_lib.CurvePoint]]:
  """Win rate against n of every (source, target) whose pools were judged.

  Args:
    pools: of all runs.
    records: of the same runs; their pairs with an estimate of the KL divergence
      were drawn without top-k and top-p, so that the curve may have one, too.
    judge: "gold", or a reward model that scored the pools.
  """
  estimated = {(x.source, x.target) for x in records if "kl_estimate" in x.pool}
  by_pair: dict[tuple[str, str], list[pool_curves_lib.Pool]] = {}
  for pool in pools:
    judged = _judged(pool, judge)
    if judged is None:
      continue
    for name, scores in pool.scores.items():
      pair = (name.removeprefix("reward/"), pool.language)
      by_pair.setdefault(pair, []).append(
        pool_curves_lib.Pool(
          np.asarray(scores),
          judged,
          np.asarray(pool.logprobs) if pair in estimated else None,
        )
      )
  return {
    pair: pool_curves_lib.win_rate_curve(found)
    for pair, found in by_pair.items()
    if found[0].proxy.size > 1
  }


def _facts(
  records: Sequence[records_lib.EvalRecord], runs: Sequence[str]
) -> dict[str, str]:
  def listed(values) -> str:
    return ", ".join(sorted({str(x) for x in values if x != ""}))

  prompts = {(x.target, x.example_id) for x in records}
  pool = next((x.pool["n"] for x in records if x.pool), None)
  return {
    "reward models (sources)": listed(x.source for x in records),
    "policies (targets)": listed(x.target for x in records),
    "prompts": f"{len(prompts)} over all targets",
    "n of best-of-n": str(pool or "not run"),
    "tasks": listed(x.task for x in records),
    "seed": listed(x.seed for x in records),
    "runs": ", ".join(files.path(run).name for run in runs),
  }


def _swept(
  points: Sequence[tuple[str, Mapping[str, float]]],
) -> list[report_inputs.SweptPoint]:
  """The records that the reports of other values left, and their runs."""
  found = []
  for folder, values in points:
    records = records_lib.read(files.path(folder) / best_of_n.RECORDS)
    training = read_ppo_training(records)
    found.append(report_inputs.SweptPoint(values, records, training))
  return found


def _configs(directories: Sequence[str]) -> dict[str, str]:
  texts = {}
  for directory in directories:
    path = files.path(directory) / CONFIG
    if path.exists():
      texts[f"{path.parent.name}/{CONFIG}"] = files.read_text(path)
  return texts


def _base_history(records: Sequence[records_lib.EvalRecord]) -> list[str]:
  started = [x for x in records if x.method == "sample"] or records
  policies = sorted({x.policy for x in started})
  history = model_files.read_description(policies[0]).history
  return list(history[:-1] or history)  # the last stage made the policy


def run(
  *,
  runs: Sequence[str],
  model_dir: str,
  diagnosis: str | None = None,
  training: Mapping[str, str] | None = None,
  gold: bool = True,
  verdicts: Sequence[str] = (),
  swept: Sequence[tuple[str, Mapping[str, float]]] = (),
  title: str = "Reward models across languages",
  study_folder: str | None = None,
  notes: Sequence[str] = (),
  dry_run: bool | str = False,
) -> list[records_lib.EvalRecord]:
  """Judges and reports.

  Args:
    runs: directories of best-of-n runs and of outputs, of one study.
    model_dir: where the report goes.
    diagnosis: directory of a diagnosis; None leaves its part out.
    training: label to the directory of a training run, for its curves.
    gold: ask the gold judge; only for records of miniworld. Without it the
      target's own reward model judges the pools that it scored.
    verdicts: of prompted judges and of people, see `verdict_sources`.
    swept: folder of a report of this study, this one's among them, and the
      swept values that it is of.
    title: of the report.
    study_folder: of the study, whose name stands above the title; None: what
      the records say.
    notes: sentences that a reader must know.
    dry_run: print the plan, write nothing.

  Raises:
    ValueError: verdicts that are not on these records.
  """
  if dry_run:
    records = read_records(runs)
    verdict_sources.read(verdicts, records)
    print(f"report on {len(records)} records into {model_dir}")
    return []
  return processes.alone_on_first(
    functools.partial(
      _report,
      runs=runs,
      directory=files.local(model_dir),
      diagnosis=diagnosis,
      training=dict(training or {}),
      gold=gold,
      verdicts=verdicts,
      swept=swept,
      title=title,
      study_folder=study_folder,
      notes=notes,
    )
  )


def _report(
  *,
  runs: Sequence[str],
  directory: pathlib.Path,
  diagnosis: str | None,
  training: Mapping[str, str],
  gold: bool,
  verdicts: Sequence[str],
  swept: Sequence[tuple[str, Mapping[str, float]]],
  title: str,
  study_folder: str | None,
  notes: Sequence[str],
) -> list[records_lib.EvalRecord]:
  """See `run`: all of it is the work of one host."""
  records = read_records(runs)
  told, left_out = verdict_sources.read(verdicts, records)
  judges: list[judges_lib.Judge] = [
    judges_lib.RougeJudge(),
    judges_lib.ChrfJudge(),
  ]
  if gold:
    judges.append(judges_lib.GoldJudge())
  records = judges_lib.judged(records, judges)
  records_lib.write(directory / best_of_n.RECORDS, records)
  judge = "gold" if gold else f"reward/{transfer_matrices.TARGET}"
  accuracy = ()
  if diagnosis is not None:
    accuracy = accuracy_files.read(files.path(diagnosis) / diagnose.ACCURACY)
  inputs = report_inputs.ReportInputs(
    title=title,
    records=records,
    study=files.local(study_folder).resolve().name if study_folder else "",
    facts=_facts(records, runs),
    base_history=_base_history(records),
    accuracy=accuracy,
    pool_curves=pool_curves(read_pools(runs), records, judge),
    curve_judge=judge,
    training={
      label: metric_writer.read(files.path(path) / metric_writer.METRICS)
      for label, path in training.items()
    },
    panels=read_panels(training),
    ppo_training=read_ppo_training(records),
    configs=_configs([*training.values(), *runs]),
    versions=versions(),
    notes=[*notes, *left_out],
    verdicts=told,
    swept=_swept(swept),
    expectations=report_inputs.Expectations() if gold else None,
    identifier=identification.WordIdentifier()
    if gold
    else language_id.load(y for x in records for y in (x.language, x.source)),
  )
  content = report.write(directory, inputs)
  print(
    f"wrote {directory / report.PAGE} and, beside it, {len(content) - 1} files "
    "of its tables and figures: tables/, figures/",
    flush=True,
  )
  return records
