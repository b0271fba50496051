"""Cells that compare: prompted judges and reports, one per swept point."""

from collections.abc import Iterator, Sequence
import dataclasses
import itertools
from typing import Any

from xlrm.studies import run_cells
from xlrm.studies import study as study_lib
from xlrm.studies import study_cell

VERDICTS = "verdicts.jsonl"


SWEPT = ("temperatures", "num_samples", "kl_coefficients")  # all but the seeds


def _drawn(study: study_lib.Study, temperature, num_samples) -> list[str]:
  """Names of the cells of best-of-n, and of the baselines that they draw."""
  return [
    run_cells.best_of_n(study, seed, temperature, num_samples, target).name
    for seed in study.seeds
    for target in study.targets
  ]


def _runs(study: study_lib.Study, temperature, num_samples, kl) -> list[str]:
  """Names of the cells whose records are compared with each other."""
  return _drawn(study, temperature, num_samples) + [
    f"{run_cells.ppo(study, seed, temperature, kl, *pair).name}_outputs"
    for seed in study.seeds
    for pair in study.pairs
  ]


def _training(study: study_lib.Study, temperature, kl) -> dict[str, str]:
  """Label -> name of a trained cell; the last word is the line in a figure."""
  found = {}
  for seed in study.seeds:
    told = study_cell.told(study, {"seeds": seed})
    for kind, make in (
      ("SFT", run_cells.sft),
      ("reward model", run_cells.reward),
    ):
      for language in study.languages:
        label = f"{kind}{told} {language}"
        found[label] = make(study, seed, language).name
    for source, target in study.pairs:
      cell = run_cells.ppo(study, seed, temperature, kl, source, target)
      found[f"PPO{told} {source} \u2192 {target}"] = cell.name
  return found


def _point(
  study: study_lib.Study, temperature, num_samples, kl
) -> dict[str, Any]:
  """Axis, as folders call it -> value, of the axes with several."""
  values = (temperature, num_samples, kl)
  return {
    study_lib.AXES[axis]: value
    for axis, value in zip(SWEPT, values, strict=True)
    if len(study.axis(axis)) > 1
  }


def _report(
  study: study_lib.Study,
  temperature,
  num_samples,
  kl,
  judges: Sequence[study_cell.StudyCell],
  others: Sequence[Sequence[Any]] = (),
) -> study_cell.StudyCell:
  """One per point of the swept values, over all seeds.

  Args:
    judges: cells of prompted judges of this point.
    others: [folder, values] of the reports of other points.
  """
  point = (temperature, num_samples, kl)
  axes = dict(zip(SWEPT, point, strict=True))
  suffix = study_cell.suffix(study, axes)
  name = f"report{suffix}"
  runs = _runs(study, *point)
  training = _training(study, temperature, kl)
  diagnosis = run_cells.diagnosis(study, study.seeds[0]).name
  own = study_cell.Folder(name if suffix else "")
  settings = {
    "MODEL_DIR": own,
    "RUNS": [study_cell.Folder(x) for x in runs],
    "DIAGNOSIS": study_cell.Folder(diagnosis),
    "TRAINING": {label: study_cell.Folder(x) for label, x in training.items()},
    "VERDICTS": [
      *(() if suffix else study.verdicts),
      *(study_cell.Folder(x.name) for x in judges),
    ],
  }
  if study.name is None:
    settings["evaluate.run.study_folder"] = study_cell.Folder("")
  if others:
    settings["evaluate.run.swept"] = [[own, _point(study, *point)], *others]
  if len(study.seeds) > 1:
    settings["evaluate.run.notes"] = (
      f"Everything was trained and drawn with {len(study.seeds)} seeds; the "
      f"accuracy of reward models is that of seed {study.seeds[0]}.",
    )
  needs = [*runs, diagnosis, *training.values()]
  cell = study_cell.make(
    study,
    "report",
    name,
    f"report{study_cell.told(study, axes)}",
    settings,
    needs,
  )
  wants = (*(x.name for x in judges), *(str(folder) for folder, _ in others))
  return dataclasses.replace(cell, wants=wants)


def _judges(
  study: study_lib.Study, temperature, num_samples, kl
) -> Iterator[study_cell.StudyCell]:
  """Those of best-of-n are the same for every beta."""
  for (judge, own), method in itertools.product(
    study.judges.items(), study.methods
  ):
    axes = {"temperatures": temperature, "num_samples": num_samples}
    runs = _drawn(study, temperature, num_samples)
    if method == "ppo":
      axes["kl_coefficients"] = kl
      runs = _runs(study, temperature, num_samples, kl)
    name = study_cell.name_of(study, "judge", axes, judge=judge, method=method)
    settings = {
      **own,
      "RECORDS": [study_cell.Folder(x) / "records.jsonl" for x in runs],
      "OUTPUT": study_cell.Folder(name) / VERDICTS,
      "METHOD": method,
    }
    title = f"judge {judge} of {method}{study_cell.told(study, axes)}"
    yield study_cell.make(study, "judge", name, title, settings, runs)


def reports(study: study_lib.Study) -> Iterator[study_cell.StudyCell]:
  """The prompted judges and reports of a study.

  The report of the first values comes last: it shows what became of the others.
  """
  first, *rest = itertools.product(*map(study.axis, SWEPT))
  asked, others = [], []
  for point in (*rest, first):
    judges = list(_judges(study, *point))
    new = [cell for cell in judges if cell not in asked]
    yield from new
    asked += new
    taken = others if point == first else ()
    report = _report(study, *point, judges, taken)
    others.append([study_cell.Folder(report.name), _point(study, *point)])
    yield report
