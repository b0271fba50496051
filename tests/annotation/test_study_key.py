"""The key of a study: complete, for its owner only, and named if it is not."""

import json
import stat

import people
import pytest

from xlrm.annotation import design
from xlrm.annotation import study_key


def make() -> study_key.StudyKey:
  settings = people.make_settings(instructions="¿Cuál es mejor?")
  drawn = design.tasks(people.make_pairs(), settings, ["ana"])
  return study_key.StudyKey(
    "id", settings, "digest", 30, 2, [key for _, key in drawn]
  )


def test_a_key_comes_back_as_it_was(tmp_path):
  path, key = tmp_path / "key.json", make()
  study_key.write(path, key)
  assert study_key.read(path) == key
  assert "¿Cuál es mejor?" in path.read_text(encoding="utf-8")
  assert stat.S_IMODE(path.stat().st_mode) == 0o600
  assert [x.name for x in tmp_path.iterdir()] == ["key.json"]


def test_a_key_that_cannot_be_written_leaves_the_old_one(tmp_path):
  path, key = tmp_path / "key.json", make()
  study_key.write(path, key)
  before = path.read_bytes()
  with pytest.raises(TypeError):
    study_key.write(path, study_key.StudyKey("id", key.settings, {1}, 1, 1, []))
  assert path.read_bytes() == before


def test_without_the_file_it_is_said_what_is_lost(tmp_path):
  with pytest.raises(FileNotFoundError, match="which text was whose. Put it"):
    study_key.read(tmp_path / "key.json")


@pytest.mark.parametrize(
  "change",
  [
    lambda fields: fields.pop("settings"),
    lambda fields: fields["settings"].update(items=0),
    lambda fields: fields["keys"][0].pop("left"),
    lambda fields: fields.update(more=1),
  ],
)
def test_g28_a_file_that_is_no_key_is_named(change, tmp_path):
  path = tmp_path / "key.json"
  study_key.write(path, make())
  fields = json.loads(path.read_text())
  change(fields)
  path.write_text(json.dumps(fields))
  with pytest.raises(ValueError, match="key.json: no key of a study"):
    study_key.read(path)
  path.write_text("[")
  with pytest.raises(ValueError, match="no key of a study"):
    study_key.read(path)
