"""Checkpoints: Orbax writes the arrays, a manifest of ours vouches for them.

`checkpoint_12/` holds two Orbax items, `params` and `rest`, and, once both are
committed, `manifest.json` with a SHA-256 of every file, the shape and dtype of
every leaf, and the host state of the run. A checkpoint without a manifest was
never finished; one whose checksums do not hold is set aside.
"""

from collections.abc import Mapping
import difflib
import hashlib
import json
import os
import pathlib
import re
import shutil
import threading
from typing import Any

import jax
import orbax.checkpoint as ocp

from xlrm import optimizers
from xlrm import types

MANIFEST = "manifest.json"
BEST = "best.json"
ITEMS = ("params", "rest")
FORMAT = 1


class CheckpointError(ValueError):
  """A checkpoint that cannot be used; says which and what to do."""


def _flat(tree: Any) -> dict[str, Any]:
  """Leaves by dotted path: {'decoder.layers_0.mlp.wo.kernel': array}."""
  return {
    optimizers.path_name(path).replace("/", "."): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def _unflat(flat: Mapping[str, Any], like: Any) -> Any:
  names = list(_flat(like))
  return jax.tree.unflatten(
    jax.tree.structure(like), [flat[name] for name in names]
  )


def _hash(path: pathlib.Path) -> str:
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    path
    for path in directory.rglob("*")
    if path.is_file() and path.name != MANIFEST
  )


def _write_json(path: pathlib.Path, value: Any) -> None:
  temporary = path.with_name(path.name + ".partial")
  with open(temporary, "w", encoding="utf-8") as file:
    json.dump(value, file, indent=1, sort_keys=True)
    file.flush()
    os.fsync(file.fileno())
  os.replace(temporary, path)


def steps(directory: str | os.PathLike) -> list[int]:
  """Steps of the finished checkpoints, oldest first."""
  found = [
    int(match[1])
    for path in pathlib.Path(directory).glob("checkpoint_*")
    if (match := re.fullmatch(r"checkpoint_(\d+)", path.name))
    and (path / MANIFEST).is_file()
  ]
  return sorted(found)


