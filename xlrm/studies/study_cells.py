"""The cells of a study, in order.

Whatever a cell needs stands before it. Nothing here reads, writes or runs
anything.
"""

from collections.abc import Iterator
import itertools

from xlrm.studies import report_cells
from xlrm.studies import run_cells
from xlrm.studies import study as study_lib
from xlrm.studies import study_cell


def _of_seed(
  study: study_lib.Study, seed: int
) -> Iterator[study_cell.StudyCell]:
  """Everything that is trained, drawn and scored with one seed."""
  for make in (run_cells.sft, run_cells.reward):
    for language in study.languages:
      yield make(study, seed, language)
  for t, n in itertools.product(study.temperatures, study.num_samples):
    for target in study.targets:
      yield run_cells.best_of_n(study, seed, t, n, target)
  kls = study.axis("kl_coefficients")
  for t, kl, pair in itertools.product(study.temperatures, kls, study.pairs):
    policy = run_cells.ppo(study, seed, t, kl, *pair)
    yield policy
    yield run_cells.outputs(study, policy, seed, t, pair)
  yield run_cells.diagnosis(study, seed)


def cells(study: study_lib.Study) -> list[study_cell.StudyCell]:
  """The cells of a study, each after those that it needs.

  Raises:
    ValueError: two cells share a folder, or settings contradict the study.
  """
  found = [cell for seed in study.seeds for cell in _of_seed(study, seed)]
  found += report_cells.reports(study)
  taken: dict[str, study_cell.StudyCell] = {}
  for cell in found:
    if cell.name in taken:
      raise ValueError(
        f"{taken[cell.name].title} and {cell.title} would share the folder "
        f"{cell.name!r}; give folders[{cell.kind!r}] a place for what differs"
      )
    taken[cell.name] = cell
  return found
