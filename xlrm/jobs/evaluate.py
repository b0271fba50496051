"""Job: judges the records of best-of-n runs and writes the report.

The gold judge reads miniworld only; a target-language reward model judges from
the scores that the records already carry; ROUGE-L and chrF compare with the
reference. Writes `records.jsonl` with every score, `report.html`, and `tables/`
and `figures/` with all that the page shows.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

from xlrm.analysis import pool_curves as pool_curves_lib
from xlrm.analysis import report_inputs
from xlrm.analysis import transfer_matrices
from xlrm.analysis.reports import report
from xlrm.best_of_n import pools as pools_lib
from xlrm.distributed import machine
from xlrm.distributed import processes
from xlrm.evaluation import accuracy_files
from xlrm.evaluation import judges as judges_lib
from xlrm.evaluation import language_id
from xlrm.evaluation import records as records_lib
from xlrm.jobs import best_of_n
from xlrm.jobs import diagnose
from xlrm.jobs import finished_runs
from xlrm.jobs import job
from xlrm.jobs import ppo_evaluation
from xlrm.jobs import verdict_sources
from xlrm.storage import files
from xlrm.training import metric_writer

TARGETS_OWN = f"reward/{transfer_matrices.TARGET}"  # a judge, as records say
# That make the numbers of a report.
PACKAGES = ("xlrm", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint")


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


def _judged(
  pool: pools_lib.Pool, judge: judges_lib.Judge | None
) -> np.ndarray | None:
  """The judge's scores of all texts; None if it gave none."""
  if judge is not None:
    row = {
      "id": pool.example_id,
      "language": pool.language,
      "task": pool.task,
      "dataset": pool.dataset,
      "reward_inputs": pool.reward_inputs,
      "targets_pretokenized": pool.reference,
    }
    records = judges_lib.records_of([row] * len(pool.texts), pool.texts)
    return np.asarray(judge.scores(records))
  own = TARGETS_OWN.replace(transfer_matrices.TARGET, pool.language)
  scores = pool.scores.get(own)
  return None if scores is None else np.asarray(scores)


def pool_curves(
  pools: Sequence[pools_lib.Pool],
  records: Sequence[records_lib.EvalRecord],
  judge: judges_lib.Judge | None,
) -> dict[tuple[str, str], list[pool_curves_lib.CurvePoint]]:
  """Win rate against n of every (source, target) whose pools were judged.

  Args:
    pools: of all runs.
    records: of the same runs; their pairs with an estimate of the KL divergence
      were drawn without top-k and top-p, so that the curve may have one, too.
    judge: None is the target's own reward model, where it scored the pools.
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
    training = finished_runs.read_ppo_training(records)
    found.append(report_inputs.SweptPoint(values, records, training))
  return found


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
  """The records of some runs, judged, and the report on them.

  Attributes:
    runs: directories of best-of-n runs and of outputs, of one study.
    model_dir: where the report goes.
    diagnosis: directory of a diagnosis; None leaves its part out.
    training: label to the directory of a training run, for its curves.
    judges: beside ROUGE-L and chrF; the first of them judges the pools, too.
      Without any the target's own reward model judges those that it scored.
    identifier: names the language of an output; None is the best that is
      installed.
    expectations: what was promised of a study; None is nothing.
    verdicts: of prompted judges and of people, see `verdict_sources`.
    swept: folder of a report of this study, this one's among them, and the
      swept values that it is of.
    title: of the report.
    study_folder: of the study, whose name stands above the title; None: what
      the records say.
    notes: sentences that a reader must know.
  """

  runs: Sequence[str]
  model_dir: str
  diagnosis: str | None = None
  training: Mapping[str, str] = dataclasses.field(default_factory=dict)
  judges: Sequence[judges_lib.Judge] = ()
  identifier: language_id.Identifier | None = None
  expectations: report_inputs.Expectations | None = None
  verdicts: Sequence[str] = ()
  swept: Sequence[tuple[str, Mapping[str, float]]] = ()
  title: str = "Reward models across languages"
  study_folder: str | None = None
  notes: Sequence[str] = ()

  def plan(self, devices: str | None = None) -> job.JobPlan:
    """Reads records and verdicts; says how many records there are."""
    del devices  # no memory is planned
    records = finished_runs.read_records(self.runs)
    verdict_sources.read(self.verdicts, records)
    return job.JobPlan(
      f"report on {len(records)} records into {self.model_dir}",
    )

  def run(self) -> list[records_lib.EvalRecord]:
    """Judges and reports; returns the records with all scores.

    All of it is the work of one host: of several processes the first.

    Raises:
      ValueError: verdicts that are not on these records.
    """
    return processes.alone_on_first(self._run)

  def _run(self) -> list[records_lib.EvalRecord]:
    records = finished_runs.read_records(self.runs)
    told, left_out = verdict_sources.read(self.verdicts, records)
    judges = (judges_lib.RougeJudge(), judges_lib.ChrfJudge(), *self.judges)
    records = judges_lib.judged(records, judges)
    directory = files.local(self.model_dir)
    records_lib.write(directory / best_of_n.RECORDS, records)
    inputs = self._inputs(records, told, [*self.notes, *left_out])
    content = report.write(directory, inputs)
    print(
      f"wrote {directory / report.PAGE} and, beside it, {len(content) - 1} "
      "files of its tables and figures: tables/, figures/",
      flush=True,
    )
    return records

  def _inputs(
    self,
    records: Sequence[records_lib.EvalRecord],
    told: Sequence[records_lib.Verdict],
    notes: Sequence[str],
  ) -> report_inputs.ReportInputs:
    """What the report is made from."""
    judge = self.judges[0] if self.judges else None
    pools = finished_runs.read_pools(self.runs)
    accuracy, study = (), ""
    if self.diagnosis is not None:
      path = files.path(self.diagnosis) / diagnose.ACCURACY
      accuracy = accuracy_files.read(path)
    if self.study_folder:
      study = files.local(self.study_folder).resolve().name
    return report_inputs.ReportInputs(
      title=self.title,
      records=records,
      study=study,
      facts=_facts(records, self.runs),
      base_history=finished_runs.base_history(records),
      accuracy=accuracy,
      pool_curves=pool_curves(pools, records, judge),
      curve_judge=judge.name if judge else TARGETS_OWN,
      training={
        label: metric_writer.read(files.path(path) / metric_writer.METRICS)
        for label, path in self.training.items()
      },
      panels=read_panels(self.training),
      ppo_training=finished_runs.read_ppo_training(records),
      configs=finished_runs.configs([*self.training.values(), *self.runs]),
      versions=machine.versions(PACKAGES),
      notes=notes,
      verdicts=told,
      swept=_swept(self.swept),
      expectations=self.expectations,
      identifier=self.identifier
      or language_id.load(y for x in records for y in (x.language, x.source)),
    )
