"""What the tests of gin files share."""

from collections.abc import Callable
import pathlib

import pytest
import toy_jobs

from xlrm.config import configurables
from xlrm.config import gin_jobs


@pytest.fixture
def toys(monkeypatch) -> None:
  """Lets gin files name what is in toy_jobs."""
  for name, place in toy_jobs.NAMES.items():
    monkeypatch.setitem(configurables.CORE, name, place)


@pytest.fixture
def toy(toys, tmp_path) -> Callable[..., gin_jobs.ConfiguredJob]:
  """Loads a gin text whose job is toy.run."""

  def load(text: str, *bindings: str) -> gin_jobs.ConfiguredJob:
    path = pathlib.Path(tmp_path, "toy.gin")
    path.write_text(f"JOB = @toy.run\n{text}\n", encoding="utf-8")
    return gin_jobs.load([str(path)], bindings)

  return load
