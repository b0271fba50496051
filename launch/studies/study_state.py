"""Which cells of a study are complete, and who runs it now.

A cell's folder holds `cell.study`: what the cell was when it was run, and
whether it was run to its end. Without that file the cell goes to its job again,
which knows itself how far it got.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import enum
import fcntl
import hashlib
import json
import os
import pathlib
import socket
import time
from typing import IO

from xlrm.annotation import annotation_study
from xlrm.config import gin_jobs
from xlrm.config import gin_statements
from xlrm.storage import files
from xlrm.studies import report_cells
from xlrm.studies import study as study_lib
from xlrm.studies import study_cell

MARK = "cell.study"
LOCK = "study.lock"
CELL_LOCKS = "locks"  # folder: one per cell, never removed
_CHECKPOINT = "checkpoint_*/manifest.json"  # written last, see checkpoints
POLL_SECONDS = 1
# Kind -> what its job leaves when it is done, as a glob.
PRODUCTS = {
  "sft": _CHECKPOINT,
  "reward": _CHECKPOINT,
  "ppo": _CHECKPOINT,
  "best_of_n": "records.jsonl",
  "outputs": "records.jsonl",
  "diagnosis": "accuracy.json",
  "judge": report_cells.VERDICTS,
  "report": "report.html",
}
# Jobs of these kinds continue whatever stands there; all others either see that
# it is another's or make it anew.
TRAINED = ("sft", "reward", "ppo")
Texts = Mapping[str, Sequence[gin_statements.Source]]  # by name of cell


class CellState(enum.Enum):
  """How far a cell got."""

  MISSING = "missing"
  BEGUN = "begun"
  EXISTS = "exists"
  CHANGED = "changed"  # run as something else than what the study says now


def texts(
  cells: Sequence[study_cell.StudyCell], search_paths: Sequence[str] = ()
) -> Texts:
  """The configuration of every cell, checked as far as text tells.

  Raises:
    ConfigError: of the first cell that cannot be run, with its title.
  """
  found = {}
  for cell in cells:
    try:
      found[cell.name] = gin_jobs.read(
        [cell.gin_file], cell.bindings, search_paths
      )
    except (OSError, ValueError) as error:
      raise gin_statements.ConfigError(f"{cell.title}: {error}") from error
  return found


def identities(
  cells: Sequence[study_cell.StudyCell], read: Texts
) -> dict[str, str]:
  """The identity of every cell, which changes with its job, settings or needs.

  Where the study's folder is, and comments, make no difference.
  """
  found: dict[str, str] = {}
  for cell in cells:
    *sources, _ = read[cell.name]  # without `cell.bindings`
    code = [line for source in sources for line in source.code()]
    needs = [found.get(name) for name in cell.needs]
    parts = (code, _told(cell), needs)
    text = json.dumps(parts, ensure_ascii=False)
    found[cell.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
  return found


def _told(cell: study_cell.StudyCell) -> dict[str, str]:
  return {name: repr(x) for name, x in sorted(cell.settings.items())}


def _mark(cell: study_cell.StudyCell) -> dict | None:
  path = cell.folder / MARK
  try:
    return json.loads(files.read_text(path))
  except FileNotFoundError:
    return None
  except ValueError as error:
    raise ValueError(
      f"{path} is damaged ({error}); without it the cell goes to its job again"
    ) from error


def state(cell: study_cell.StudyCell, identity: str) -> CellState:
  """The state of a cell, from its folder alone; a bucket must be mounted."""
  if files.is_remote(cell.folder):
    return CellState.MISSING
  mark = _mark(cell)
  product = any(files.local(cell.folder).glob(PRODUCTS[cell.kind]))
  if mark is None:
    return CellState.BEGUN if product else CellState.MISSING
  if mark["identity"] != identity:
    return CellState.CHANGED
  return CellState.EXISTS if mark["done"] and product else CellState.BEGUN


def present(
  cell: study_cell.StudyCell,
  cells: Mapping[str, study_cell.StudyCell],
  known: Mapping[str, str],
) -> tuple[study_cell.StudyCell, str]:
  """A cell with what there is of its `wants` now, and its identity with it.

  Args:
    cells: of the study, by name.
    known: of `identities`.
  """
  done = [
    name
    for name in cell.wants
    if state(*present(cells[name], cells, known)) is CellState.EXISTS
  ]
  missing = set(cell.wants).difference(done)
  parts = [known[name] for name in (cell.name, *done)]
  identity = "+".join(parts + list(map(_digest, _outside(cell))))
  return cell.without(missing) if missing else cell, identity


def _outside(cell: study_cell.StudyCell) -> list[pathlib.Path]:
  """Verdicts that a report takes and that no cell makes, see Study.verdicts."""
  taken = cell.settings.get("VERDICTS", ())
  return [files.local(x) for x in taken if not isinstance(x, study_cell.Folder)]


def _digest(source: pathlib.Path) -> str:
  """Changes with the verdicts in a file, or with people's answers."""
  if source.is_dir():
    people = (source / annotation_study.KEY).is_file()
    source /= annotation_study.ANSWERS if people else report_cells.VERDICTS
  if not source.is_file():
    return "missing"
  with files.opened(source) as file:
    return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write_mark(cell: study_cell.StudyCell, identity: str, done: bool) -> None:
  """Writes into the folder what runs there, or that it is done."""
  mark = {
    "title": cell.title,
    "gin_file": cell.gin_file,
    "settings": _told(cell),
    "identity": identity,
    "done": done,
  }
  text = json.dumps(mark, indent=1, ensure_ascii=False)
  files.write_text(cell.folder / MARK, text + "\n")


