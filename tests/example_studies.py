"""Studies of made-up tasks, for tests of their cells."""

from xlrm.studies import study as study_lib
from xlrm.studies import study_cell
from xlrm.studies import study_cells

TASKS = {
  "sft_task": "a_summary.{language}",
  "reward_task": "a_rating.{language}",
}


PPO = {"methods": ("best_of_n", "ppo")}


def make(**changes) -> study_lib.Study:
  options = {
    "model_dir": "s",
    "sources": ("en", "de"),
    "targets": ("es", "ru"),
    **TASKS,
    **changes,
  }
  return study_lib.Study(**options)


def by_name(study) -> dict[str, study_cell.StudyCell]:
  return {cell.name: cell for cell in study_cells.cells(study)}


def big(**changes) -> study_lib.Study:
  options = {
    **PPO,
    "seeds": (0, 1, 2),
    "temperatures": (0.7, 1.0),
    "num_samples": (4, 16),
    "kl_coefficients": (0.1, 0.2),
    "judges": {"one": {"MODEL": "x"}, "two": {"MODEL": "y"}},
    **changes,
  }
  return make(**options)
