"""Temporary files and folders, each beside what it becomes.

`.NAME.1f0c2a9e.partial` is locked (flock) by the process that writes it. A kill
lets it go, and whoever writes NAME next removes it. Where a file system knows
no locks, what a kill left stays until somebody removes it.
"""

from collections.abc import Callable, Iterator
import contextlib
import fcntl
import os
import pathlib
import re
import secrets
import shutil
from typing import BinaryIO

SUFFIX = ".partial"
_NAME = re.compile(rf"\..+\.[0-9a-f]{{8}}{re.escape(SUFFIX)}", re.DOTALL)


def is_temporary(name: str) -> bool:
  """Whether a file of this name is one that is being written, or was."""
  return _NAME.fullmatch(name) is not None


def _lock(descriptor: int) -> None:
  fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(path: pathlib.Path) -> None:
  if path.is_dir():
    shutil.rmtree(path, ignore_errors=True)
  else:
    path.unlink(missing_ok=True)


def _remove_left(target: pathlib.Path) -> None:
  """Removes what ended processes left of `target`."""
  start, end = f".{target.name}.", SUFFIX
  for name in os.listdir(target.parent):
    own = name.startswith(start) and name.endswith(end)
    if not own or len(name) != len(start) + 8 + len(end):
      continue
    left = target.with_name(name)
    # Whatever is wrong with another's file is no reason not to write this one.
    with contextlib.suppress(OSError):
      # NFS locks for writing only what is open for writing.
      descriptor = os.open(left, os.O_RDONLY if left.is_dir() else os.O_RDWR)
      try:
        _lock(descriptor)
        _remove(left)
      finally:
        os.close(descriptor)


def _claim(
  target: pathlib.Path, make: Callable[[pathlib.Path], int]
) -> tuple[pathlib.Path, int]:
  """A new file or folder, and the descriptor that holds its lock."""
  while True:
    name = f".{target.name}.{secrets.token_hex(4)}{SUFFIX}"
    temporary = target.with_name(name)
    descriptor = make(temporary)
    try:
      _lock(descriptor)
    except BlockingIOError:  # taken for a dead one: it is being removed
      os.close(descriptor)
      continue
    except OSError:  # a file system without locks
      return temporary, descriptor
    if temporary.exists():
      return temporary, descriptor
    os.close(descriptor)  # it was removed already


@contextlib.contextmanager
def file(target: pathlib.Path, mode: int) -> Iterator[BinaryIO]:
  """A file that becomes `target`, on disk, when the context is left well.

  Args:
    target: in a folder that exists.
    mode: permissions, from which the umask takes away.
  """
  flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
  _remove_left(target)
  temporary, descriptor = _claim(target, lambda x: os.open(x, flags, mode))
  try:
    with open(descriptor, "w+b", closefd=False) as opened:
      yield opened
    os.fsync(descriptor)
    os.replace(temporary, target)
  except BaseException:
    _remove(temporary)
    raise
  finally:
    os.close(descriptor)


def _make_folder(path: pathlib.Path) -> int:
  path.mkdir()
  return os.open(path, os.O_RDONLY)


@contextlib.contextmanager
def folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
  """A folder that becomes `target` when the context is left well.

  Raises:
    FileExistsError: `target` exists by then.
  """
  _remove_left(target)
  temporary, descriptor = _claim(target, _make_folder)
  try:
    yield temporary
    if os.path.lexists(target):
      raise FileExistsError(f"{target} exists already; choose another place")
    os.rename(temporary, target)
  except BaseException:
    _remove(temporary)
    raise
  finally:
    os.close(descriptor)