def _check_leaves(
  path: pathlib.Path, recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
  """Every leaf of the model is there, with its shape, and no other."""
  for name in sorted(set(expected) - set(recorded)):
    near = difflib.get_close_matches(name, recorded, 2, 0.0)
    raise CheckpointError(
      f"{path} lacks {name}; nearest: {', '.join(near) or 'none'}"
    )
  for name in sorted(set(recorded) - set(expected)):
    near = difflib.get_close_matches(name, expected, 2, 0.0)
    raise CheckpointError(
      f"{path} holds {name}, which this model lacks; nearest: "
      f"{', '.join(near) or 'none'}"
    )
  for name, leaf in expected.items():
    shape = tuple(recorded[name]["shape"])
    if shape != tuple(leaf.shape):
      raise CheckpointError(
        f"{path}: {name} has shape {shape}, the model {tuple(leaf.shape)}"
      )


def verify(path: str | os.PathLike) -> dict[str, Any]:
  """Reads a checkpoint's manifest and checks every file against it.

  Raises:
    CheckpointError: names the first file that is missing, new or changed.
  """
  directory = pathlib.Path(path)
  try:
    manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    recorded = manifest["files"]
  except (OSError, ValueError, KeyError) as error:
    raise CheckpointError(f"{directory} has no readable manifest") from error
  found = {str(p.relative_to(directory)): p for p in _files(directory)}
  for name in sorted(set(recorded) ^ set(found)):
    state = "missing" if name in recorded else "not in the manifest"
    raise CheckpointError(f"{directory}: the file {name} is {state}")
  for name, checksum in recorded.items():
    if _hash(found[name]) != checksum:
      raise CheckpointError(
        f"{directory}: the file {name} does not have its checksum"
      )
  return manifest


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
    self._orbax = {item: ocp.StandardCheckpointer() for item in ITEMS}

  def path(self, step: int) -> pathlib.Path:
    return self._directory / f"checkpoint_{step}"

  def save(
    self, step: int, params: types.Params, rest: Any, metadata: Any
  ) -> None:
    """Starts writing; returns once the arrays are copied off the devices."""
    self.wait()
    path = self.path(step)
    if path.exists():
      shutil.rmtree(path)
    path.mkdir(parents=True)
    trees = {"params": _flat(params), "rest": _flat(rest)}
    for item, tree in trees.items():
      self._orbax[item].save(path / item, tree)
    leaves = {
      item: {
        name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
        for name, leaf in tree.items()
      }
      for item, tree in trees.items()
    }
    manifest = {
      "format": FORMAT,
      "step": step,
      "leaves": leaves,
      "metadata": metadata,
    }
    self._pending = threading.Thread(
      target=self._finish, args=(path, manifest), daemon=True
    )
    self._pending.start()

  def _finish(self, path: pathlib.Path, manifest: dict[str, Any]) -> None:
    try:
      for orbax in self._orbax.values():
        orbax.wait_until_finished()
      manifest["files"] = {
        str(file.relative_to(path)): _hash(file) for file in _files(path)
      }
      _write_json(path / MANIFEST, manifest)
      self._prune()
    except BaseException as error:  # reported by wait(), in the main thread
      self._error = error

  def wait(self) -> None:
    """Waits until the last save is on disk; raises what it raised."""
    if self._pending is not None:
      self._pending.join()
      self._pending = None
    if self._error is not None:
      error, self._error = self._error, None
      raise error

  def close(self) -> None:
    self.wait()
    for orbax in self._orbax.values():
      orbax.close()

  def mark_best(self, step: int, metric: str, value: float) -> None:
    """Remembers the best checkpoint, which is never pruned."""
    self._directory.mkdir(parents=True, exist_ok=True)
    best = {"step": step, "metric": metric, "value": value}
    _write_json(self._directory / BEST, best)

  def _prune(self) -> None:
    best = best_step(self._directory)
    for step in steps(self._directory)[: -self._keep]:
      if step != best:
        shutil.rmtree(self.path(step))

  def discard_unfinished(self) -> None:
    """Removes what a killed run left half-written."""
    for path in self._directory.glob("checkpoint_*"):
      name = re.fullmatch(r"checkpoint_\d+", path.name)
      if name and not (path / MANIFEST).is_file():
        print(f"{path} was not finished; removed", flush=True)
        shutil.rmtree(path)

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
    self.discard_unfinished()
    found = steps(self._directory)
    for step in reversed(found):
      path = self.path(step)
      try:
        manifest = verify(path)
      except CheckpointError as error:
        aside = _free_name(path.with_name(path.name + ".damaged"))
        path.rename(aside)
        print(f"{error}; set aside as {aside.name}", flush=True)
        continue
      trees = {
        item: _restore(path, item, tree, manifest["leaves"][item])
        for item, tree in (("params", params), ("rest", rest))
      }
      return step, trees["params"], trees["rest"], manifest["metadata"]
    if found:
      raise CheckpointError(
        f"every checkpoint in {self._directory} is damaged; start again in "
        "another MODEL_DIR or restore the files"
      )
    return None


def _free_name(path: pathlib.Path) -> pathlib.Path:
  number, candidate = 1, path
  while candidate.exists():
    number += 1
    candidate = path.with_name(f"{path.name}{number}")
  return candidate


def _restore(path: pathlib.Path, item: str, like: Any, recorded: Any) -> Any:
  expected = _flat(like)
  _check_leaves(path / item, recorded, expected)
  with ocp.StandardCheckpointer() as orbax:
    flat = orbax.restore((path / item).absolute(), expected)
  return _unflat(flat, like)


def best_step(directory: str | os.PathLike) -> int | None:
  """The step that `mark_best` named, if any."""
  try:
    text = (pathlib.Path(directory) / BEST).read_text(encoding="utf-8")
    return int(json.loads(text)["step"])
  except FileNotFoundError:
    return None


def load_params(
  path: str | os.PathLike, abstract: types.Params
) -> types.Params:
  """Parameters of a MODEL_DIR (its best checkpoint, else its latest) or of
  one `checkpoint_k` in it.

  Args:
    path: where.
    abstract: shapes and dtypes, with shardings if they are to be sharded.

  Raises:
    CheckpointError: nothing there, damaged, or another model's.
  """
  directory = pathlib.Path(path)
  if not (directory / MANIFEST).is_file():
    found = steps(directory)
    if not found:
      raise CheckpointError(
        f"{directory} holds no finished checkpoint (checkpoint_<step>)"
      )
    best = best_step(directory)
    step = best if best in found else found[-1]
    directory = directory / f"checkpoint_{step}"
  manifest = verify(directory)
  return _restore(
    directory, "params", _on_device(abstract), manifest["leaves"]["params"]
  )


def _on_device(abstract: types.Params) -> types.Params:
  """Gives leaves without a sharding the first device."""
  single = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=getattr(x, "sharding", None) or single
    ),
    abstract,
  )
