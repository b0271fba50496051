"""The tasks that ship with xlrm: names, splits, counts, one registration."""

import os
import pathlib
import subprocess
import sys

import pytest
import seqio

from xlrm.data import registry
from xlrm.data import seqio_source
from xlrm.miniworld import world_rows

ROOT = pathlib.Path(__file__).parents[2]


def test_every_language_has_its_tasks_and_every_kind_its_mixture():
  for kind in (
    "miniworld_summary",
    "miniworld_rating",
    "seahorse_rating",
    "debsum_summary",
    "debsum_bare",
  ):
    tasks = [task.name for task in seqio.get_mixture_or_task(kind).tasks]
    assert sorted(tasks) == [
      f"{kind}.{x}" for x in sorted(world_rows.LANGUAGES)
    ]
    assert registry.kind_of(tasks[0]) == (
      "rating" if kind.endswith("rating") else "summary"
    )


def test_g24_tasks_beside_xlrm_tasks_cannot_register_twice():
  done = subprocess.run(
    [sys.executable, "-c", "import tasks.miniworld"],
    cwd=ROOT,
    env={**os.environ, "PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode and "this package is xlrm.tasks" in done.stderr
  with pytest.raises(ValueError, match="this package is xlrm.tasks"):
    sys.path.insert(0, str(ROOT))
    try:
      seqio_source.import_module("tasks.miniworld")
    finally:
      sys.path.remove(str(ROOT))
