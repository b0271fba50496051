"""Checkpoints of our own runs: Orbax writes arrays, a manifest vouches.

MODEL_DIR/checkpoint_12/params/, rest/    two Orbax items
MODEL_DIR/checkpoint_12/manifest.json     written last, see `manifest`
MODEL_DIR/checkpoint_9.damaged/           set aside
MODEL_DIR/best.json                       {"step", "metric", "value"}
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

import jax
import orbax.checkpoint as ocp

from xlrm import types
from xlrm.checkpoints import manifest
from xlrm.checkpoints import stored
from xlrm.distributed import processes

BEST = "best.json"
ITEMS = ("params", "rest")
CheckpointError = manifest.CheckpointError


def steps(directory: str | os.PathLike) -> list[int]:
  """Steps of the finished checkpoints, oldest first."""
  found = [
    int(match[1])
    for path in pathlib.Path(directory).glob("checkpoint_*")
    if (match := re.fullmatch(r"checkpoint_(\d+)", path.name))
    and (path / manifest.NAME).is_file()
  ]
  return sorted(found)


def best_step(directory: str | os.PathLike) -> int | None:
  """The step that `best.json` names, if any.

  Raises:
    CheckpointError: the file is damaged.
  """
  path = pathlib.Path(directory) / BEST
  try:
    return int(json.loads(path.read_text(encoding="utf-8"))["step"])
  except FileNotFoundError:
    return None
  except (KeyError, TypeError, ValueError) as error:
    raise CheckpointError(
      f'{path} is not {{"step", "metric", "value"}}; without it the latest '
      "checkpoint is used"
    ) from error


def _remove(path: pathlib.Path) -> None:
  """The manifest first: killed half-way, what is left is unfinished."""
  (path / manifest.NAME).unlink(missing_ok=True)
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

  def __init__(self, directory: str | os.PathLike, *, keep: int = 2):
    """`keep` newest checkpoints stay, and the best one."""
    if keep < 1:
      raise ValueError(f"keep {keep} is below 1")
    self._directory = pathlib.Path(directory).absolute()
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
      for item in ITEMS
    }

  def path(self, step: int) -> pathlib.Path:
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

  def _no_room(self) -> CheckpointError:
    free = shutil.disk_usage(self._directory).free / 2**20
    done = steps(self._directory)
    kept = f"step {done[-1]} is intact" if done else "no step was kept"
    return CheckpointError(
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
    path = self._directory / BEST
    if best is None:
      path.unlink(missing_ok=True)
    else:
      manifest.write_json(path, dict(best))

  def _prune(self) -> None:
    best = best_step(self._directory)
    for step in steps(self._directory)[: -self._keep]:
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
      _restore(self.path(step), item, tree, content)
      for item, tree in zip(ITEMS, (params, rest))
    )
    return step, params, rest, content["metadata"]

  def _newest_good(self) -> tuple[int, Any] | None:
    """(step, manifest); what is damaged is set aside."""
    self.discard_unfinished()
    for step in reversed(steps(self._directory)):
      path = self.path(step)
      try:
        content = manifest.verify(path)
      except manifest.DamagedError as error:
        aside = _set_aside(path)
        print(f"{error}; set aside as {aside.name}", flush=True)
        continue
      return step, content
    damaged = sorted(self._directory.glob("checkpoint_*.damaged*"))
    if damaged:
      raise CheckpointError(
        f"no good checkpoint is left in {self._directory}, only "
        f"{', '.join(path.name for path in damaged)}; to start from step 0 "
        "remove them or choose another MODEL_DIR"
      )
    return None


def _restore(path: pathlib.Path, item: str, like: Any, content: Mapping) -> Any:
  expected = manifest.flat(like)
  manifest.check_leaves(path / item, content["leaves"][item], expected)
  with ocp.StandardCheckpointer() as orbax:
    leaves = orbax.restore((path / item).absolute(), expected)
  return jax.tree.unflatten(
    jax.tree.structure(like), [leaves[name] for name in expected]
  )


def _candidates(directory: pathlib.Path) -> list[pathlib.Path]:
  """The best checkpoint, then the others, newest first."""
  if (directory / manifest.NAME).is_file():
    return [directory]
  found = steps(directory)
  if not found:
    held = sorted(x.name for x in directory.glob("*"))[:6]
    raise CheckpointError(
      f"{directory} holds no finished checkpoint (checkpoint_<step>); it "
      f"holds: {', '.join(held) or 'nothing'}"
    )
  best = best_step(directory)
  ordered = sorted(found, key=lambda step: (step != best, -step))
  return [directory / f"checkpoint_{step}" for step in ordered]


def _first_good(candidates: list[pathlib.Path]) -> tuple[pathlib.Path, Any]:
  for path in candidates[:-1]:
    try:
      return path, manifest.verify(path, ITEMS[:1])
    except manifest.DamagedError as error:
      print(f"{error}; trying another", flush=True)
  return candidates[-1], manifest.verify(candidates[-1], ITEMS[:1])


def load_params(
  path: str | os.PathLike, abstract: types.Params
) -> types.Params:
  """Parameters of a MODEL_DIR or of one `checkpoint_k` in it.

  Of a MODEL_DIR the best checkpoint is read, or the latest where none was
  judged; a damaged one is passed over with a message.

  Args:
    path: where.
    abstract: shapes and dtypes, with shardings if they are to be sharded.

  Raises:
    CheckpointError: nothing there, damaged, or another model's.
  """
  checkpoint, content = processes.on_first(
    lambda: _first_good(_candidates(pathlib.Path(path)))
  )
  return _restore(checkpoint, ITEMS[0], _on_device(abstract), content)


def read(path: str | os.PathLike) -> stored.Stored:
  """The same parameters, array by array; see `load_params`."""
  checkpoint, content = _first_good(_candidates(pathlib.Path(path)))
  return _read_item(checkpoint, ITEMS[0], content)


def read_rest(path: str | os.PathLike) -> tuple[int, stored.Stored]:
  """(step, optimizer state and counters) of the checkpoint that `read` reads.

  Raises:
    CheckpointError: nothing there, or damaged.
  """
  checkpoint, _ = _first_good(_candidates(pathlib.Path(path)))
  content = manifest.verify(checkpoint, ITEMS[1:])
  return content["step"], _read_item(checkpoint, ITEMS[1], content)


def _read_item(checkpoint: pathlib.Path, item: str, content) -> stored.Stored:
  leaves = {
    name: (leaf["shape"], leaf["dtype"])
    for name, leaf in content["leaves"][item].items()
  }
  return stored.of_orbax(checkpoint / item, leaves)


def _on_device(abstract: types.Params) -> types.Params:
  """Gives leaves without a sharding the first device."""
  single = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=getattr(x, "sharding", None) or single
    ),
    abstract,
  )
