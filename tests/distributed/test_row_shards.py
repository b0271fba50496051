"""Rows split over processes come back whole and in their order."""

import jax
import numpy as np
import pytest

from xlrm.distributed import meshes
from xlrm.distributed import processes
from xlrm.distributed import row_shards
from xlrm.storage import chunked_files


class Others:
  """Stands for the other processes: each of `count` is played in turn."""

  def __init__(self, monkeypatch, count: int):
    self._patch = monkeypatch
    monkeypatch.setattr(processes, "count", lambda: count)
    monkeypatch.setattr(processes, "broadcast", lambda value: value)
    monkeypatch.setattr(processes, "barrier", lambda: None)

  def play(self, index: int) -> None:
    self._patch.setattr(processes, "index", lambda: index)
    first = lambda function: function() if index == 0 else None
    self._patch.setattr(processes, "on_first", first)


def file_of(folder, total: int) -> chunked_files.ChunkedFile:
  return chunked_files.ChunkedFile(folder / "x.jsonl", "job", total, keep=True)


def squares(part, rows: slice) -> None:
  """Writes n^2 of its rows, two at a time."""
  numbers = range(rows.start, rows.stop)
  with part:
    for chunk in part.chunks(2):
      part.append([{"square": n**2} for n in numbers[chunk]])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_as_many_processes_as_one_likes_write_the_same_file(
  count, tmp_path, monkeypatch
):
  others = Others(monkeypatch, count)
  for index in reversed(range(count)):  # the first one joins the files
    others.play(index)
    file = file_of(tmp_path, 7)
    row_shards.write(file, squares)
  assert [row["square"] for row in file.rows()] == [0, 1, 4, 9, 16, 25, 36]
  assert {x.name for x in tmp_path.iterdir()} == {"x.jsonl", "x.jsonl.json"}


def test_a_complete_file_is_written_by_nobody(tmp_path, monkeypatch, capsys):
  row_shards.write(file_of(tmp_path, 3), squares)
  Others(monkeypatch, 2).play(0)
  row_shards.write(file_of(tmp_path, 3), lambda part, rows: pytest.fail())
  assert "x.jsonl is complete" in capsys.readouterr().out


def test_each_row_is_worked_out_once(monkeypatch):
  Others(monkeypatch, 3)
  parts = []
  for index in range(3):
    monkeypatch.setattr(processes, "index", lambda index=index: index)
    monkeypatch.setattr(processes, "gather", lambda found: [found])
    parts += row_shards.each(2, lambda rows: [rows.start])
  assert parts == [0, 1]  # the third one has none, and is not called


def test_under_way_in_all_is_shared_and_rounded_up_to_the_mesh(monkeypatch):
  mesh = meshes.MeshConfig(data=4, model=2).build()
  assert row_shards.batch_size(30, mesh) == row_shards.batch_size(30, None)
  monkeypatch.setattr(processes, "count", lambda: 3)
  assert row_shards.batch_size(30, mesh) == 12


def test_one_process_keeps_its_mesh_and_its_arrays(monkeypatch):
  mesh = meshes.MeshConfig(data=4, model=2).build()
  params = {"wo": {"kernel": np.ones((8, 4))}}
  assert row_shards.own_mesh(mesh) is mesh
  assert row_shards.on_own_mesh(params, mesh) is params
  # As several, its part of the mesh: of one host all of it.
  monkeypatch.setattr(processes, "count", lambda: 2)
  assert row_shards.own_mesh(mesh).devices.size == len(jax.devices())
  moved = row_shards.on_own_mesh(params, mesh)["wo"]["kernel"]
  np.testing.assert_array_equal(moved, params["wo"]["kernel"])


def test_a_row_of_the_mesh_that_spans_processes_is_refused(monkeypatch):
  class Spread:
    shape = {"data": 1, "model": 8}
    local_mesh = meshes.MeshConfig(data=1, model=4).build(jax.devices()[:4])

  monkeypatch.setattr(processes, "count", lambda: 2)
  with pytest.raises(ValueError, match="model=8 is spread over processes"):
    row_shards.own_mesh(Spread())
