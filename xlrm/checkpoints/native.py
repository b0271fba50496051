"""Checkpoints of our own runs, read; see `run_checkpoints`.

MODEL_DIR/checkpoint_12/params/, rest/    two Orbax items
MODEL_DIR/checkpoint_12/manifest.json     written last, see `manifest`
MODEL_DIR/best.json                       {"step", "metric", "value"}
"""

from collections.abc import Mapping
import json
import pathlib
import re
from typing import Any

import jax
import orbax.checkpoint as ocp

from xlrm import types
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import manifest
from xlrm.checkpoints import stored
from xlrm.distributed import processes
from xlrm.storage import files

BEST = "best.json"
ITEMS = ("params", "rest")


def steps(directory: files.Name) -> list[int]:
  """Steps of the finished checkpoints, oldest first."""
  found = [
    int(match[1])
    for path in files.local(directory).glob("checkpoint_*")
    if (match := re.fullmatch(r"checkpoint_(\d+)", path.name))
    and (path / manifest.NAME).is_file()
  ]
  return sorted(found)


def best_step(directory: files.Name) -> int | None:
  """The step that `best.json` names, if any.

  Raises:
    CheckpointError: the file is damaged.
  """
  path = files.local(directory) / BEST
  try:
    return int(json.loads(files.read_text(path))["step"])
  except FileNotFoundError:
    return None
  except (KeyError, TypeError, ValueError) as error:
    raise checkpoint_errors.CheckpointError(
      f'{path} is not {{"step", "metric", "value"}}; without it the latest '
      "checkpoint is used"
    ) from error


def restore(path: pathlib.Path, item: str, like: Any, content: Mapping) -> Any:
  """An item of a checkpoint, as arrays on devices.

  Args:
    path: of the checkpoint.
    item: one of ITEMS.
    like: shapes, dtypes and shardings.
    content: of its manifest.

  Raises:
    CheckpointError: a leaf is missing, or is another one.
  """
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
    raise checkpoint_errors.CheckpointError(
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
    except checkpoint_errors.DamagedError as error:
      print(f"{error}; trying another", flush=True)
  return candidates[-1], manifest.verify(candidates[-1], ITEMS[:1])


def load_params(path: files.Name, abstract: types.Params) -> types.Params:
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
    lambda: _first_good(_candidates(files.local(path)))
  )
  return restore(checkpoint, ITEMS[0], _on_device(abstract), content)


def read(path: files.Name) -> stored.Stored:
  """The same parameters, array by array; see `load_params`."""
  checkpoint, content = _first_good(_candidates(files.local(path)))
  return _read_item(checkpoint, ITEMS[0], content)


def marks(path: files.Name) -> list[str]:
  """A line for each file of the parameters that `read` reads: its checksum.

  By their manifest alone: bytes that changed since are found when they are
  read, and the checkpoint is passed over with a message.

  Raises:
    CheckpointError: there is no checkpoint, or none with a good manifest.
  """
  *others, last = _candidates(files.local(path))
  for checkpoint in others:
    try:
      content = manifest.read(checkpoint)
      break
    except checkpoint_errors.DamagedError:
      continue  # as `read` will
  else:
    content = manifest.read(last)
  return sorted(
    f"{name}: {checksum}"
    for name, checksum in content["files"].items()
    if pathlib.PurePath(name).parts[0] == ITEMS[0]
  )


def read_rest(path: files.Name) -> tuple[int, stored.Stored]:
  """(step, optimizer state and counters) of the checkpoint that `read` reads.

  Raises:
    CheckpointError: nothing there, or damaged.
  """
  checkpoint, _ = _first_good(_candidates(files.local(path)))
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
