"""How far cells got: marks, locks, and what makes them other cells."""

import dataclasses
import os
import pathlib
import shutil

import example_studies
import pytest
import study_commands

from xlrm.checkpoints import model_files
from xlrm.launch.studies import study_state
from xlrm.storage import package_data
from xlrm.studies import study as study_lib
from xlrm.studies import study_cells


@pytest.fixture
def command(tmp_path):
  return study_commands.Command(tmp_path)


@pytest.fixture
def study(tmp_path) -> study_lib.Study:
  return example_studies.make(
    model_dir=str(tmp_path / "run"),
    sft_task="miniworld_summary.{language}",
    reward_task="miniworld_rating.{language}",
    judges={"gpt": {"MODEL": "x"}},
  )


def identities(study) -> dict[str, str]:
  cells = study_cells.cells(study)
  return study_state.identities(cells, study_state.texts(cells))


def complete(cell, identity: str = "x") -> None:
  """What a job that is done leaves."""
  product = cell.folder / study_state.PRODUCTS[cell.kind].replace("*", "7")
  product.parent.mkdir(parents=True, exist_ok=True)
  product.touch()
  study_state.write_mark(cell, identity, done=True)


def test_a_folder_tells_how_far_its_cell_got(study):
  cell = study_cells.cells(study)[0]
  found = [study_state.state(cell, "x").value]
  study_state.write_mark(cell, "x", done=False)
  found.append(study_state.state(cell, "x").value)
  complete(cell)
  found.append(study_state.state(cell, "x").value)
  found.append(study_state.state(cell, "y").value)
  (cell.folder / study_state.MARK).unlink()
  found.append(study_state.state(cell, "x").value)
  assert found == ["missing", "begun", "exists", "changed", "begun"]


def test_a_mark_without_its_product_is_not_done(study):
  cell = study_cells.cells(study)[0]
  study_state.write_mark(cell, "x", done=True)
  assert study_state.state(cell, "x").value == "begun"


def test_another_setting_makes_another_cell_and_another_folder_does_not(study):
  before = identities(study)
  moved = dataclasses.replace(study, model_dir="elsewhere")
  assert identities(moved) == before
  changed = identities(
    dataclasses.replace(study, settings={"reward": {"TRAIN_STEPS": 7}})
  )
  same = {name for name in before if changed[name] == before[name]}
  # What needs a reward model is another cell, too.
  assert same == {"sft_en", "sft_de", "sft_es", "sft_ru"}


def test_a_report_is_one_with_what_it_wants_once_that_is_there(study):
  cells = {cell.name: cell for cell in study_cells.cells(study)}
  known = identities(study)
  report, judge = cells["report"], cells["judge_gpt_best_of_n"]
  alone, identity = study_state.present(report, cells, known)
  assert alone.settings["VERDICTS"] == []
  complete(judge, known[judge.name])
  whole, other = study_state.present(report, cells, known)
  assert [str(x) for x in whole.settings["VERDICTS"]] == [judge.name]
  assert other != identity and other.startswith(known["report"])


def test_g28_training_that_would_continue_as_something_else_is_listed(study):
  cells = study_cells.cells(study)
  first, report = cells[0], cells[-1]
  complete(first)
  states = dict.fromkeys((x.name for x in cells), study_state.CellState.CHANGED)
  study_state.refuse_changed([report], states)  # it is made anew
  with pytest.raises(
    ValueError, match="1 cells were trained as something"
  ) as e:
    study_state.refuse_changed([first, report], states)
  assert f"{first.folder}: its gin file, or a cell" in str(e.value)


def test_g28_a_damaged_mark_is_named(study):
  cell = study_cells.cells(study)[0]
  study_state.write_mark(cell, "x", done=True)
  (cell.folder / study_state.MARK).write_text("{")
  with pytest.raises(ValueError, match="cell.study is damaged"):
    study_state.state(cell, "x")


def test_two_processes_do_not_run_one_study(command):
  study = command.loaded().study
  with study_state.lock(study):
    done = command()
    assert done.returncode == 2 and command.ran == []
    assert f"process {os.getpid()} on" in done.stderr
    with pytest.raises(ValueError, match="another process"):
      with study_state.lock(study, shared=True):
        pass
  with study_state.lock(study, shared=True):  # cells of its own
    assert command("--only=sft_en").returncode == 0
    assert command().returncode == 2


def test_a_cell_that_never_began_is_said_even_if_its_folder_stays(
  command, monkeypatch
):
  """NFS keeps a file that is open under another name."""
  cell = study_cells.cells(command.loaded().study)[0]
  study_state.write_mark(cell, "x", done=False)

  def full(path):
    raise OSError("Directory not empty")

  monkeypatch.setattr(pathlib.Path, "rmdir", full)
  study_state.forget_if_empty(cell)
  assert not list(cell.folder.iterdir())


def test_the_lock_of_a_cell_outlives_a_failure(command):
  """Whoever waits for it and whoever comes later lock the same file."""
  cell = study_cells.cells(command.loaded().study)[0]
  with study_state.cell_lock(cell):
    study_state.write_mark(cell, "x", done=False)
    study_state.forget_if_empty(cell)
    assert not cell.folder.exists()
    with pytest.raises(ValueError, match="another process runs SFT en"):
      with study_state.cell_lock(cell):
        pass


def test_a_mark_is_no_part_of_a_model(command):
  study = command.loaded().study
  cell = study_cells.cells(study)[0]
  shutil.copytree(package_data.asset("nano"), cell.folder)
  before = model_files.fingerprint(cell.folder)
  study_state.write_mark(cell, "x", done=False)
  assert model_files.fingerprint(cell.folder) == before
