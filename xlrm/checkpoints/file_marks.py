"""What tells a file from another one of its name, without reading all of it.

Small files by their content. Of packed ones (the chunks of T5X's arrays) the
last bytes are a checksum of what is packed. All others by size and time: a
copy that keeps the times (mv, cp -a, rsync -a) is the same.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import hashlib
import os
import zipfile

from etils import epath

from xlrm.checkpoints import checkpoint_errors
from xlrm.storage import files

SMALL = 2**16  # bytes
_GZIP = b"\x1f\x8b"
_TRAILER = 8  # bytes: CRC-32 and length, see RFC 1952
_AT_ONCE = 16  # files, which may each be a request


def of_content(path: epath.Path) -> str:
  """The checksum of a file that is read anyway."""
  return hashlib.sha256(files.read_bytes(path)).hexdigest()


def of_file(path: epath.Path) -> str:
  """Changes when the file does."""
  if files.is_remote(path):
    found = path.stat()
    size, time = found.length, found.mtime
  else:
    found = os.stat(path)
    size, time = found.st_size, found.st_mtime_ns
  if size <= SMALL:
    return of_content(path)
  if not files.is_remote(path):  # from a bucket two parts would be requests
    with files.opened(path) as file:
      if file.read(len(_GZIP)) == _GZIP:
        file.seek(-_TRAILER, os.SEEK_END)
        return f"{size} bytes, {file.read().hex()}"
  return f"{size} bytes of {time}"


def _files(entry: epath.Path) -> Iterator[epath.Path]:
  """A file, or those in a folder and below."""
  if not entry.is_dir():
    yield entry
    return
  for one in files.listing(entry):
    yield from _files(one)


def of_folder(
  folder: epath.Path, kept: Callable[[str], bool] = lambda name: True
) -> list[str]:
  """A line for each file in a folder and below, sorted by name.

  Args:
    folder: here or in a bucket.
    kept: whether an entry of the folder counts, by its name.
  """
  found = [
    path
    for entry in files.listing(folder)
    if kept(entry.name)
    for path in _files(entry)
  ]
  with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
    marks = pool.map(of_file, found)
    return sorted(
      f"{path.relative_to(folder)}: {mark}"
      for path, mark in zip(found, marks, strict=True)
    )


def of_archive(path: files.Name) -> list[str]:
  """A line for each member of a .npz file, with its checksum.

  Raises:
    CheckpointError: the file is damaged.
  """
  try:
    with zipfile.ZipFile(files.local(path)) as archive:
      members = archive.infolist()
  except zipfile.BadZipFile as error:
    raise checkpoint_errors.CheckpointError(
      f"{path} is damaged ({error})"
    ) from error
  return sorted(
    f"{x.filename}: {x.file_size} bytes, {x.CRC:08x}" for x in members
  )
