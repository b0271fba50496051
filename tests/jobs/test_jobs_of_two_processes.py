"""Every job by two processes gives what one process gives."""

import dataclasses
import json
import pathlib

import numpy as np
import process_jobs
import pytest
import two_processes

from xlrm.checkpoints import native
from xlrm.checkpoints import pretrained
from xlrm.evaluation import accuracy_files


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp("compilations")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, cache):
  """Every job by two processes, and by one."""
  place = tmp_path_factory.mktemp("jobs")
  process_jobs.prepare(place)
  names = list(process_jobs.COMPARED)
  for some in names[:5], names[5:]:
    two_processes.Pair.start(
      place, cache, *(f"{x}:{x}_two" for x in some)
    ).finish(2 * two_processes.LIMIT)
  results = {x: process_jobs.JOBS[x](place, place / f"{x}_one") for x in names}
  return place, results


@pytest.mark.slow
@pytest.mark.parametrize("job", ["sft", "reward", "ppo", "pretrain"])
def test_trained_parameters_are_those_of_one_process(job, jobs):
  place, results = jobs
  ours = native.read(place / f"{job}_two" / "checkpoint_5")
  theirs = native.read(place / f"{job}_one" / "checkpoint_5")
  assert ours.keys() == theirs.keys() and results[job].step == 5
  for name, array in ours.items():
    np.testing.assert_allclose(
      array.whole(), theirs[name].whole(), atol=1e-5, rtol=1e-5
    )
  assert (
    two_processes.lines(place / f"{job}_two")[0].keys()
    == results[job].history[0].keys()
  )


def read_lines(path: pathlib.Path) -> list[dict]:
  text = path.read_text(encoding="utf-8")
  return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
  ("job", "name", "texts", "numbers"),
  [
    ("best_of_n", "parts/samples.jsonl", "texts", "logprobs"),
    ("best_of_n", "parts/greedy.jsonl", "texts", "logprobs"),
    ("files", "drawn.jsonl", "responses", "logprobs"),
    ("files", "scored.jsonl", "responses", "score"),
  ],
)
def test_drawn_texts_are_those_of_one_process(job, name, texts, numbers, jobs):
  place, _ = jobs
  ours = read_lines(place / f"{job}_two" / name)
  theirs = read_lines(place / f"{job}_one" / name)
  assert [x[texts] for x in ours] == [x[texts] for x in theirs]
  for a, b in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(a[numbers], b[numbers], atol=1e-4)
  left = [x.name for x in (place / f"{job}_two").rglob("*-of-*")]
  assert not left


@pytest.mark.slow
def test_records_are_written_once_and_in_order(jobs):
  place, _ = jobs
  ours, theirs = (
    read_lines(place / f"best_of_n_{x}" / "records.jsonl")
    for x in ("two", "one")
  )
  keys = ("example_id", "method", "sample", "output")
  assert [[x[k] for k in keys] for x in ours] == [
    [x[k] for k in keys] for x in theirs
  ]


@pytest.mark.slow
def test_the_model_of_pretraining_is_written_once(jobs):
  place, _ = jobs
  ours, theirs = (
    pretrained.load_language_model(str(place / f"pretrain_{x}" / "model"))
    for x in ("two", "one")
  )
  two_processes.assert_close(ours.params, theirs.params)
  assert ours.description == theirs.description


@pytest.mark.slow
def test_a_diagnosis_is_that_of_one_process(jobs):
  place, results = jobs
  ours, theirs = (
    accuracy_files.read(place / f"diagnose_{x}" / "accuracy.json")
    for x in ("two", "one")
  )
  assert theirs == results["diagnose"] and theirs[0].n == 17
  for a, b in zip(ours, theirs, strict=True):
    for name, value in dataclasses.asdict(a).items():
      assert getattr(b, name) == pytest.approx(value, abs=1e-6), name
  ours, theirs = (
    read_lines(place / f"diagnose_{x}" / "scores.jsonl") for x in ("two", "one")
  )
  assert [x["id"] for x in ours] == [x["id"] for x in theirs]
  np.testing.assert_allclose(
    [x["scores"] for x in ours], [x["scores"] for x in theirs], atol=1e-4
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  "name",
  ["evaluate/records.jsonl", "evaluate/report.html", "judge/verdicts.jsonl"],
)
def test_what_one_host_works_out_is_the_same_file(name, jobs):
  place, _ = jobs
  job, _, file = name.partition("/")
  ours, theirs = (place / f"{job}_{x}" / file for x in ("two", "one"))
  assert ours.read_bytes() == theirs.read_bytes() and ours.stat().st_size
