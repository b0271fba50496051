"""A study of people that was just begun."""

import people
import pytest


@pytest.fixture
def folder(tmp_path):
  return people.begin(tmp_path / "people")
