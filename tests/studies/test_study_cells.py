"""The cells of a study: which there are, and in what order."""

import example_studies
import pytest

from xlrm.studies import study as study_lib
from xlrm.studies import study_cells


def test_cells_of_a_small_study():
  found = example_studies.by_name(
    example_studies.make(
      **example_studies.PPO, ppo_pairs=(("en", "es"),), max_prompts=7
    )
  )
  assert list(found) == [
    *("sft_en", "sft_de", "sft_es", "sft_ru"),
    *("rm_en", "rm_de", "rm_es", "rm_ru"),
    *("best_of_n_es", "best_of_n_ru"),
    *("ppo_es_by_en", "ppo_es_by_en_outputs"),
    *("diagnosis", "report"),
  ]
  assert found["rm_de"].needs == ("sft_de",)
  assert found["best_of_n_ru"].needs == ("sft_ru", "rm_en", "rm_de", "rm_ru")
  # The reward model that PPO does not optimise watches it.
  assert found["ppo_es_by_en"].needs == ("sft_es", "rm_en", "rm_de")
  assert set(found["report"].needs) == set(found) - {"report"}
  assert str(found["report"].folder) == "s"
  assert str(found["rm_de"].folder) == "s/rm_de"
  assert set(found["best_of_n_ru"].bindings) == {
    "MIXTURE_OR_TASK_NAME = 'a_summary.ru'",
    "MODEL_DIR = 's/best_of_n_ru'",
    "POLICY = 's/sft_ru'",
    "REWARDS = {'en': 's/rm_en', 'de': 's/rm_de', 'ru': 's/rm_ru'}",
    "MAX_PROMPTS = 7",
    "NUM_SAMPLES = 16",
    "TEMPERATURE = 1.0",
    "BestOfNConfig.seed = 0",
  }


def test_two_seeds_and_two_betas():
  betas = {"seeds": (4, 5), "kl_coefficients": (0.05, 0.2)}
  found = example_studies.by_name(
    example_studies.make(**example_studies.PPO, **betas)
  )
  names = set(found)
  # Training before PPO depends on the seed alone.
  kinds = {kind: sum(c.kind == kind for c in found.values()) for kind in
           study_lib.JOBS}  # fmt: skip
  assert kinds == {
    "sft": 2 * 4,
    "reward": 2 * 4,
    "best_of_n": 2 * 2,
    "ppo": 2 * 2 * 6,
    "outputs": 2 * 2 * 6,
    "diagnosis": 2,
    "judge": 0,
    "report": 2,
  }
  pair = {x for x in names if x.startswith("ppo_es_by_en")}
  assert pair == {
    f"ppo_es_by_en{suffix}{end}"
    for suffix in ("", "_kl0.2", "_seed5", "_seed5_kl0.2")
    for end in ("", "_outputs")
  }
  cell = found["ppo_es_by_en_seed5_kl0.2"]
  assert cell.needs == ("sft_es_seed5", "rm_en_seed5", "rm_de_seed5")
  assert cell.settings["KL_COEFFICIENT"] == 0.2
  assert cell.settings["RolloutConfig.seed"] == 5
  assert cell.title == "PPO en -> es, seed 5, kl 0.2"
  # A report is over all seeds, and of one beta.
  runs = {str(x) for x in found["report_kl0.2"].settings["RUNS"]}
  assert "ppo_es_by_en_seed5_kl0.2_outputs" in runs
  assert {"best_of_n_es", "best_of_n_es_seed5"} <= runs
  assert not any("ppo" in x and "kl0.2" not in x for x in runs)
  assert "ppo_es_by_en_kl0.2" in found["report_kl0.2"].needs


def test_what_a_cell_needs_stands_before_it():
  seen = set()
  cells = study_cells.cells(example_studies.big())
  for cell in cells:
    assert {*cell.needs, *cell.wants} <= seen
    assert cell.name not in seen
    seen.add(cell.name)
  assert len({cell.folder for cell in cells}) == len(cells)
  # Every folder of the study that a setting names is one of a needed cell.
  for cell in cells:
    text = "\n".join(x for x in cell.bindings if not x.startswith("MODEL_DIR"))
    for other in cells:
      if f"'{other.folder}'" in text and other.kind != "report":
        taken = (*cell.needs, *cell.wants)
        assert other.name in taken, (cell.name, other.name)


@pytest.mark.parametrize(
  ("axis", "more"),
  [
    ("seeds", (0, 1, 2, 3)),
    ("temperatures", (0.7, 1.0, 1.3)),
    ("num_samples", (4, 16, 64)),
    ("kl_coefficients", (0.1, 0.2, 0.4)),
  ],
)
def test_a_value_added_at_the_end_leaves_the_cells_before(axis, more):
  before, after = (
    example_studies.by_name(example_studies.big()),
    example_studies.by_name(example_studies.big(**{axis: more})),
  )
  for name, cell in before.items():
    if cell.kind in ("report", "judge") and axis == "seeds":
      continue  # they compare all seeds
    if name == "report":
      continue  # it compares all values
    assert after[name].bindings == cell.bindings


def test_g28_judges_that_would_share_a_folder_are_refused():
  with pytest.raises(
    ValueError, match="judge one of .* would share the folder"
  ):
    study_cells.cells(example_studies.big(folders={"judge": "judged"}))
