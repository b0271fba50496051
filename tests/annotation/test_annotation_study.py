"""A study in a folder: begun, resumed, joined, locked."""

import dataclasses

import people
import pytest

from xlrm.annotation import annotation_study


def test_a_beginning_that_was_killed_begins_again(tmp_path):
  folder = tmp_path / "people"
  folder.mkdir()
  for name in ("key.json", ".answers.sqlite.0123abcd.partial", "lock"):
    (folder / name).write_text("{")
  people.begin(folder)
  assert len(annotation_study.read_key(folder).keys) == 24
  assert sorted(x.name for x in folder.iterdir()) == [
    "answers.sqlite",
    "key.json",
    "lock",
  ]


def resume(folder, annotators=("ana", "ben"), rows=None, **settings):
  annotation_study.resume(
    folder,
    people.make_pairs(rows),
    people.make_settings(**settings),
    annotators,
  )


def test_the_same_command_changes_nothing(folder):
  before = (folder / annotation_study.KEY).read_bytes()
  resume(folder)
  assert (folder / annotation_study.KEY).read_bytes() == before


def test_who_joins_judges_the_shared_items(folder):
  with annotation_study.opened(folder) as store:
    tokens = store.tokens
  resume(folder, ("ana", "cem"))
  key = annotation_study.read_key(folder)
  assert {x.annotator for x in key.keys} == {"ana", "ben", "cem"}
  with annotation_study.opened(folder) as store:
    assert store.tokens.items() > tokens.items()  # the others keep their links
    assert {x.input for x in store.tasks("cem")} >= {
      x.input for x in store.tasks("ana")
    }


def test_g28_another_study_is_not_resumed(folder):
  with pytest.raises(ValueError, match="with items 10, not 9: give it as it"):
    resume(folder, items=9)
  rows = people.make_records()
  rows[0] = dataclasses.replace(rows[0], output="Otro texto.")
  with pytest.raises(ValueError, match="outputs in the records have changed"):
    resume(folder, rows=rows)


def test_one_server_at_a_time(folder, tmp_path):
  with annotation_study.locked(folder):
    with pytest.raises(ValueError, match="served by another xlrm annotate"):
      with annotation_study.locked(folder):
        pass
  with annotation_study.locked(folder):  # the first let it go
    assert annotation_study.begun(folder)
  with annotation_study.locked(tmp_path / "new"):
    pass
  assert not (tmp_path / "new").exists()  # no study came of it


def test_g28_folders_that_are_no_study_are_named(folder, tmp_path):
  with pytest.raises(FileNotFoundError, match="holds no study of people"):
    with annotation_study.opened(tmp_path):
      pass
  other = tmp_path / "other"
  other.mkdir()
  (other / "thesis.tex").touch()
  with pytest.raises(ValueError, match="not empty .thesis.tex.: choose"):
    people.begin(other)
  another = people.begin(tmp_path / "another")
  (another / annotation_study.KEY).replace(folder / annotation_study.KEY)
  with pytest.raises(ValueError, match="the key of another study"):
    annotation_study.read_key(folder)
