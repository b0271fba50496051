"""Versions and the CPU, as other tools see them."""

import importlib.metadata
import pathlib
import sys

from xlrm.distributed import machine


def test_versions_are_those_that_python_and_packages_say():
  found = machine.versions(["jax", "no-such-package"])
  assert found == {
    "python": ".".join(map(str, sys.version_info[:3])),
    "jax": importlib.metadata.version("jax"),
    "no-such-package": machine.NOT_INSTALLED,
  }
  assert machine.versions().keys() == {"python", *machine.PACKAGES}


def test_the_cpu_has_a_name():
  name = machine.cpu_name()
  assert name
  said = pathlib.Path("/proc/cpuinfo")
  if said.exists() and "model name" in said.read_text():
    assert name in said.read_text()
