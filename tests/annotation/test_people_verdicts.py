"""What people said, read from the folder of their study."""

import people
import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import people_verdicts
from xlrm.evaluation import records as records_lib


def test_verdicts_come_with_what_was_shown(folder, tmp_path):
  with pytest.raises(ValueError, match="nobody has judged a pair yet"):
    people_verdicts.read(folder)
  with people.serving(folder) as clients:
    for client in clients.values():
      for _ in range(client.get()[1]["total"]):
        client.answer(people.prefer(people.OURS))
  found = people_verdicts.read(folder)
  assert {x.outcome for x in found.verdicts} == {"first"}
  assert len(found.answers) == len(found.tasks) == len(found.key.keys)
  assert "wins 100.0%" in found.text()
  found.write(tmp_path / "verdicts.jsonl")
  read = records_lib.read(tmp_path / "verdicts.jsonl", records_lib.Verdict)
  assert read == found.verdicts


def test_g28_no_study_and_a_damaged_key_are_named(folder, tmp_path):
  with pytest.raises(FileNotFoundError, match="holds no study of people"):
    people_verdicts.read(tmp_path / "nothing")
  (folder / annotation_study.KEY).write_text("{}")
  with pytest.raises(ValueError, match="key.json: no key of a study"):
    people_verdicts.read(folder)
