"""Registered tasks of a test are forgotten after it."""

import pytest


@pytest.fixture
def registry():
  from xlrm.data import registry as registry_lib

  before = set(registry_lib.names())
  yield registry_lib
  for name in set(registry_lib.names()) - before:
    registry_lib.remove(name)
