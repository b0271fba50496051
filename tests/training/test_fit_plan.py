"""What a plan of training counts, and when nothing is compiled for it."""

import math

import jax
import pytest
import tiny_run

from xlrm.distributed import device_memory
from xlrm.training import fit
from xlrm.training import fit_plan


def test_a_plan_counts_what_is_there(tmp_path):
  plan = fit.plan(tiny_run.training(tmp_path / "new"))
  params = jax.tree.leaves(tiny_run.new_params())
  assert plan.parameters == sum(math.prod(x.shape) for x in params)
  shapes = {name: x.shape for name, x in plan.batch.items()}
  assert shapes["targets"] == (tiny_run.ROWS, 1, tiny_run.LENGTH)
  # Parameters and the moments of Adam are arguments of a step.
  assert plan.compiled["argument"] >= 3 * 4 * plan.parameters
  assert plan.compiled["temp"] > 0 and plan.platform == "cpu"
  assert plan.memory is None and not (tmp_path / "new").exists()


def test_a_plan_says_where_it_fits():
  plan = fit_plan.TrainingPlan(
    parameters=1_234_567,
    batch={"inputs": jax.ShapeDtypeStruct((8, 16), "int32")},
    memory=device_memory.MemoryPlan({"parameters": 20 * device_memory.GIB}),
    compiled={"temp": 3 * device_memory.GIB},
    platform="tpu",
    devices=device_memory.devices("v5e-8"),
  )
  text = plan.text()
  for said in (
    "parameters: 1,234,567",
    "batch inputs: (8, 16) int32",
    "v5e-8 (16) NO",
    "temp memory per device, compiled for tpu: 3.000 GiB",
  ):
    assert said in text


class Step:
  """Must not be compiled."""

  def lower(self, *_):
    raise AssertionError("compiled")


def test_a_large_model_is_planned_and_not_compiled():
  state = tiny_run_state(1_000_000)
  memory = device_memory.MemoryPlan({"parameters": 1})
  plan = fit_plan.of_step(Step(), state, {}, None, memory, None)
  assert plan.compiled is None and "not compiled" in plan.text()
  with pytest.raises(AssertionError, match="compiled"):
    fit_plan.of_step(Step(), tiny_run_state(1), {}, None, memory, None)
  with pytest.raises(AssertionError, match="compiled"):
    fit_plan.of_step(Step(), state, {}, None, None, None)


def tiny_run_state(rows):
  class State:
    params = {"matrix": jax.ShapeDtypeStruct((rows, 1000), "float32")}

  return State()
