"""Records survive a round trip; wrong input gives one message."""

import dataclasses
import gzip
import json

import pytest

from xlrm.evaluation import records


def make(**fields):
  values = {
    "study": "s",
    "method": "best_of_n",
    "source": "en",
    "target": "ru",
    "seed": 0,
    "task": "t",
    "dataset": "d",
    "language": "ru",
    "example_id": "ru/test/000001",
    "sample": 3,
    "input": "Заголовок\nстрока\u2028конец",
    "reference": "«Ы»",
    "output": "İğne, ığır",
    "policy": "sft_ru",
    "logprob": -1.5,
    "rank": 0,
    "pool": {"n": 16, "mean": 0.5},
    "scores": {"reward/en": 1.0, "gold": 0.25},
  }
  return records.EvalRecord(**{**values, **fields})


VERDICT = records.Verdict("a", "b", "gold", "first", "tie", {"tie": 1.0})


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_round_trip(tmp_path, name):
  rows = [make(), make(logprob=None, rank=None, pool={}, scores={})]
  records.write(tmp_path / name, rows)
  assert records.read(tmp_path / name) == rows
  records.write(tmp_path / "v.jsonl", [VERDICT])
  assert records.read(tmp_path / "v.jsonl", records.Verdict) == [VERDICT]


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_same_records_same_bytes(tmp_path, name):
  one = make(scores={"a": 1.0, "b": 2.0})
  other = make(scores={"b": 2.0, "a": 1.0})
  records.write(tmp_path / name, [one])
  before = (tmp_path / name).read_bytes()
  records.write(tmp_path / name, [other])
  assert (tmp_path / name).read_bytes() == before


def test_line_keeps_order_and_letters():
  line = records.to_json(make())
  names = [field.name for field in dataclasses.fields(records.EvalRecord)]
  assert list(json.loads(line)) == names
  assert "Заголовок" in line and "\n" not in line


def test_ids_tell_records_apart():
  rows = [make(), make(sample=4), make(method="sample"), make(source="de")]
  assert len({row.id for row in rows}) == len(rows)
  assert make().prompt == make(method="sample", source="", sample=9).prompt


@pytest.mark.parametrize(
  "fields", [{"method": ""}, {"example_id": ""}, {"sample": -1}]
)
def test_refuses_senseless_records(fields):
  with pytest.raises(ValueError, match=next(iter(fields))):
    make(**fields)


def test_refuses_senseless_verdicts():
  with pytest.raises(ValueError, match="'win'.*tie"):
    dataclasses.replace(VERDICT, outcome="win")
  with pytest.raises(ValueError, match="order"):
    dataclasses.replace(VERDICT, order="tie")


def edited(**changes):
  row = json.loads(records.to_json(make()))
  row.update(changes)
  return json.dumps({k: v for k, v in row.items() if v != "absent"})


@pytest.mark.parametrize(
  "line, message",
  [
    ('{"study": "s",', ":2: one JSON object was expected; .* column"),
    ("[1]", ":2: a JSON object was expected, not list"),
    (edited(outptu="x"), ":2: unknown field 'outptu'.*'output'"),
    (edited(output="absent"), ":2: the field 'output' is missing"),
    (edited(seed="1"), ':2: seed is "1", not a whole number'),
    (edited(seed=True), ":2: seed is true, not a whole number"),
    (edited(scores={"gold": "x"}), ":2: scores .* an object of numbers"),
    (edited(logprob=float("nan")), ":2: logprob is NaN, not a number"),
    (edited(sample=-2), ":2: sample -2 is below 0"),
  ],
)
def test_g28_broken_lines_are_named(tmp_path, line, message):
  path = tmp_path / "r.jsonl"
  path.write_text(f"{records.to_json(make())}\n{line}\n", encoding="utf-8")
  with pytest.raises(ValueError, match=message) as error:
    records.read(path)
  assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_g28_truncated_gzip(tmp_path):
  path = tmp_path / "r.jsonl.gz"
  records.write(path, [make(sample=i) for i in range(200)])
  path.write_bytes(path.read_bytes()[:-20])
  with pytest.raises(ValueError, match=r":\d+: a truncated or damaged gzip"):
    records.read(path)
  path.write_bytes(b"not a gzip")
  with pytest.raises(ValueError, match=":1: a truncated or damaged gzip"):
    records.read(path)
  path.write_bytes(gzip.compress(b"\xff\xfe"))
  with pytest.raises(ValueError, match="UTF-8"):
    records.read(path)


def test_g28_missing_and_empty_files(tmp_path):
  records.write(tmp_path / "records.jsonl", [make()])
  with pytest.raises(FileNotFoundError, match="nearest.* records.jsonl"):
    records.read(tmp_path / "record.jsonl")
  (tmp_path / "empty.jsonl").touch()
  with pytest.raises(ValueError, match="empty.jsonl:1: the file is empty"):
    records.read(tmp_path / "empty.jsonl")


def test_g28_nothing_half_written(tmp_path):
  path = tmp_path / "r.jsonl"
  records.write(path, [make()])
  before = path.read_bytes()
  with pytest.raises(ValueError, match="not finite"):
    records.write(path, [make(), make(scores={"gold": float("inf")})])
  assert path.read_bytes() == before
  assert [p.name for p in tmp_path.iterdir()] == ["r.jsonl"]
