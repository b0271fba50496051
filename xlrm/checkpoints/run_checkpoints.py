"""Checkpoints of a run: Orbax writes arrays, a manifest vouches.

MODEL_DIR/checkpoint_12/                  see `native`
MODEL_DIR/checkpoint_9.damaged/           set aside
"""

from collections.abc import Mapping
import errno
import json
import os
import pathlib
import re
import shutil
import threading
from typing import Any

import orbax.checkpoint as ocp

from xlrm import types
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import manifest
from xlrm.checkpoints import native
from xlrm.distributed import processes
from xlrm.storage import files
from xlrm.types import checks


def _remove(path: pathlib.Path) -> None:
  """The manifest first: killed half-way, what is left is unfinished."""
  files.remove(path / manifest.NAME)
  # In a mounted bucket a folder is gone with its last file.
  shutil.rmtree(path, ignore_errors=True)
  if path.exists():
    shutil.rmtree(path)


def _disk_is_full(error: BaseException) -> bool:
  """TensorStore says it in words only."""
  if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
    return True
  return any(os.strerror(x) in str(error) for x in (errno.ENOSPC, errno.EDQUOT))


def _make_room(path: pathlib.Path) -> None:
  """A new empty folder."""
  if path.exists():
    _remove(path)
  path.mkdir(parents=True)


def _set_aside(path: pathlib.Path) -> pathlib.Path:
  number, free = 1, path.with_name(path.name + ".damaged")
  while free.exists():
    number += 1
    free = path.with_name(f"{path.name}.damaged{number}")
  return path.rename(free)


