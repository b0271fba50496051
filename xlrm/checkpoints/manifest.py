"""The manifest that vouches for a checkpoint.

Orbax restores a flipped byte without a word. So once a checkpoint is complete
`manifest.json` records a SHA-256 of every file, the shape and dtype of every
leaf and the host state of the run. A folder without a manifest was never
finished; one whose checksums do not hold is damaged.
"""

from collections.abc import Mapping
import difflib
import hashlib
import json
import pathlib
from typing import Any

import jax

from xlrm.checkpoints import checkpoint_errors
from xlrm.distributed import sharding
from xlrm.storage import files
from xlrm.storage import temporary_files

NAME = "manifest.json"
FORMAT = 1


def flat(tree: Any) -> dict[str, Any]:
  """Leaves by dotted path: {'decoder.layers_0.mlp.wo.kernel': array}."""
  return {
    sharding.path_name(path).replace("/", "."): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def to_json(value: Any) -> str:
  """The text of a file that vouches, or of `best.json`."""
  return json.dumps(value, indent=1, sort_keys=True)


def _hash(path: pathlib.Path) -> str:
  with files.opened(path) as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_content(content: Mapping[str, Any]) -> str:
  text = json.dumps(content, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _files(directory: pathlib.Path) -> dict[str, pathlib.Path]:
  return {
    str(path.relative_to(directory)): path
    for path in sorted(directory.rglob("*"))
    if path.is_file()
    and path.name != NAME
    and not temporary_files.is_temporary(path.name)
  }


def describe(trees: Mapping[str, Any]) -> dict[str, Any]:
  """{'params': {'decoder.w': {'shape': [2, 3], 'dtype': 'float32'}}}."""
  return {
    item: {
      name: {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
      for name, leaf in flat(tree).items()
    }
    for item, tree in trees.items()
  }


def write(
  directory: pathlib.Path, step: int, leaves: Mapping, metadata: Any
) -> None:
  """Vouches for all files now in `directory`: its checkpoint is complete."""
  content = {
    "format": FORMAT,
    "step": step,
    "leaves": leaves,
    "metadata": metadata,
    "files": {name: _hash(path) for name, path in _files(directory).items()},
  }
  checksum = _hash_content(content)
  text = to_json({**content, "checksum": checksum})
  files.write_text(directory / NAME, text)


def read(directory: pathlib.Path) -> dict[str, Any]:
  """Reads a manifest, which must have its own checksum.

  Raises:
    DamagedError: it is missing or damaged.
    CheckpointError: it is of another format.
  """
  try:
    content = json.loads(files.read_text(directory / NAME))
    checksum = content.pop("checksum")
  except (OSError, AttributeError, TypeError, KeyError, ValueError) as error:
    raise checkpoint_errors.DamagedError(
      f"{directory} has no readable {NAME}"
    ) from error
  if _hash_content(content) != checksum:
    raise checkpoint_errors.DamagedError(
      f"{directory / NAME} does not have its checksum"
    )
  if content["format"] != FORMAT:
    raise checkpoint_errors.CheckpointError(
      f"{directory} has format {content['format']}, this xlrm reads {FORMAT}"
    )
  return content


def verify(
  path: files.Name, items: tuple[str, ...] | None = None
) -> dict[str, Any]:
  """Reads a manifest and checks the files against it.

  Args:
    path: folder of one checkpoint.
    items: check only these sub-folders; None is all files.

  Raises:
    DamagedError: names the first file that is missing, new or changed.
    CheckpointError: the manifest is of another format.
  """
  directory = files.local(path)
  content = read(directory)

  def asked(name: str) -> bool:
    return items is None or pathlib.PurePath(name).parts[0] in items

  recorded = {n: x for n, x in content["files"].items() if asked(n)}
  found = {n: x for n, x in _files(directory).items() if asked(n)}
  for name in sorted(set(recorded) ^ set(found)):
    state = "missing" if name in recorded else "not in its manifest"
    raise checkpoint_errors.DamagedError(
      f"{directory} is damaged: {name} is {state}"
    )
  for name, checksum in recorded.items():
    if _hash(found[name]) != checksum:
      raise checkpoint_errors.DamagedError(
        f"{directory} is damaged: {name} does not have its checksum"
      )
  return content


def _nearest(name: str, names: Mapping[str, Any]) -> str:
  return ", ".join(difflib.get_close_matches(name, names, 2, 0.0)) or "none"


def check_leaves(
  path: pathlib.Path, recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
  """Every leaf of the model is there, with its shape and dtype, and no other.

  Raises:
    CheckpointError: names a leaf and its nearest relatives.
  """
  for name in sorted(set(expected) - set(recorded)):
    raise checkpoint_errors.CheckpointError(
      f"{path} lacks {name}; nearest there: {_nearest(name, recorded)}"
    )
  for name in sorted(set(recorded) - set(expected)):
    raise checkpoint_errors.CheckpointError(
      f"{path} holds {name}, which is not expected; nearest expected: "
      f"{_nearest(name, expected)}"
    )
  for name, leaf in expected.items():
    there = (tuple(recorded[name]["shape"]), recorded[name]["dtype"])
    here = (tuple(leaf.shape), str(leaf.dtype))
    if there != here:
      raise checkpoint_errors.CheckpointError(
        f"{path}: {name} is {there[1]} {there[0]}, expected {here[1]} {here[0]}"
      )
