"""Runs the cells of a study one after the other, in this process.

A scheduler runs them as jobs of its own: `study_plan.Plan` has the cells, each
with those that it needs, and `xlrm study --only=NAME` with the same options is
the command that runs one of them.
"""

from collections.abc import Sequence
import pathlib
import time
import traceback

from xlrm import config
from xlrm import files
from xlrm.launch import study_plan
from xlrm.launch import study_state

SAVED = "study.gin"  # in the folder of the study: what it was run as
Cell = study_plan.Cell
State = study_plan.State


def run_cell(cell: Cell, identity: str, search: Sequence[str] = ()) -> None:
  """Runs a job to its end, between two marks in its folder."""
  study_state.write_mark(cell, identity, done=False)
  try:
    config.load([cell.gin_file], cell.bindings, search).run()
  except BaseException:
    study_state.forget_if_empty(cell)
    raise
  study_state.write_mark(cell, identity, done=True)


def _error_of(cell: Cell, identity: str, search: Sequence[str]) -> str | None:
  """Runs it; what went wrong in words. Being stopped is not caught."""
  try:
    run_cell(cell, identity, search)
  except (ValueError, OSError) as error:
    return str(error)
  except Exception as error:  # the other cells can do without this one
    traceback.print_exc()
    return f"{type(error).__name__}: {error}"
  return None


def run_cells(
  plan: study_plan.Plan, chosen: Sequence[Cell], search: Sequence[str] = ()
) -> list[str]:
  """Runs what is missing of them; a line for each cell that is not done."""
  failed: dict[str, str] = {}
  numbers = {cell.name: i for i, cell in enumerate(plan.cells, 1)}
  for cell in chosen:
    line = f"[{numbers[cell.name]}/{len(numbers)}] {cell.title}"
    blocked = next((x for x in cell.needs if x in failed), None)
    if blocked is not None:
      failed[cell.name] = f"{line}: not run, it needs {blocked}"
      print(failed[cell.name], flush=True)
      continue
    cell, identity = plan.present(cell)  # a judge may have come to its end
    if study_state.state(cell, identity) is State.EXISTS:
      print(f"{line}: exists", flush=True)
      continue
    print(line, flush=True)
    started = time.monotonic()
    error = _error_of(cell, identity, search)
    if error is None:
      seconds = time.monotonic() - started
      print(f"{line}: done in {seconds:.0f} s", flush=True)
    else:
      failed[cell.name] = f"{line}: FAILED: {error}"
      print(failed[cell.name], flush=True)
  return list(failed.values())


def _checked(
  loaded: study_plan.Loaded, only: Sequence[str] | None
) -> tuple[study_plan.Plan, list[Cell]]:
  """The plan as of now, and what is chosen of it."""
  plan = study_plan.Plan.of(loaded)
  chosen = study_plan.selected(plan, only)
  study_plan.check_needs(plan, chosen)
  study_state.refuse_changed(chosen, plan.states)
  return plan, chosen


def run(loaded: study_plan.Loaded, only: Sequence[str] | None = None) -> int:
  """Runs what is missing of a study; 1 if cells failed.

  Args:
    only: names of cells, or patterns; None is all. Several processes may run
      different cells at once.

  Raises:
    ValueError: a mistake that is found before anything is run; another process
      runs the study; training would continue as something else.
  """
  plan, _ = _checked(loaded, only)  # a mistake leaves no folder
  study_plan.check_tasks(plan)
  with study_state.lock(loaded.study, shared=only is not None):
    plan, chosen = _checked(loaded, only)
    if only is None:
      folder = pathlib.Path(loaded.study.model_dir)
      files.write_text(folder / SAVED, loaded.text)
    failed = run_cells(plan, chosen, loaded.search_paths)
  if failed:
    print(f"{len(failed)} of {len(chosen)} cells are not done:")
    print("\n".join(f"  {line}" for line in failed), flush=True)
    return 1
  for cell in chosen:
    if cell.kind == "report":
      print(cell.folder / study_state.PRODUCTS[cell.kind], flush=True)
  return 0
