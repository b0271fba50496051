"""A study: what it accepts, and what follows from it."""

import example_studies
import pytest

from xlrm.studies import study_cells


def test_all_pairs_where_sources_are_targets():
  languages = ("de", "en", "ru")
  study = example_studies.make(
    **example_studies.PPO, sources=languages, targets=languages
  )
  assert len(study.pairs) == 9 and ("en", "en") in study.pairs
  cell = example_studies.by_name(study)["best_of_n_en"]
  assert list(cell.settings["REWARDS"]) == ["de", "en", "ru"]


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
    (
      {**example_studies.PPO, "ppo_pairs": (("en", "tr"),)},
      "target 'tr' is none of es, ru",
    ),
    (
      {**example_studies.PPO, "ppo_pairs": (("fr", "es"),)},
      "source 'fr' is none of en, de",
    ),
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
    study_cells.cells(example_studies.make(**changes))


def test_an_axis_without_values_is_the_jobs_own():
  study = example_studies.make()
  assert study.axis("kl_coefficients") == (None,)
  assert study.axis("num_samples") == (16,)
  assert study.languages == ("en", "de", "es", "ru")
  assert study.rewards_of("es") == ("en", "de", "es")


def test_pairs_are_given_or_all():
  assert example_studies.make().pairs == ()
  given = example_studies.make(**example_studies.PPO, ppo_pairs=[["en", "es"]])
  assert given.pairs == (("en", "es"),)
