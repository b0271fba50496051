"""Every job that gin can name is one: frozen, with a plan and a run."""

import dataclasses
import importlib
import inspect

import pytest

from xlrm.config import configurables
from xlrm.distributed import device_memory
from xlrm.jobs import benchmark
from xlrm.jobs import job

GIB = device_memory.GIB


def jobs():
  """gin name -> class."""
  found = {}
  for name, target in configurables.CORE.items():
    module, _, cls = target.partition(":")
    if module.startswith("xlrm.jobs.") and name.endswith((".train", ".run")):
      found[name] = getattr(importlib.import_module(module), cls)
  return found


def test_there_are_as_many_as_there_are_kinds():
  assert len(jobs()) == 11


@pytest.mark.parametrize("kind", [*jobs().values(), benchmark.Benchmark])
def test_a_job_is_frozen_and_says_what_it_would_do(kind):
  assert issubclass(kind, job.Runnable)
  assert kind.__dataclass_params__.frozen
  assert all(field.kw_only for field in dataclasses.fields(kind))
  assert list(inspect.signature(kind.plan).parameters) == ["self", "devices"]
  assert list(inspect.signature(kind.run).parameters) == ["self"]


def test_a_plan_is_words_and_the_memory_of_parts():
  memory = {
    "sampling": device_memory.MemoryPlan({"parameters": 20 * GIB}),
    "scoring": device_memory.MemoryPlan({"parameters": 40 * GIB}),
  }
  plan = job.JobPlan("4 prompts; into x", memory, device_memory.devices("v4-8"))
  assert isinstance(plan, job.Printable)
  first, *lines = plan.text().splitlines()
  assert first == "4 prompts; into x"
  assert lines[0].startswith("sampling: memory per device")
  verdicts = [line for line in lines if "fits" in line]
  assert [x.rpartition(": ")[2] for x in verdicts] == [
    "v4-8 (32) yes",
    "v4-8 (32) NO",
  ]
  assert job.JobPlan("nothing runs").text() == "nothing runs"