def forget_if_empty(cell: study_cell.StudyCell) -> None:
  """Removes the folder of a cell that never began: it looks like a run."""
  with contextlib.suppress(OSError):  # what went wrong before is to be heard
    folder = files.local(cell.folder)
    names = {x.name for x in folder.iterdir()}
    if names <= {MARK, gin_jobs.SAVED}:
      for name in names:
        files.remove(folder / name)
      folder.rmdir()


def _change(cell: study_cell.StudyCell) -> str:
  """What is not as it was, in words."""
  then, now = _mark(cell)["settings"], _told(cell)
  changed = [
    f"{name} {then.get(name, 'not set')}, now {now.get(name, 'not set')}"
    for name in sorted(then.keys() | now.keys())
    if then.get(name) != now.get(name)
  ]
  return "; ".join(changed) or "its gin file, or a cell that it needs, changed"


def refuse_changed(
  cells: Sequence[study_cell.StudyCell], states: Mapping[str, CellState]
) -> None:
  """Raises if training would continue a run that is another.

  Raises:
    ValueError: lists all such cells, and what changed.
  """
  other = [
    f"  {cell.folder}: {_change(cell)}"
    for cell in cells
    if cell.kind in TRAINED and states[cell.name] is CellState.CHANGED
  ]
  if other:
    listed = "\n".join(other)
    raise ValueError(
      f"{len(other)} cells were trained as something else:\n{listed}\nremove "
      f"their folders, choose another MODEL_DIR, or, to continue them as they "
      f"are, remove {MARK} in them"
    )


@contextlib.contextmanager
def lock(study: study_lib.Study, *, shared: bool = False) -> Iterator[None]:
  """A context that keeps a second process out of the study.

  Args:
    shared: other processes that say so, too, are let in.

  Raises:
    ValueError: another process holds it; says which.
  """
  path = files.local(study.model_dir) / LOCK
  with _locked(path, f"the study in {study.model_dir}", shared):
    yield


@contextlib.contextmanager
def cell_lock(
  cell: study_cell.StudyCell, wait_seconds: float = 0
) -> Iterator[None]:
  """A context that keeps a second process out of a cell; see `lock`."""
  path = files.local(cell.root) / CELL_LOCKS / f"{cell.name}.lock"
  with _locked(path, cell.title, False, wait_seconds):
    yield


def _locked_file(file: IO[str], kind: int, wait_seconds: float) -> bool:
  limit = time.monotonic() + wait_seconds
  while True:
    try:
      fcntl.flock(file, kind | fcntl.LOCK_NB)
      return True
    except BlockingIOError:
      if time.monotonic() >= limit:
        return False
    time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _locked(
  path: pathlib.Path, what: str, shared: bool, wait_seconds: float = 0
) -> Iterator[None]:
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "a+", encoding="utf-8") as file:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    if not _locked_file(file, kind, wait_seconds):
      file.seek(0)
      raise ValueError(
        f"another process runs {what} "
        f"({file.read().strip() or 'unknown'}); wait for it, or stop it"
      )
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    yield
