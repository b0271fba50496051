"""What a report is told of prompted judges and of people, and by whom."""

import dataclasses
import json

import people
import pytest

from xlrm.annotation import annotation_study
from xlrm.annotation import unblinding
from xlrm.evaluation import records as records_lib
from xlrm.jobs import verdict_sources


@pytest.fixture
def folder(tmp_path):
  """Of a study of people that was just begun."""
  return people.begin(tmp_path / "people")


@pytest.fixture
def records():
  return people.make_records()


def prompted(records, judge="j", count=3):
  """Both orders of the first prompts."""
  return [
    records_lib.Verdict(first.id, second.id, judge, order, "first")
    for first, second in zip(records[: 2 * count : 2], records[1::2])
    for order in ("first", "second")
  ]


def test_a_file_a_folder_and_people_are_read_in_order(
  folder, records, tmp_path
):
  with people.serving(folder) as clients:
    for client in clients.values():
      for _ in range(client.get()[1]["total"]):
        client.answer(people.prefer(people.OURS))
  judge = tmp_path / "judge_x"
  judge.mkdir()
  records_lib.write(judge / "verdicts.jsonl", prompted(records))
  (judge / annotation_study.ANSWERS).write_bytes(b"the judge's own")
  file = tmp_path / "other.jsonl.gz"
  records_lib.write(file, prompted(records, "other"))
  found, notes = verdict_sources.read([judge, file, folder], records)
  with annotation_study.opened(folder) as store:
    said = unblinding.verdicts(
      annotation_study.read_key(folder), store.answers()
    )
  assert found == [*prompted(records), *prompted(records, "other"), *said]
  assert len(said) == 20 and notes == []


def test_people_who_saw_other_outputs_are_refused(folder, records):
  with people.serving(folder) as clients:
    for _ in range(3):  # two of her tasks are attention checks
      clients["ana"].answer(lambda _: "left")
  other = [dataclasses.replace(x, output=f"{x.output}!") for x in records]
  with pytest.raises(ValueError, match=f"{folder}: people were shown other"):
    verdict_sources.read([folder], other)
  scored = [dataclasses.replace(x, scores={"new": 1.0}) for x in records]
  verdict_sources.read([folder], scored)


def test_g28_people_who_said_nothing_are_named(folder, records):
  with pytest.raises(ValueError, match=f"{folder}: nobody has judged"):
    verdict_sources.read([folder], records)


def test_verdicts_on_other_records_are_left_out_and_counted(records, tmp_path):
  path = tmp_path / "v.jsonl"
  records_lib.write(path, prompted(records, count=5))
  found, (note,) = verdict_sources.read(str(path), records[:6])
  assert found == prompted(records)
  assert note.startswith(f"4 of 10 verdicts in {path}")
  with pytest.raises(ValueError, match=f"{path}: none of its 10 verdicts"):
    verdict_sources.read([path], records[20:])


def test_g28_a_verdict_on_two_prompts_is_refused(records, tmp_path):
  path = tmp_path / "v.jsonl"
  wrong = records_lib.Verdict(
    records[0].id, records[3].id, "j", "first", "first"
  )
  records_lib.write(path, [wrong])
  with pytest.raises(ValueError, match=f"{path}: .*answer different prompts"):
    verdict_sources.read([path], records)


def test_g28_a_judge_that_comes_twice_is_named_with_both_files(
  records, tmp_path
):
  for name in ("a", "b"):
    records_lib.write(tmp_path / f"{name}.jsonl", prompted(records))
  sources = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
  with pytest.raises(ValueError, match="b.jsonl: j has .* in .*a.jsonl, too"):
    verdict_sources.read(sources, records)


@pytest.mark.parametrize(
  ("name", "content", "said"),
  [
    ("gone.jsonl", None, "no file .*gone.jsonl"),
    ("cut.jsonl", b'{"first": "a", ', "cut.jsonl:1: one JSON object"),
    ("none.jsonl", b"", "none.jsonl:1: the file is empty"),
    ("cut.jsonl.gz", b"\x1f\x8b\x08", "cut.jsonl.gz:1: a truncated"),
    ("bytes.jsonl", b"\xff\xfe\x00", "bytes.jsonl:1: UTF-8"),
    ("empty/x", b"", "empty holds no verdicts: verdicts.jsonl of"),
    ("people/answers.sqlite", b"", "people holds no verdicts: .* key.json of"),
    ("people/key.json", b"{}", "people holds no study of people"),
    (
      "records.jsonl",
      json.dumps({"study": "s"}).encode(),
      "records.jsonl:1: unknown field 'study'",
    ),
  ],
)
def test_g28_a_damaged_source_is_named(
  records, tmp_path, name, content, said, recwarn
):
  path = tmp_path / name
  path.parent.mkdir(exist_ok=True)
  if content is not None:
    path.write_bytes(content)
  source = path if path.parent == tmp_path else path.parent
  with pytest.raises((ValueError, OSError), match=said):
    verdict_sources.read([source], records)
