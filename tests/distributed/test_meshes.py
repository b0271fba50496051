"""Meshes: their sizes, how devices lie in them, and which rows they hold."""

import types

import jax
import jax.numpy as jnp
import pytest

from xlrm.distributed import meshes
from xlrm.distributed import processes


def _mesh(data, model):
  return meshes.MeshConfig(data, model).build(jax.devices()[: data * model])


def test_mesh_sizes():
  assert dict(_mesh(4, 2).shape) == {"data": 4, "model": 2}
  everything = meshes.MeshConfig().build()
  assert everything.shape["data"] == len(jax.devices())
  with pytest.raises(ValueError, match=r"data=3 x model=2 .*\(4, 2\)"):
    meshes.MeshConfig(3, 2).build()
  with pytest.raises(ValueError, match="model=0"):
    meshes.MeshConfig(1, 0).build()


def test_a_mesh_that_does_not_fit_names_the_nearest_that_do():
  with pytest.raises(ValueError, match=r": \(6, 2\), \(4, 3\), \(12, 1\)$"):
    meshes.MeshConfig(2, 2).abstract(12)
  with pytest.raises(ValueError, match=r": \(1, 16\), \(2, 8\), \(4, 4\)$"):
    meshes.MeshConfig(model=100).abstract(16)


def test_a_batch_size_that_does_not_divide_names_the_nearest():
  mesh = _mesh(8, 1)
  meshes.check_batch_size(16, mesh, 2)
  with pytest.raises(
    ValueError, match="batch_size 20 .* nearest valid: 16, 24"
  ):
    meshes.check_batch_size(20, mesh)
  with pytest.raises(ValueError, match="nearest valid: 32"):
    meshes.check_batch_size(20, mesh, 4)


def test_a_smaller_batch_still_divides():
  mesh = _mesh(4, 2)
  fitting = meshes.fitting_batch_size
  assert [fitting(32, rows, mesh) for rows in (1, 4, 5, 31, 99)] == [
    4, 4, 8, 32, 32,
  ]  # fmt: skip
  with pytest.raises(ValueError, match="batch_size 30"):
    fitting(30, 5, mesh)


def test_without_an_active_mesh_nothing_is_constrained():
  x = jnp.ones((8, 4))
  assert meshes.rows_over_data(x) is x
  with meshes.active(_mesh(1, 1)):
    assert meshes.rows_over_data(x) is x
  with meshes.active(_mesh(4, 2)):
    assert meshes.rows_over_data(x[:3]).shape == (3, 4)  # does not divide


def device(slice_index: int, process_index: int, number: int):
  return types.SimpleNamespace(
    slice_index=slice_index, process_index=process_index, id=number
  )


def test_slices_and_processes_stay_together_in_a_mesh():
  # Two slices of two processes of two devices, as a pod may number them.
  devices = [device(n % 2, 2 * (n % 2) + n // 2 % 2, n) for n in range(8)]
  ordered = meshes.in_order(devices, 2)
  assert [x.slice_index for x in ordered] == [0] * 4 + [1] * 4
  assert [x.process_index for x in ordered] == [0, 0, 1, 1, 2, 2, 3, 3]
  with pytest.raises(ValueError, match="model=8 does not fit into slice 0"):
    meshes.in_order(devices, 8)


def test_a_mesh_is_shared_out_or_refused(monkeypatch):
  monkeypatch.setattr(processes, "count", lambda: 2)
  monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:4])
  assert dict(meshes.MeshConfig(4, 2).build_own().shape) == {
    "data": 2,
    "model": 2,
  }
  with pytest.raises(ValueError, match="over 2 processes of 4 devices"):
    meshes.MeshConfig(1, 8).build_own()


@pytest.mark.parametrize(
  ("held", "expected"),
  [
    ([slice(0, 4), slice(4, 8)], slice(0, 8)),
    ([slice(8, 12), slice(8, 12)], slice(8, 12)),  # 'model' repeats rows
    ([slice(0, 4), slice(8, 12)], None),
  ],
)
def test_own_rows_are_a_block_or_none(held, expected, monkeypatch):
  class Place:
    def addressable_devices_indices_map(self, shape):
      del shape
      return {number: (rows,) for number, rows in enumerate(held)}

  monkeypatch.setattr(meshes, "batch_sharding", lambda mesh: Place())
  assert meshes.own_rows(16, None) == expected


def test_one_process_holds_all_rows():
  assert meshes.own_rows(16, _mesh(4, 2)) == slice(0, 16)


@pytest.mark.parametrize(
  ("number", "unit", "expected"), [(0, 4, 0), (1, 4, 4), (8, 4, 8), (9, 1, 9)]
)
def test_round_up_goes_to_the_next_multiple(number, unit, expected):
  assert meshes.round_up(number, unit) == expected


def test_a_mesh_is_active_inside_alone():
  assert meshes.active_axes() == {}
  with meshes.active(_mesh(2, 4)):
    assert meshes.active_axes() == {"data": 2, "model": 4}
  with meshes.active(None):
    assert meshes.active_axes() == {}
