"""Rows of accuracy come back from JSON as they were."""

import dataclasses
import json

import pytest

from xlrm.evaluation import accuracy
from xlrm.evaluation import accuracy_files


@pytest.fixture
def row():
  return accuracy.accuracy_row(
    "en",
    "es",
    scores=[1.0, -1.0, 2.0, 0.5],
    ratings=[1.0, 0.0, 0.0, 1.0],
    lengths=[1, 2, 3, 4],
    baseline=accuracy.LengthBaseline(2.0, True),
    faults=["none", "wrong_number", "wrong_name", "none"],
  )


def test_faults_and_heads_survive(row, tmp_path):
  heads = dataclasses.replace(row, heads=5, spread=(0.25, 0.75))
  path = tmp_path / "new" / "accuracy.json"
  accuracy_files.write(path, [row, heads])
  assert accuracy_files.read(path) == [row, heads]
  assert accuracy_files.read(str(path))[0].by_fault["wrong_name"].n == 1
  assert [x.name for x in path.parent.iterdir()] == ["accuracy.json"]


def test_the_file_is_json_that_others_can_read(row, tmp_path):
  path = tmp_path / "accuracy.json"
  accuracy_files.write(path, [row])
  (found,) = json.loads(path.read_text())
  assert found["accuracy"] == 0.75 and found["language"] == "es"


def test_what_cannot_be_written_leaves_what_was_there(row, tmp_path):
  path = tmp_path / "accuracy.json"
  accuracy_files.write(path, [row])
  before = path.read_bytes()
  with pytest.raises(TypeError):
    accuracy_files.write(path, [dataclasses.replace(row, n=object())])
  assert path.read_bytes() == before
