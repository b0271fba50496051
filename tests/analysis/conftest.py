"""The made-up study that the tests of this folder share."""

import importlib.util
import pathlib

import pytest


@pytest.fixture(scope="session")
def study():
  path = pathlib.Path(__file__).with_name("study.py")
  spec = importlib.util.spec_from_file_location("analysis_study", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="session")
def inputs(study):
  return study.make_inputs()
