"""Cells of a study: which there are, in what order, and where they live."""

import ast

import pytest

from xlrm.studies import study as study_lib
from xlrm.studies import study_cell
from xlrm.studies import study_cells

TASKS = {
  "sft_task": "a_summary.{language}",
  "reward_task": "a_rating.{language}",
}
PPO = {"methods": ("best_of_n", "ppo")}


def make(**changes) -> study_lib.Study:
  options = {
    "model_dir": "s",
    "sources": ("en", "de"),
    "targets": ("es", "ru"),
    **TASKS,
    **changes,
  }
  return study_lib.Study(**options)


def by_name(study) -> dict[str, study_cell.StudyCell]:
  return {cell.name: cell for cell in study_cells.cells(study)}


def test_cells_of_a_small_study():
  found = by_name(make(**PPO, ppo_pairs=(("en", "es"),), max_prompts=7))
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
  found = by_name(make(**PPO, **betas))
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


def big(**changes) -> study_lib.Study:
  options = {
    **PPO,
    "seeds": (0, 1, 2),
    "temperatures": (0.7, 1.0),
    "num_samples": (4, 16),
    "kl_coefficients": (0.1, 0.2),
    "judges": {"one": {"MODEL": "x"}, "two": {"MODEL": "y"}},
    **changes,
  }
  return make(**options)


def test_what_a_cell_needs_stands_before_it():
  seen = set()
  cells = study_cells.cells(big())
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
  before, after = by_name(big()), by_name(big(**{axis: more}))
  for name, cell in before.items():
    if cell.kind in ("report", "judge") and axis == "seeds":
      continue  # they compare all seeds
    if name == "report":
      continue  # it compares all values
    assert after[name].bindings == cell.bindings


def test_a_baseline_shares_the_temperature_of_what_is_compared_with_it():
  found = by_name(big())
  for name, cell in found.items():
    if cell.kind in ("report", "judge"):
      needed = [found[x] for x in cell.needs]
      sampled = [x for x in needed if x.kind in ("best_of_n", "outputs")]
      assert len({x.settings["TEMPERATURE"] for x in sampled}) == 1, name
      assert {x.settings["TEMPERATURE"] for x in needed if x.kind == "ppo"} <= {
        sampled[0].settings["TEMPERATURE"]
      }


def test_reports_have_the_verdicts_of_their_own_values():
  found = by_name(big(verdicts=["people"], seeds=(0,)))
  first, other = (
    found[f"report{x}"].without(["judge_two_ppo", "report_n16"]).bindings
    for x in ("", "_n16")
  )
  judged = ["judge_one_best_of_n", "judge_one_ppo", "judge_two_best_of_n"]
  judged = [f"s/{x}" for x in judged]
  # People saw the outputs of the first values.
  assert f"VERDICTS = {['people', *judged]}" in first
  judged = [f"{x}_n16" for x in (*judged, "s/judge_two_ppo")]
  assert f"VERDICTS = {judged}" in other
  (swept,) = (x for x in first if x.startswith("evaluate.run.swept"))
  points = ast.literal_eval(swept.partition(" = ")[2])
  assert points[:2] == [
    ["s", {"temperature": 0.7, "n": 4, "kl": 0.1}],
    ["s/report_kl0.2", {"temperature": 0.7, "n": 4, "kl": 0.2}],
  ]
  assert len(points) == 2**3 - 1 and "s/report_n16" not in dict(points)
  assert not any(x.startswith("evaluate.run.swept") for x in other)


def test_best_of_n_is_not_judged_again_for_another_beta():
  found = by_name(big())
  judged = {x for x in found if x.startswith("judge_one")}
  assert judged == {
    f"judge_one_{method}{t}{n}{kl}"
    for t in ("", "_temperature1.0")
    for n in ("", "_n16")
    for method, kl in (("best_of_n", ""), ("ppo", ""), ("ppo", "_kl0.2"))
  }
  cell = found["judge_one_best_of_n"]
  assert not any("ppo" in x for x in cell.needs)
  for name in ("report", "report_kl0.2"):
    assert cell.name in found[name].wants


def test_the_study_is_called_as_its_records_or_as_its_folder():
  setting = "evaluate.run.study_folder"
  assert f"{setting} = 's'" in by_name(make())["report"].bindings
  assert setting not in by_name(make(name="betas"))["report"].settings


def test_all_pairs_where_sources_are_targets():
  languages = ("de", "en", "ru")
  study = make(**PPO, sources=languages, targets=languages)
  assert len(study.pairs) == 9 and ("en", "en") in study.pairs
  cell = by_name(study)["best_of_n_en"]
  assert list(cell.settings["REWARDS"]) == ["de", "en", "ru"]


def test_one_language_alone_has_no_second_reward_model_to_watch_ppo():
  found = by_name(make(**PPO, sources=("en",), targets=("en",)))
  cell = found["ppo_en_by_en"]
  assert "ppo.train.heldout" not in cell.settings
  assert cell.needs == ("sft_en", "rm_en")


def test_models_of_another_place():
  found = by_name(make(folders={"sft": "/models/./sft_{language}"}))
  assert str(found["/models/sft_es"].folder) == "/models/sft_es"
  assert found["rm_es"].needs == ("/models/sft_es",)
  assert "INITIAL_CHECKPOINT_PATH = '/models/sft_es'" in found["rm_es"].bindings


@pytest.mark.parametrize(
  ("changes", "said"),
  [
    ({"sources": "en"}, r"sources 'en': a list"),
    ({"seeds": 3}, r"seeds 3: a list is expected"),
    ({"targets": ()}, "targets are empty"),
    ({"sources": ("en", "en")}, "have 'en' twice"),
    ({"seeds": (0, 0)}, "have 0 twice"),
    ({"sft_task": "a_summary.es"}, "sft_task 'a_summary.es' has no place"),
    ({"methods": ("best_of_n", "pp")}, "'pp' is none of.*did you mean 'ppo'"),
    ({"methods": ("ppo",)}, "lack 'best_of_n'"),
    ({"kl_coefficients": (0.1,)}, "kl_coefficients are given, but"),
    ({**PPO, "ppo_pairs": (("en", "tr"),)}, "target 'tr' is none of es, ru"),
    ({**PPO, "ppo_pairs": (("fr", "es"),)}, "source 'fr' is none of en, de"),
    ({"num_samples": (0,)}, "num_samples 0 is below 1"),
    ({"temperatures": (1.0, -1.0)}, "temperature -1.0 is not positive"),
    ({"max_prompts": 0}, "max_prompts 0 is below 1"),
    ({"jobs": {"rewrad": "x.gin"}}, "did you mean 'reward'"),
    ({"settings": {"sft": {"x": object()}}}, "'sft' gives x the object"),
    ({"settings": {"sft": {"MODEL_DIR": "x"}}}, "which the study sets itself"),
    ({"folders": {"sft": "sft"}}, "SFT en and SFT de would share"),
    ({"folders": {"sft": "sft_{target}"}}, "may have {language}"),
  ],
)
def test_g28_a_mistake_names_the_value(changes, said):
  with pytest.raises(ValueError, match=said):
    study_cells.cells(make(**changes))


def test_g28_judges_that_would_share_a_folder_are_refused():
  with pytest.raises(
    ValueError, match="judge one of .* would share the folder"
  ):
    study_cells.cells(big(folders={"judge": "judged"}))
