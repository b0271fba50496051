"""Row shards: rows split over processes, and joined again in their order.

Each process works on a block of rows with its own devices and its own file;
the first one joins the files. What a row becomes does not depend on who does
it: its random numbers belong to its id.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from xlrm import types
from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.storage import chunked_files

# write(file, rows): appends the lines of these rows that are not yet there.
Write = Callable[[chunked_files.ChunkedFile, slice], None]


def own_mesh(mesh: jax.sharding.Mesh) -> jax.sharding.Mesh:
  """The part of a mesh that is this process's.

  Raises:
    ValueError: rows of the mesh are spread over processes.
  """
  if processes.count() == 1:
    return mesh
  own = mesh.local_mesh
  if own.shape["model"] != mesh.shape["model"]:
    raise ValueError(
      f"model={mesh.shape['model']} is spread over processes, each of which "
      f"has {own.size} devices; each samples alone, so model must divide that"
    )
  return own


def _same(tree):  # one function, so that it is compiled once
  return tree


def on_own_mesh(params: types.Params, mesh: jax.sharding.Mesh) -> types.Params:
  """Parameters of a mesh as arrays of each process, on `own_mesh`."""
  if processes.count() == 1:
    return params
  own = own_mesh(mesh)
  places = sharding.tree_shardings(params, mesh, sharding.split_over_model)
  params = jax.jit(_same, out_shardings=places)(params)
  return jax.tree.map(
    lambda x: jax.make_array_from_single_device_arrays(
      x.shape,
      jax.sharding.NamedSharding(own, x.sharding.spec),
      [part.data for part in x.addressable_shards],
    ),
    params,
  )


def batch_size(total: int, mesh: jax.sharding.Mesh | None) -> int:
  """The batch size of each process if `total` rows are under way in all.

  Args:
    total: rows under way in all processes.
    mesh: of this process; its 'data' axis divides the size.
  """
  if processes.count() == 1:
    return total
  return meshes.round_up(-(-total // processes.count()), mesh.shape["data"])


def write(file: chunked_files.ChunkedFile, make: Write) -> None:
  """Writes a file, each process its shard of the rows.

  Row shards are `NAME.0-of-2`, ..; killed and started again with as many
  processes, each goes on after its last complete chunk. With another number of
  processes the file is begun anew, if it was not complete.

  Args:
    file: of all rows; the same in all processes.
    make: called once per process, in all of them even if one has nothing left
      to do, since they read parameters together.
  """
  count = processes.count()
  if count == 1:
    make(file, slice(0, file.total))
    return
  file.complete = processes.broadcast(file.complete)
  if file.complete:
    print(f"{file.path} is complete", flush=True)
    return
  rows = [processes.row_shard(file.total, number) for number in range(count)]
  parts = [x.stop - x.start for x in rows]
  own = processes.index()
  make(file.part(own, count, parts[own]), rows[own])
  processes.barrier()
  processes.on_first(
    lambda: file.join([file.part(i, count, n) for i, n in enumerate(parts)])
  )
  file.complete, file.done = True, file.total


def each(total: int, make: Callable[[slice], Sequence[Any]]) -> list[Any]:
  """One result per row of `total`, all of them in all processes.

  Args:
    total: number of rows.
    make: a block of rows -> their results; not called in a process that has
      none, so nothing in it may wait for another process.
  """
  own = processes.row_shard(total)
  found = make(own) if own.start < own.stop else []
  return [x for part in processes.gather(found) for x in part]
