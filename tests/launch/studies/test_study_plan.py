"""What of a study is to be run, and what it costs."""

import example_studies
import pytest

from xlrm.launch.studies import study_plan
from xlrm.launch.studies import study_state
from xlrm.studies import study_cells


def study_of(tmp_path, **changes):
  options = {
    **example_studies.PPO,
    "sft_task": "miniworld_summary.{language}",
    "reward_task": "miniworld_rating.{language}",
    "max_prompts": 5,
    "judges": {"gpt": {"MODEL": "x"}},
    **changes,
  }
  return example_studies.make(model_dir=str(tmp_path / "run"), **options)


def plan_of(tmp_path, **changes) -> study_plan.StudyPlan:
  return study_plan.StudyPlan.of(
    study_plan.Loaded(study_of(tmp_path, **changes), "", ())
  )


MACROS = {"TRAIN_STEPS": 100, "BATCH_SIZE": 32, "NUM_SAMPLES": 16}


@pytest.mark.parametrize(
  ("name", "words", "steps", "texts"),
  [
    ("sft_en", "100 steps of 32 rows", 100, 0),
    ("ppo_es_by_en", "100 steps of 32 texts", 100, 3200),
    # 16 samples, the baseline and the greedy output of each of 5 prompts.
    ("best_of_n_es", "5 prompts x 18 texts, scored by 3", 0, 90),
    ("ppo_es_by_en_outputs", "5 prompts x 1 text, scored by 3", 0, 5),
    ("diagnosis", "5 models on 4 languages", 0, 0),
    # 2 targets with 3 reward models each, both orders, 5 prompts.
    ("judge_gpt_best_of_n", "60 questions", 0, 0),
    ("judge_gpt_ppo", "60 questions", 0, 0),
    ("report", "8 runs", 0, 0),
  ],
)
def test_what_a_cell_costs(name, words, steps, texts, tmp_path):
  study = study_of(tmp_path)
  cell = {x.name: x for x in study_cells.cells(study)}[name]
  found = study_plan.cost(study, cell, MACROS)
  assert found == study_plan.Cost(words, steps, texts)


def test_the_cost_of_all_prompts_is_not_known(tmp_path):
  study = study_of(tmp_path, max_prompts=None)
  cells = {x.name: x for x in study_cells.cells(study)}
  found = study_plan.cost(study, cells["best_of_n_es"], MACROS)
  assert found.words.startswith("all prompts x 18") and found.texts is None
  found = study_plan.cost(study, cells["judge_gpt_ppo"], MACROS)
  assert found.words == "12 x all prompts questions"


def test_a_plan_is_a_table_with_its_sum(tmp_path):
  plan = plan_of(tmp_path)
  lines = plan.text(plan.cells).splitlines()
  assert lines[0] == f"{tmp_path / 'run'}: {len(plan.cells)} cells, 0 exist"
  assert len(lines) == len(plan.cells) + 2
  assert lines[1].split()[:3] == ["1", "sft_en", "missing"]
  steps = [
    int(x.split(" steps")[0].split()[-1]) for x in lines if " steps of" in x
  ]
  assert f"{sum(steps):,} training steps" in lines[-1]
  few = plan.text(plan.cells[2:4]).splitlines()
  assert [x.split()[0] for x in few[1:-1]] == ["3", "4"]


def test_cells_are_chosen_by_names_and_patterns(tmp_path):
  plan = plan_of(tmp_path)
  names = lambda patterns: [x.name for x in study_plan.selected(plan, patterns)]
  assert names(None) == [x.name for x in plan.cells]
  assert names(["rm_e?", "sft_de"]) == ["sft_de", "rm_en", "rm_es"]
  with pytest.raises(ValueError, match="--only=rm_fr: the cells are sft_en"):
    study_plan.selected(plan, ["sft_en", "rm_fr"])


def test_g28_what_a_cell_needs_is_run_with_it_or_there(tmp_path):
  plan = plan_of(tmp_path)
  chosen = study_plan.selected(plan, ["rm_en"])
  with pytest.raises(
    ValueError, match="reward model en needs sft_en, which is"
  ):
    study_plan.check_needs(plan, chosen)
  study_plan.check_needs(plan, study_plan.selected(plan, ["rm_en", "sft_en"]))
  cell = plan.cells[0]
  study_state.write_mark(cell, plan.identities[cell.name], done=True)
  product = cell.folder / "checkpoint_7" / "manifest.json"
  product.parent.mkdir()
  product.touch()
  study_plan.check_needs(plan_of(tmp_path), chosen)


def test_g28_a_gin_file_that_cannot_be_read_names_its_cell(tmp_path):
  with pytest.raises(ValueError, match="SFT en: no gin file .*nearest: sft"):
    plan_of(tmp_path, jobs={"sft": "stf.gin"})