class Checkpointer:
  """Writes and reads the checkpoints of one run."""

  def __init__(self, directory: files.Name, *, keep: int = 2):
    """`keep` newest checkpoints stay, and the best one."""
    checks.at_least("keep", keep, 1)
    self._directory = files.local(directory).absolute()
    self._keep = keep
    self._pending: threading.Thread | None = None
    self._error: BaseException | None = None
    self._alone = False  # the error left other processes waiting for this one
    self._orbax = {
      item: ocp.StandardCheckpointer(
        # Folders are written where they stay: the manifest vouches for them,
        # and on a mounted bucket renaming one would copy every byte of it.
        temporary_path_class=ocp.path.atomicity.CommitFileTemporaryPath
      )
      for item in native.ITEMS
    }

  def path(self, step: int) -> pathlib.Path:
    """The folder of the checkpoint of a step, there or not."""
    return self._directory / f"checkpoint_{step}"

  def save(
    self,
    step: int,
    params: types.Params,
    rest: Any,
    metadata: Any,
    best: Mapping[str, Any] | None = None,
  ) -> None:
    """Starts writing; returns once the arrays are safe from later steps.

    Args:
      rest: every other array of the run: optimizer state, counters.
      metadata: host state of the run, as JSON can hold it.
      best: new content of best.json, valid once this checkpoint is complete.
    """
    self.wait()
    path = self.path(step)
    processes.on_first(_make_room, path)
    trees = {"params": params, "rest": rest}
    for item, tree in trees.items():
      self._orbax[item].save(path / item, manifest.flat(tree))
    leaves = manifest.describe(trees)
    host = json.loads(json.dumps(metadata))  # a copy: the run goes on
    self._pending = threading.Thread(
      target=self._finish, args=(step, leaves, host, best), daemon=True
    )
    self._pending.start()

  def _finish(self, step: int, leaves, metadata, best) -> None:
    self._alone = processes.count() > 1
    try:
      self._finish_arrays()
      self._alone = False  # past Orbax's barriers, so they all are
      if not processes.is_first():
        return
      manifest.write(self.path(step), step, leaves, metadata)
      if best is not None:
        self.mark_best(best)
      self._prune()
    except BaseException as error:  # reported in the main thread
      self._error = error

  def _finish_arrays(self) -> None:
    errors = []
    for orbax in self._orbax.values():
      try:
        orbax.wait_until_finished()
      except Exception as error:
        if self._alone:  # the next may wait for processes that wait for this
          raise
        errors.append(error)
    if errors:
      raise errors[0]

  def check(self) -> None:
    """Raises what only this process can tell, without waiting for anything.

    If its arrays could not be written, the others wait for it in a barrier of
    Orbax, 20 minutes long. They end as soon as this process has.

    Raises:
      CheckpointError: the disk is full.
    """
    if self._error is not None and (self._alone or processes.count() == 1):
      raise self._taken_error()

  def wait(self) -> None:
    """Waits until the last save is on disk; raises what it raised.

    All processes wait together, and all raise what one of them raised; but
    see `check`.

    Raises:
      CheckpointError: the disk is full.
    """
    self._join()
    self.check()
    processes.raise_together(self._taken_error())

  def _join(self) -> None:
    if self._pending is not None:
      self._pending.join()
      self._pending = None

  def _taken_error(self) -> BaseException | None:
    """What the last save raised, once."""
    error, self._error = self._error, None
    if error is None or not _disk_is_full(error):
      return error
    told = self._no_room()
    told.__cause__ = error
    return told

  def _no_room(self) -> checkpoint_errors.CheckpointError:
    free = shutil.disk_usage(self._directory).free / 2**20
    done = native.steps(self._directory)
    kept = f"step {done[-1]} is intact" if done else "no step was kept"
    return checkpoint_errors.CheckpointError(
      f"no room for a checkpoint in {self._directory} ({free:.0f} MiB free or "
      f"a quota reached); {kept}: make room, and the same command continues"
    )

  def close(self) -> None:
    """Waits for the last save of this process, which may end by an error."""
    try:
      self._join()
      error = self._taken_error()
      if error is not None:
        raise error
    finally:
      for orbax in self._orbax.values() if not self._alone else ():
        orbax.close()

  def mark_best(self, best: Mapping[str, Any] | None) -> None:
    """Writes best.json, once; None removes it."""
    if not processes.is_first():
      return
    path = self._directory / native.BEST
    if best is None:
      files.remove(path)
    else:
      files.write_text(path, manifest.to_json(dict(best)))

  def _prune(self) -> None:
    best = native.best_step(self._directory)
    for step in native.steps(self._directory)[: -self._keep]:
      if step != best:
        _remove(self.path(step))

  def discard_unfinished(self) -> None:
    """Removes what a killed run left half-written."""
    for path in sorted(self._directory.glob("checkpoint_*")):
      name = re.fullmatch(r"checkpoint_\d+", path.name)
      if name and not (path / manifest.NAME).is_file():
        print(f"{path} was not finished; removed", flush=True)
        _remove(path)

  def restore_latest(
    self, params: types.Params, rest: Any
  ) -> tuple[int, types.Params, Any, Any] | None:
    """The newest good checkpoint as (step, params, rest, metadata).

    A damaged one is renamed and the one before it is used.

    Args:
      params: abstract parameters with their shardings.
      rest: the same for optimizer state and counters.

    Returns:
      None if no checkpoint was ever finished.

    Raises:
      CheckpointError: every one is damaged, or a leaf is missing.
    """
    found = processes.on_first(self._newest_good)
    if found is None:
      return None
    step, content = found
    params, rest = (
      native.restore(self.path(step), item, tree, content)
      for item, tree in zip(native.ITEMS, (params, rest))
    )
    return step, params, rest, content["metadata"]

  def _newest_good(self) -> tuple[int, Any] | None:
    """(step, manifest); what is damaged is set aside."""
    self.discard_unfinished()
    for step in reversed(native.steps(self._directory)):
      path = self.path(step)
      try:
        content = manifest.verify(path)
      except checkpoint_errors.DamagedError as error:
        aside = _set_aside(path)
        print(f"{error}; set aside as {aside.name}", flush=True)
        continue
      return step, content
    damaged = sorted(self._directory.glob("checkpoint_*.damaged*"))
    if damaged:
      raise checkpoint_errors.CheckpointError(
        f"no good checkpoint is left in {self._directory}, only "
        f"{', '.join(path.name for path in damaged)}; to start from step 0 "
        "remove them or choose another MODEL_DIR"
      )
    return None
