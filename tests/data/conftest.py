"""Registered tasks of a test are forgotten after it."""

import importlib
import pkgutil

import pytest


@pytest.fixture
def registry():
  from xlrm.data import registry as registry_lib
  import xlrm.tasks

  # A module registers when it is first imported: before, or it never would.
  for module in pkgutil.iter_modules(xlrm.tasks.__path__):
    importlib.import_module(f"xlrm.tasks.{module.name}")
  before = set(registry_lib.names())
  yield registry_lib
  for name in set(registry_lib.names()) - before:
    registry_lib.remove(name)
