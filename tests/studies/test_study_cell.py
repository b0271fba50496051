"""A cell: its folder, its name, its lines of gin."""

import example_studies
import pytest

from xlrm.studies import study_cell


def test_models_of_another_place():
  found = example_studies.by_name(
    example_studies.make(folders={"sft": "/models/./sft_{language}"})
  )
  assert str(found["/models/sft_es"].folder) == "/models/sft_es"
  assert found["rm_es"].needs == ("/models/sft_es",)
  assert "INITIAL_CHECKPOINT_PATH = '/models/sft_es'" in found["rm_es"].bindings


def test_a_name_says_where_a_cell_stands_but_for_first_values():
  study = example_studies.big()
  first = {"seeds": 0, "temperatures": 0.7}
  assert study_cell.suffix(study, first) == ""
  other = {"seeds": 2, "kl_coefficients": 0.2}
  assert study_cell.suffix(study, other) == "_seed2_kl0.2"
  assert study_cell.told(study, other) == ", seed 2, kl 0.2"
  # An axis of one value is not told.
  assert study_cell.told(example_studies.make(), {"seeds": 0}) == ""


def test_settings_become_lines_of_gin_with_the_studys_folders():
  cell = study_cell.make(
    example_studies.make(model_dir="runs/x"),
    "diagnosis",
    "diagnosis",
    "diagnosis",
    {
      "MODEL_DIR": study_cell.Folder("diagnosis"),
      "REWARDS": {"en": study_cell.Folder("rm_en"), "base": "nano"},
      "RUNS": [study_cell.Folder("a") / "records.jsonl"],
    },
    ["rm_en", "rm_en"],
  )
  assert cell.bindings == [
    "MODEL_DIR = 'runs/x/diagnosis'",
    "REWARDS = {'en': 'runs/x/rm_en', 'base': 'nano'}",
    "RUNS = ['runs/x/a/records.jsonl']",
  ]
  assert cell.needs == ("rm_en",) and cell.gin_file == "diagnose.gin"


def test_what_the_user_sets_comes_with_it():
  study = example_studies.make(
    settings={"sft": {"TRAIN_STEPS": 7}}, jobs={"sft": "mine.gin"}
  )
  cell = study_cell.make(study, "sft", "sft_en", "SFT en", {"A": 1})
  assert cell.settings == {"A": 1, "TRAIN_STEPS": 7}
  assert cell.gin_file == "mine.gin"
  with pytest.raises(
    ValueError, match="'sft' has TRAIN_STEPS, which the study"
  ):
    study_cell.make(study, "sft", "sft_en", "SFT en", {"TRAIN_STEPS": 1})


def test_what_a_report_wants_is_left_out_where_it_is_missing():
  cell = example_studies.by_name(example_studies.big())["report"]
  less = cell.without(["judge_one_ppo"])
  gone = study_cell.Folder("judge_one_ppo")
  assert gone in cell.settings["VERDICTS"]
  assert gone not in less.settings["VERDICTS"]
  assert len(less.settings["VERDICTS"]) == len(cell.settings["VERDICTS"]) - 1
  assert less.settings["RUNS"] == cell.settings["RUNS"]
