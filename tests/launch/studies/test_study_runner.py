"""Cells run one after the other, in this process, by jobs that do nothing."""

import types

import example_studies
import pytest

from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_runner
from xlrm.launch.studies import study_state


class Jobs:
  """Stands for gin's jobs: each leaves what the real one leaves."""

  def __init__(self, plan: study_plan.StudyPlan):
    self.ran: list[str] = []
    self.fails: dict[str, Exception] = {}
    self.cells = {tuple(cell.bindings): cell for cell in plan.cells}

  def load(self, gin_files, bindings, search):
    del gin_files, search
    return types.SimpleNamespace(run=lambda: self._run(tuple(bindings)))

  def _run(self, bindings):
    cell = self.cells[bindings]
    self.ran.append(cell.name)
    if cell.name in self.fails:
      raise self.fails[cell.name]
    product = study_state.PRODUCTS[cell.kind].replace("*", "7")
    (cell.folder / product).parent.mkdir(parents=True, exist_ok=True)
    (cell.folder / product).touch()


@pytest.fixture
def plan(tmp_path) -> study_plan.StudyPlan:
  study = example_studies.make(
    model_dir=str(tmp_path / "run"),
    sources=("en",),
    targets=("es",),
    sft_task="miniworld_summary.{language}",
    reward_task="miniworld_rating.{language}",
  )
  return study_plan.StudyPlan.of(study_plan.Loaded(study, "", ()))


@pytest.fixture
def jobs(plan, monkeypatch) -> Jobs:
  made = Jobs(plan)
  monkeypatch.setattr(study_runner.gin_jobs, "load", made.load)
  return made


def states(plan) -> list[str]:
  again = study_plan.StudyPlan.of(study_plan.Loaded(plan.study, "", ()))
  return [state.value for state in again.states.values()]


def test_cells_are_run_in_their_order_and_once(plan, jobs, capsys):
  assert study_runner.run_cells(plan, plan.cells) == []
  assert jobs.ran == [cell.name for cell in plan.cells]
  assert set(states(plan)) == {"exists"}
  said = capsys.readouterr().out
  assert "[1/7] SFT en: done in" in said
  assert study_runner.run_cells(plan, plan.cells) == []
  assert len(jobs.ran) == len(plan.cells)
  assert "[7/7] report: exists" in capsys.readouterr().out


def test_a_cell_that_fails_stops_those_that_need_it(plan, jobs, capsys):
  jobs.fails = {
    "rm_en": ValueError("the disk is full"),
    "sft_es": RuntimeError("a bug"),
  }
  failed = study_runner.run_cells(plan, plan.cells)
  assert jobs.ran == ["sft_en", "sft_es", "rm_en"]
  assert failed[0] == "[2/7] SFT es: FAILED: RuntimeError: a bug"
  assert failed[1] == "[3/7] reward model en: FAILED: the disk is full"
  assert failed[2] == "[4/7] reward model es: not run, it needs sft_es"
  assert len(failed) == 6
  assert "a bug" in capsys.readouterr().err  # with its traceback
  assert states(plan) == ["exists"] + ["missing"] * 6


def test_a_cell_that_is_being_run_is_waited_for(plan, jobs):
  cell = plan.cells[0]
  with study_state.cell_lock(cell):
    with pytest.raises(ValueError, match="another process runs SFT en"):
      study_runner.run_cell(cell, plan.identities[cell.name])
  assert jobs.ran == []
  study_runner.run_cell(cell, plan.identities[cell.name])
  study_runner.run_cell(cell, plan.identities[cell.name])  # it exists
  assert jobs.ran == [cell.name]


def test_being_stopped_is_not_a_failure(plan, jobs):
  jobs.fails = {"sft_en": KeyboardInterrupt()}
  with pytest.raises(KeyboardInterrupt):
    study_runner.run_cells(plan, plan.cells)
  assert jobs.ran == ["sft_en"]
