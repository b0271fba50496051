"""Arrays of an .npz file that stay in the file until they are looked at."""

import mmap
import os
import struct
import zipfile

import numpy as np

SMALLEST = 2**16  # bytes; less is simply read
_LOCAL = struct.Struct("<26xHH")  # a member's header: sizes of name and extras


def arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The large arrays that were written without compression, by `np.savez`.

  Only pages that are looked at are read, and the system may drop them again. A
  damaged page is not noticed.
  """
  with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
    plain = [
      member
      for member in archive.infolist()
      if member.compress_type == zipfile.ZIP_STORED
      and member.file_size >= SMALLEST
    ]
    if not plain:
      return {}
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):
      memory.madvise(mmap.MADV_RANDOM)  # no reading ahead: rows lie anywhere
    return {
      member.filename.removesuffix(".npy"): _array(archive, member, memory)
      for member in plain
    }


def _array(
  archive: zipfile.ZipFile, member: zipfile.ZipInfo, memory: mmap.mmap
) -> np.ndarray:
  with archive.open(member) as opened:
    version = np.lib.format.read_magic(opened)
    read = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read(opened)
    start = opened.tell()
  name, extra = _LOCAL.unpack_from(memory, member.header_offset)
  start += member.header_offset + _LOCAL.size + name + extra
  size = int(np.prod(shape))
  return np.frombuffer(memory, dtype, size, start).reshape(shape)
