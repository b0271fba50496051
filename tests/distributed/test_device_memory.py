"""Devices by name, and whether a plan fits into them."""

import re

import jax
import pytest

from xlrm.distributed import device_memory
from xlrm.distributed import meshes


@pytest.mark.parametrize(
  "name, count, gib",
  [
    ("H200", 1, 139.8),
    ("h100x8", 8, 79.2),
    ("v4-8", 4, 32),
    ("v4-32", 16, 32),
    ("v5p-8", 4, 95),
    ("v5e-8", 8, 16),
    ("v5e", 1, 16),
  ],
)
def test_devices_are_named_as_people_name_them(name, count, gib):
  found = device_memory.devices(name)
  assert (found.count, found.gib) == (count, gib)


@pytest.mark.parametrize(
  "name, says",
  [
    ("v7", "none of v4, v5e"),
    ("", "none of"),
    ("H100-8", "write H100x8"),
    ("v4-3", "multiple of 2 cores"),
    ("H200x0", "no devices"),
    ("v4-0", "multiple of 2"),
  ],
)
def test_a_device_that_does_not_exist_is_an_error(name, says):
  with pytest.raises(ValueError, match=says):
    device_memory.devices(name)


def test_the_plan_says_where_it_fits():
  plan = device_memory.MemoryPlan({"parameters": 20 * 2**30, "cache": 2**30})
  text = plan.text()
  assert re.search(r"total +21\.000", text)
  assert "v4 (32) yes" in text and "v5e (16) NO" in text
  assert plan.fits(device_memory.devices("v4-8"))
  assert "H200" not in plan.text(device_memory.devices("v4-8"))


def test_a_batch_that_does_not_fit_is_told_the_largest_that_does():
  plan_of = lambda size: device_memory.MemoryPlan({"x": 100 + 7 * size})
  device_memory.check_batch_fits(plan_of, 10, None)
  device_memory.check_batch_fits(plan_of, 10, 170)
  with pytest.raises(ValueError, match="batch_size 64 .* fits is 10$"):
    device_memory.check_batch_fits(plan_of, 64, 176)
  with pytest.raises(ValueError, match="not even batch_size 1 fits"):
    device_memory.check_batch_fits(plan_of, 64, 100)
  mesh = meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  assert device_memory.available_bytes(mesh) > 2**20


def test_a_mesh_is_planned_for_as_many_devices():
  mesh = meshes.MeshConfig().abstract(4)
  assert device_memory.of_mesh(None, mesh) is None
  assert device_memory.of_mesh("v4-8", mesh) == device_memory.devices("v4-8")
  with pytest.raises(ValueError, match="v4-32 has 16 devices, and the mesh"):
    device_memory.of_mesh("v4-32", mesh)
  with pytest.raises(ValueError, match="device 'v9-8' is none of v4"):
    device_memory.of_mesh("v9-8", mesh)
