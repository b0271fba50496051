"""Files of this machine or of a bucket: the one place that reads and writes.

A file is there whole or not at all: what is written takes its name once it is
complete and on disk, see `temporary_files`. 'gs://bucket/x' is a file of that
bucket wherever it is read or written whole; what appends, locks or maps into
memory needs a folder of this machine, see `local`.
"""

from collections.abc import Iterator
import contextlib
import difflib
import fnmatch
import glob
import gzip
import io
import os
import pathlib
import re
import tempfile
from typing import BinaryIO, TextIO
import zlib

from etils import epath

from xlrm.storage import temporary_files

SCHEMES = ("gs", "s3", "az", "hf")
Name = str | os.PathLike


def path(name: Name) -> epath.Path:
  """What a name means: a file or folder here, or one of a bucket.

  Raises:
    ValueError: it is no name of either; 'gs:/b/x' has lost a slash.
  """
  text = os.fspath(name)
  scheme, slashes, _ = text.partition("://")
  if slashes and scheme not in SCHEMES:
    known = ", ".join(f"{x}://" for x in SCHEMES)
    raise ValueError(f"{text}: {scheme}:// is none of {known} and no folder")
  if re.match(rf"({'|'.join(SCHEMES)}):(?!//)", text):
    raise ValueError(f"{text}: a bucket is named with two slashes, gs://BUCKET")
  return epath.Path(text)


def is_remote(name: Name) -> bool:
  """Whether it is a file or folder of a bucket."""
  return "://" in os.fspath(path(name))


def local(name: Name) -> pathlib.Path:
  """A file or folder of this machine.

  Raises:
    ValueError: it is in a bucket; says how to mount one.
  """
  if is_remote(name):
    raise ValueError(
      f"{name}: a folder of this machine is needed here; `xlrm launch` mounts "
      "buckets on its workers, by hand: gcsfuse BUCKET FOLDER"
    )
  return pathlib.Path(name)


def expand(pattern: str) -> list[str]:
  """The files that a path or glob means, sorted; $NAME and ~ are replaced.

  Raises:
    FileNotFoundError: there is none.
    ValueError: an environment variable of it is not set.
  """
  text = os.path.expanduser(os.path.expandvars(pattern))
  unset = re.search(r"\$\{?(\w+)", text)
  if unset:
    raise ValueError(
      f"{pattern}: the environment variable {unset[1]} is not set; it names "
      "the folder of the data"
    )
  found = _remote_glob(text) if is_remote(text) else glob.glob(text)
  if not found:
    raise _missing(text)
  return sorted(found)


def _remote_glob(text: str) -> list[str]:
  """A glob where only `epath` can list: from its first part with a sign."""
  parts = text.split("/")
  signs = [i for i, part in enumerate(parts) if re.search(r"[*?\[]", part)]
  if not signs:
    return [text] if path(text).exists() else []
  folder, rest = "/".join(parts[: signs[0]]), "/".join(parts[signs[0] :])
  return [str(x) for x in path(folder).glob(rest)]


def _missing(name: Name) -> FileNotFoundError:
  found = path(name)
  siblings = [x.name for x in listing(found.parent)]
  near = difflib.get_close_matches(found.name, siblings, 1)
  hint = f"; the nearest name there is {near[0]}" if near else ""
  return FileNotFoundError(f"no file {name}{hint}")


def listing(folder: Name, pattern: str = "*") -> list[epath.Path]:
  """What a folder holds, by name, without what is being written there.

  Args:
    folder: one that does not exist holds nothing.
    pattern: of names.
  """
  found = path(folder)
  if not found.is_dir():
    return []
  kept = [
    entry
    for entry in found.iterdir()
    if fnmatch.fnmatchcase(entry.name, pattern)
    and not temporary_files.is_temporary(entry.name)
  ]
  return sorted(kept, key=lambda entry: entry.name)


