"""The diagnosis as a job: what it leaves in its folder."""

import json

import numpy as np
import process_jobs
import specks

from xlrm.evaluation import accuracy_files
from xlrm.jobs import diagnose
from xlrm.miniworld import world_rows
from xlrm.rewards import reward_models


def test_a_diagnosis_leaves_accuracy_scores_tables_and_a_page(
  place, speck_reward, tmp_path
):
  folder = tmp_path / "diagnosis"
  folder.mkdir()
  found = process_jobs.run_diagnose(place, folder)
  assert [(x.reward_model, x.language) for x in found] == [
    ("es", "es"),
    ("base", "es"),
  ]
  assert accuracy_files.read(folder / diagnose.ACCURACY) == found
  lines = (folder / diagnose.SCORES).read_text("utf-8").splitlines()
  rows = world_rows.rating_rows("es", "train", 0, 41)[24:]
  alone = reward_models.load(speck_reward).score(
    [row.document for row in rows],
    [[row.summary] for row in rows],
    batch_size=4,
  )
  for line, row, scores in zip(
    map(json.loads, lines), rows, alone, strict=True
  ):
    assert (line["id"], line["language"]) == (row.id, "es")
    assert line["reward_model"] == "es"
    np.testing.assert_allclose(line["scores"], scores, atol=1e-5)
  assert (folder / diagnose.PAGE).is_file()
  assert list(folder.glob("*.csv")) or list(folder.glob("tables/*.csv"))


def test_a_plan_names_models_and_languages_and_reads_nothing(tmp_path):
  plan = diagnose.Diagnosis(
    sources={"es": None, "ru": None},
    rewards={"en": "no/such", specks.REWARD: "place"},
    model_dir=str(tmp_path / "new"),
    lengths={},
  ).plan()
  assert "accuracy of en, speck_rm on es, ru" in plan.text()
  assert not (tmp_path / "new").exists()
