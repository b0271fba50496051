"""Runs the cells of a study one after the other.

Several processes run each cell together; what leads to a collective (is a cell
complete, did it fail) is decided by the first one, or by all.
"""

from collections.abc import Iterator, Sequence
import contextlib
import time
import traceback

from xlrm.config import gin_jobs
from xlrm.distributed import processes
from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_state
from xlrm.storage import files
from xlrm.studies import study_cell

SAVED = "study.gin"  # in the folder of the study: what it was run as
# In which a job has failed in all processes, once it has in one.
FAILING_SECONDS = 20


@contextlib.contextmanager
def _held(lock: contextlib.AbstractContextManager) -> Iterator[None]:
  """The first process holds it for all; what it raises is raised by all."""
  with contextlib.ExitStack() as stack:
    processes.alone_on_first(stack.enter_context, lock)
    yield


def run_cell(
  cell: study_cell.StudyCell,
  identity: str,
  search: Sequence[str] = (),
  wait: float = 0,
) -> None:
  """Runs a job to its end, between two marks in its folder.

  Args:
    wait: seconds that another process may still run it.

  Raises:
    ValueError: another process still runs it; what the job raises.
  """
  state, mark = study_state.state, study_state.write_mark
  with _held(study_state.cell_lock(cell, wait)):
    if (
      processes.on_first(state, cell, identity) is study_state.CellState.EXISTS
    ):
      return  # the other process was faster
    processes.on_first(mark, cell, identity, False)
    try:
      gin_jobs.load([cell.gin_file], cell.bindings, search).run()
    except BaseException:
      if processes.is_first():
        study_state.forget_if_empty(cell)
      raise
    processes.barrier()
    processes.on_first(mark, cell, identity, True)


def _error_of(
  cell: study_cell.StudyCell, identity: str, search: Sequence[str], wait: float
) -> str | None:
  """Runs it; what went wrong in words. Being stopped is not caught.

  Raises:
    Exception: a job went wrong in this process, and not in others, which may
      wait for it for ever.
  """
  try:
    run_cell(cell, identity, search, wait)
  except Exception as error:  # the other cells can do without this one
    if not isinstance(error, ValueError | OSError):
      traceback.print_exc()
    if not processes.all_come(f"failed {cell.name}", FAILING_SECONDS):
      raise
    if isinstance(error, ValueError | OSError):
      return str(error)
    return f"{type(error).__name__}: {error}"
  return None


def run_cells(
  plan: study_plan.StudyPlan,
  chosen: Sequence[study_cell.StudyCell],
  search: Sequence[str] = (),
  wait: float = 0,
) -> list[str]:
  """Runs what is missing of the chosen cells.

  The result has a line for each cell that is not done.
  """
  failed: dict[str, str] = {}
  numbers = {cell.name: i for i, cell in enumerate(plan.cells, 1)}
  for cell in chosen:
    line = f"[{numbers[cell.name]}/{len(numbers)}] {cell.title}"
    blocked = next((x for x in cell.needs if x in failed), None)
    if blocked is not None:
      failed[cell.name] = f"{line}: not run, it needs {blocked}"
      print(failed[cell.name], flush=True)
      continue
    # A judge may have come to its end.
    cell, identity = processes.on_first(plan.present, cell)
    state = processes.on_first(study_state.state, cell, identity)
    if state is study_state.CellState.EXISTS:
      print(f"{line}: exists", flush=True)
      continue
    print(line, flush=True)
    started = time.monotonic()
    error = _error_of(cell, identity, search, wait)
    if error is None:
      seconds = time.monotonic() - started
      print(f"{line}: done in {seconds:.0f} s", flush=True)
    else:
      failed[cell.name] = f"{line}: FAILED: {error}"
      print(failed[cell.name], flush=True)
  return list(failed.values())


def _check_now(
  loaded: study_plan.Loaded,
  chosen: Sequence[study_cell.StudyCell],
  wait: float = 0,
) -> None:
  """Raises ValueError if a chosen cell cannot be run as it is."""
  limit = time.monotonic() + wait
  while True:
    plan = study_plan.StudyPlan.of(loaded)
    try:
      study_plan.check_needs(plan, chosen)
      break
    except ValueError:
      if time.monotonic() >= limit:
        raise
    time.sleep(study_state.POLL_SECONDS)
  study_state.refuse_changed(chosen, plan.states)


def run(
  loaded: study_plan.Loaded,
  only: Sequence[str] | None = None,
  wait_seconds: float = 0,
) -> int:
  """Runs what is missing of a study; the result is 1 if cells failed.

  All processes of a job run one cell after the other together.

  Args:
    only: names of cells, or patterns; None is all. Several processes may run
      different cells at once.
    wait_seconds: how long chosen cells may still be run by another process, or
      lack what they need.

  Raises:
    ValueError: a mistake that is found before anything is run; another process
      runs the study; training would continue as something else.
  """
  if files.is_remote(loaded.study.model_dir):
    raise ValueError(
      f"MODEL_DIR {loaded.study.model_dir!r}: a study runs in a folder; "
      "--launcher=tpu or kubernetes mounts buckets on its machines"
    )
  plan = study_plan.StudyPlan.of(loaded)
  chosen = study_plan.selected(plan, only)
  # A mistake leaves no folder.
  processes.alone_on_first(_check_now, loaded, chosen, wait_seconds)
  study_plan.check_tasks(plan)
  with _held(study_state.lock(loaded.study, shared=only is not None)):
    processes.on_first(_check_now, loaded, chosen)
    if only is None:
      saved = files.local(loaded.study.model_dir) / SAVED
      processes.on_first(files.write_text, saved, loaded.text)
    failed = run_cells(plan, chosen, loaded.search_paths, wait_seconds)
  if failed:
    print(f"{len(failed)} of {len(chosen)} cells are not done:")
    print("\n".join(f"  {line}" for line in failed), flush=True)
    return 1
  for cell in chosen:
    if cell.kind == "report":
      print(cell.folder / study_state.PRODUCTS[cell.kind], flush=True)
  return 0
