"""From a source to the devices: each process makes the rows it holds.

Batch i is the same whoever makes it. Its rows lie on the devices of some
process, and only that one fetches, pads and moves them. Where a source can be
shared, the first process alone reads and tokenizes, and the others find their
rows in a file that it wrote, of which they read no more than these.
"""

from collections.abc import Callable, Iterator
import dataclasses
import os
import pathlib
import shutil
import tempfile
from typing import Any

import jax
import numpy as np

from xlrm.batches import batch_sources
from xlrm.batches import npz_files
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.storage import files

MOUNTS = "/proc/self/mounts"
ROWS = "rows.npz"  # in MODEL_DIR, while a job of several processes runs


def shared(
  make: Callable[[], batch_sources.ArraySource], path: str | os.PathLike
) -> batch_sources.ArraySource:
  """What `make` gives in the first process, mapped into the memory of all.

  Without texts. Written without compression, so that rows can be looked up.
  In a mounted bucket every page would be a request, so from there each process
  takes a copy into its folder for temporary files.
  """
  settings = processes.alone_on_first(_write, make, path)
  if not is_mounted(path):
    return npz_files.npz_source(path, **settings)
  with tempfile.TemporaryDirectory() as folder:  # what is mapped outlives it
    copy = shutil.copy(path, folder)
    return npz_files.npz_source(copy, **settings)


def is_mounted(path: str | os.PathLike, mounts: str = MOUNTS) -> bool:
  """Whether a file lies behind a program (FUSE), as mounted buckets do."""
  try:
    rows = files.read_text(mounts).splitlines()
  except OSError:
    return False  # not Linux
  parents = {str(x) for x in files.local(path).resolve().parents}
  kinds = [
    (len(at), kind) for _, at, kind, *_ in map(str.split, rows) if at in parents
  ]
  # The innermost; of those at one place the last.
  kind = max(reversed(kinds), key=lambda x: x[0], default=(0, ""))[1]
  return kind.startswith("fuse")


def _write(make, path) -> dict[str, Any]:
  source = make()
  bare = dataclasses.replace(source, texts={})
  npz_files.write_npz(path, bare, compressed=False)
  names = ("lengths", "batch_size", "seed", "packing")
  return {name: getattr(source, name) for name in names}


def look(source: batch_sources.BatchSource) -> tuple[Any, Any, str]:
  """The first batch, the first of validation (or None), the fingerprint.

  Whole in all processes. Of a source that can be shared only the first process
  reads.

  Raises:
    ValueError: there is nothing to train on, or processes have other rows.
  """
  if hasattr(source, "shared"):
    return processes.alone_on_first(_look, source)
  found = _look(source)
  for number, data in enumerate(processes.gather(found[2])):
    if data != found[2]:
      raise ValueError(
        f"process {number} has other rows than process {processes.index()} "
        f"(fingerprints {data} and {found[2]}): every process must read the "
        "same files"
      )
  return found


def _look(source: batch_sources.BatchSource) -> tuple[Any, Any, str]:
  first = next(source.train_batches(0))
  validation = next(iter(source.validation_batches()), None)
  return first, validation, source.fingerprint()


@dataclasses.dataclass(frozen=True)
class Feed:
  """Batches of a source for the devices of a mesh.

  Attributes:
    source: of whole batches.
    mesh: over all processes.
    size: rows of a whole batch.
    own: those that this process makes; None is all of them.
    path: of the file that the source reads, if it was written for this run.
  """

  source: batch_sources.BatchSource
  mesh: jax.sharding.Mesh
  size: int
  own: slice | None = None
  path: pathlib.Path | None = None

  def train_batches(self, start_step: int) -> Iterator[Any]:
    """Own rows of the endless batches from number `start_step` on."""
    if self.own is None:
      return self.source.train_batches(start_step)
    return self.source.train_batches(start_step, self.own)

  def validation_batches(self) -> Iterator[Any]:
    """Own rows of the validation batches."""
    if self.own is None:
      return self.source.validation_batches()
    return self.source.validation_batches(self.own)

  def place(self, batch: Any) -> Any:
    """A batch of one of these on the devices, where it is whole."""
    if self.own is None:
      return sharding.shard(batch, self.mesh)
    place = meshes.batch_sharding(self.mesh)
    return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(
        place, np.asarray(x), (self.size, *x.shape[1:])
      ),
      batch,
    )

  def whole(self, number: int) -> Any:
    """All rows of training batch `number`, on the host."""
    return next(self.source.train_batches(number))

  def close(self) -> None:
    """Removes the file, once all processes have the last batch."""
    if self.path is not None and processes.is_first():
      files.remove(self.path)


def open_feed(
  source: batch_sources.BatchSource,
  mesh: jax.sharding.Mesh,
  size: int,
  directory: str | os.PathLike,
) -> Feed:
  """The feed of a run.

  Args:
    size: rows of a batch.
    directory: that all processes see, for the rows of a source which can be
      shared.
  """
  if processes.count() == 1:
    return Feed(source, mesh, size)
  path = None
  if hasattr(source, "shared"):
    path = files.local(directory) / ROWS
    source = source.shared(path)
  own = None
  if isinstance(source, batch_sources.ArraySource):
    own = meshes.own_rows(size, mesh)
  return Feed(source, mesh, size, own, path)