def opened(name: Name) -> BinaryIO:
  """A file to read from; one of a bucket is read whole first.

  Raises:
    FileNotFoundError: names the nearest name in its folder.
  """
  found = path(name)
  try:
    if is_remote(found):
      return io.BytesIO(found.read_bytes())
    return open(found, "rb")
  except FileNotFoundError as error:
    raise _missing(name) from error


def read_bytes(name: Name) -> bytes:
  """A whole file."""
  with opened(name) as file:
    return file.read()


def text_lines(name: Name) -> Iterator[tuple[str, str]]:
  """('file:line', line) of a UTF-8 file, each line with its end.

  `.gz` is unpacked, a byte-order mark left out.

  Raises:
    ValueError: a truncated or damaged gzip, or not UTF-8; names the line.
  """
  number = 0
  with opened(name) as raw:
    packed = os.fspath(name).endswith(".gz")
    try:
      for line in gzip.GzipFile(fileobj=raw) if packed else raw:
        number += 1
        place = f"{name}:{number}"
        yield place, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
      raise ValueError(
        f"{place}: UTF-8 was expected ({error.reason})"
      ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
      raise ValueError(
        f"{name}:{number + 1}: a truncated or damaged gzip file ({error})"
      ) from error


def read_text(name: Name) -> str:
  """A whole UTF-8 file; see `text_lines`."""
  return "".join(line for _, line in text_lines(name))


@contextlib.contextmanager
def writing(name: Name, mode: int = 0o666) -> Iterator[BinaryIO]:
  """A temporary file, which takes the name when the context is left well.

  Args:
    name: of a file whose folder is made; what was there before stays until
      the new one is complete, and if anything fails.
    mode: permissions of a file here, from which the umask takes away.
  """
  target = path(name)
  if is_remote(target):
    with tempfile.TemporaryFile() as held:
      with open(held.fileno(), "w+b", closefd=False) as file:
        yield file
      held.seek(0)
      target.write_bytes(held.read())  # an object is whole or not there
    return
  target = pathlib.Path(target)
  target.parent.mkdir(parents=True, exist_ok=True)
  with temporary_files.file(target, mode) as file:
    yield file


@contextlib.contextmanager
def writing_text(name: Name) -> Iterator[TextIO]:
  """The same for UTF-8 text; `.gz` is packed."""
  with writing(name) as raw:
    binary = raw
    if os.fspath(name).endswith(".gz"):
      # No name and no time in the header: same text, same bytes.
      binary = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
    with io.TextIOWrapper(binary, encoding="utf-8", newline="\n") as text:
      yield text


def write_bytes(name: Name, content: bytes, mode: int = 0o666) -> None:
  """Writes a file, or leaves what was there before; see `writing`."""
  with writing(name, mode) as file:
    file.write(content)


def write_text(name: Name, text: str) -> None:
  """Writes a text in UTF-8, or leaves what was there before."""
  with writing_text(name) as file:
    file.write(text)


@contextlib.contextmanager
def writing_folder(name: Name) -> Iterator[epath.Path]:
  """A temporary folder, which takes the name when the context is left well.

  Raises:
    FileExistsError: there is something of this name.
  """
  final = path(name)
  if final.exists():
    raise FileExistsError(f"{final} exists already; choose another place")
  if not is_remote(final):
    pathlib.Path(final).parent.mkdir(parents=True, exist_ok=True)
    with temporary_files.folder(pathlib.Path(final)) as folder:
      yield path(folder)
    return
  # Nothing can be locked there, so what a kill left has one known name.
  folder = final.with_name(f".{final.name}{temporary_files.SUFFIX}")
  folder.rmtree(missing_ok=True)
  folder.mkdir(parents=True)
  yield folder
  folder.rename(final)


def replace(source: Name, target: Name) -> None:
  """Gives a complete file of this machine another name."""
  os.replace(local(source), local(target))


def remove(name: Name) -> None:
  """Removes a file, if it is there."""
  found = path(name)
  if not is_remote(found):
    found = pathlib.Path(found)  # epath's removes empty folders, too
  found.unlink(missing_ok=True)
