"""Cells that train, draw or score."""

import example_studies

from xlrm.studies import run_cells
from xlrm.studies import study_cell


def test_one_language_alone_has_no_second_reward_model_to_watch_ppo():
  found = example_studies.by_name(
    example_studies.make(
      **example_studies.PPO, sources=("en",), targets=("en",)
    )
  )
  cell = found["ppo_en_by_en"]
  assert not any("heldout" in name for name in cell.settings)
  assert cell.needs == ("sft_en", "rm_en")


def test_training_starts_where_the_study_says_and_is_seeded():
  study = example_studies.make(seeds=(3,), base="models/mt5_xl")
  cell = run_cells.sft(study, 3, "de")
  assert cell.settings == {
    "MIXTURE_OR_TASK_NAME": "a_summary.de",
    "MODEL_DIR": study_cell.Folder("sft_de"),
    "INITIAL_CHECKPOINT_PATH": "models/mt5_xl",
    "TrainConfig.seed": 3,
    "SeqioSource.seed": 3,
  }
  cell = run_cells.reward(study, 3, "de")
  assert cell.settings["INITIAL_CHECKPOINT_PATH"] == study_cell.Folder("sft_de")
  assert cell.settings["MIXTURE_OR_TASK_NAME"] == "a_rating.de"
  assert cell.needs == ("sft_de",)


def test_prompts_may_be_those_of_another_task():
  study = example_studies.make(prompt_task="a_prompt.{language}", name="betas")
  cell = run_cells.best_of_n(study, 0, 1.0, 16, "es")
  assert cell.settings["MIXTURE_OR_TASK_NAME"] == "a_prompt.es"
  assert cell.settings["best_of_n.run.study"] == "betas"


def test_ppo_leaves_its_beta_to_the_job_or_sets_it():
  study = example_studies.make(**example_studies.PPO)
  cell = run_cells.ppo(study, 0, 1.0, None, "en", "es")
  assert "KL_COEFFICIENT" not in cell.settings
  assert run_cells.ppo(study, 0, 1.0, 0.1, "en", "es").settings[
    "KL_COEFFICIENT"
  ] == (0.1)


def test_outputs_are_those_of_their_policy():
  study = example_studies.make(**example_studies.PPO)
  policy = run_cells.ppo(study, 0, 1.0, None, "en", "es")
  cell = run_cells.outputs(study, policy, 0, 1.0, ("en", "es"))
  assert cell.name == "ppo_es_by_en_outputs"
  assert cell.settings["POLICY"] == study_cell.Folder("ppo_es_by_en")
  assert cell.settings["SOURCE"] == "en"
  assert set(cell.needs) == {"ppo_es_by_en", "rm_en", "rm_de", "rm_es"}


def test_a_diagnosis_has_a_model_that_was_not_trained():
  cell = run_cells.diagnosis(example_studies.make(base="nano"), 0)
  models = cell.settings["REWARDS"]
  assert models[run_cells.UNTRAINED] == "nano"
  assert set(models) == {run_cells.UNTRAINED, "en", "de", "es", "ru"}
  assert set(cell.needs) == {"rm_en", "rm_de", "rm_es", "rm_ru"}
