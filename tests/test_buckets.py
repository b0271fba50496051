"""gs://bucket/x is read, written or refused, and never a folder called 'gs:'.

Every function that takes a path from a user, and every command.
"""

import json
import os

import example_pools
import jax
import numpy as np
import people
import pytest
import tiny_run

from xlrm.annotation import annotation_study
from xlrm.batches import batch_feed
from xlrm.batches import npz_files
from xlrm.batches import prompt_files
from xlrm.best_of_n import best_of_k
from xlrm.best_of_n import distillation
from xlrm.best_of_n import pool_records
from xlrm.best_of_n import pools
from xlrm.checkpoints import conversion
from xlrm.checkpoints import huggingface
from xlrm.checkpoints import huggingface_config
from xlrm.checkpoints import manifest
from xlrm.checkpoints import model_description
from xlrm.checkpoints import model_files
from xlrm.checkpoints import native
from xlrm.checkpoints import pretrained
from xlrm.checkpoints import run_checkpoints
from xlrm.checkpoints import t5x
from xlrm.config import gin_jobs
from xlrm.data import file_tasks
from xlrm.data import oasst_files
from xlrm.data import seahorse_files
from xlrm.distributed import processes
from xlrm.evaluation import accuracy_files
from xlrm.evaluation import records
from xlrm.evaluation.prompted import answer_cache
from xlrm.evaluation.prompted import judge_templates
from xlrm.launch import main
from xlrm.launch.studies import study_state
from xlrm.launch.targets import launch_plan
from xlrm.ppo import ppo_adapters
from xlrm.ppo import reward_scale
from xlrm.rewards import reward_models
from xlrm.storage import chunked_files
from xlrm.storage import files
from xlrm.storage import package_data
from xlrm.storage import row_files
from xlrm.studies import study
from xlrm.studies import study_cells
from xlrm.text import tokenizer
from xlrm.training import metric_writer

PLACE = "gs://bucket/x"
VOCABULARY = str(package_data.asset("nano", "spiece.model"))
REFUSED = {
  "load_language_model": lambda: pretrained.load_language_model(PLACE),
  "load_scorer": lambda: pretrained.load_scorer(PLACE),
  "load verdicts": lambda: pretrained.load_scorer(f"verdict:{PLACE}"),
  "load_tokenizer": lambda: pretrained.load_tokenizer(PLACE),
  "ensemble": lambda: reward_models.load([PLACE, PLACE]),
  "identity": lambda: reward_models.identity(PLACE),
  "fingerprint": lambda: model_files.fingerprint(PLACE),
  "model_directory": lambda: model_files.model_directory(PLACE),
  "convert from": lambda: conversion.convert(PLACE, "out", "hf"),
  "t5x.read": lambda: t5x.read(PLACE),
  "huggingface.read": lambda: huggingface.read(PLACE),
  "tokenizer_files": lambda: huggingface.tokenizer_files(PLACE),
  "config": lambda: huggingface_config.read(PLACE),
  "steps": lambda: native.steps(PLACE),
  "best_step": lambda: native.best_step(PLACE),
  "native.read": lambda: native.read(PLACE),
  "native.read_rest": lambda: native.read_rest(PLACE),
  "native.marks": lambda: native.marks(PLACE),
  "load_params": lambda: native.load_params(PLACE, {}),
  "verify": lambda: manifest.verify(PLACE),
  "Checkpointer": lambda: run_checkpoints.Checkpointer(PLACE),
  "fit": lambda: tiny_run.run(PLACE),
  "MetricWriter": lambda: metric_writer.MetricWriter(PLACE),
  "npz_source": lambda: npz_files.npz_source(PLACE, {}, 1),
  "is_mounted": lambda: batch_feed.is_mounted(PLACE),
  "ChunkedFile": lambda: chunked_files.ChunkedFile(PLACE, "job", 1),
  "AnswerCache": lambda: answer_cache.AnswerCache(PLACE),
  "peek": lambda: answer_cache.peek(PLACE, []),
  "check_continued": lambda: ppo_adapters.check_continued(PLACE, None),
  "records.read": lambda: records.read(PLACE),
  "pools.read": lambda: pools.read(PLACE),
  "winners": lambda: distillation.winners_source(PLACE, "en", {}, 1, None),
  "accuracy": lambda: accuracy_files.read(PLACE),
  "template": lambda: judge_templates.Template.load(PLACE),
  "Tokenizer": lambda: tokenizer.Tokenizer.load(PLACE),
  "PromptFile": lambda: prompt_files.PromptFile(PLACE).examples("test"),
  "seahorse": lambda: list(seahorse_files.read(PLACE)),
  "articles": lambda: seahorse_files.read_articles(PLACE),
  "oasst": lambda: oasst_files.read(PLACE),
  "ids": lambda: file_tasks._ids(PLACE),
  "rows": lambda: list(row_files.rows(PLACE)),
  "study": lambda: people_study(PLACE),
  "local job": lambda: launch_plan.LaunchJob("x", PLACE, "").folder(),
}


def people_study(place):
  with annotation_study.locked(files.local(place)):
    people.begin(place)


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_needs_a_folder_or_a_file_refuses_by_name(name, bucket):
  with pytest.raises((ValueError, OSError), match=PLACE):
    REFUSED[name]()
  assert not os.listdir() and not os.listdir(bucket)


def test_results_are_written_and_read(bucket):
  record = people.make_record(0, "best_of_n", "en", "Texto.")
  records.write(f"{PLACE}/r.jsonl.gz", [record])
  assert records.read(f"{PLACE}/r.jsonl.gz") == [record]
  accuracy_files.write(f"{PLACE}/accuracy.json", [])
  assert accuracy_files.read(f"{PLACE}/accuracy.json") == []
  scale = reward_scale.RewardScale(2.0)
  scale.write(PLACE)
  assert reward_scale.RewardScale.read(PLACE) == scale
  assert reward_scale.RewardScale.read("gs://bucket/none") is None
  ppo_adapters.write(PLACE, {"rank": 4})
  ppo_adapters.write(PLACE, None)
  assert metric_writer.read(f"{PLACE}/metrics.jsonl") == []
  made = [example_pools.pool()]
  pools.write(f"{PLACE}/pools.jsonl", made)
  assert pools.read(f"{PLACE}/pools.jsonl") == made
  best_of_k.write_curves(f"{PLACE}/best_of_k.csv", made)
  chosen = list(pool_records.Choice("s", "p", 0).records(made[0]))
  pool_records.write_alpaca_eval(f"{PLACE}/alpaca", chosen, made)
  files.write_text(f"{PLACE}/template.txt", "x")
  assert not os.listdir()
  assert (bucket / "x" / "best_of_k.csv").is_file()


def test_models_are_written_where_others_can_read_them(bucket):
  nano = pretrained.load_language_model("nano")
  pretrained.write_archive(
    PLACE, nano.params, nano.description, nano.vocabulary
  )
  with np.load(bucket / "x" / "params.npz") as arrays:
    assert len(arrays.files) == len(jax.tree.leaves(nano.params))
  found = model_description.read(f"{PLACE}/model.json")
  assert found == nano.description
  made = tokenizer.Tokenizer.load(f"{PLACE}/spiece.model", 32)
  assert made.fingerprint() == nano.tokenizer.fingerprint()
  conversion.convert("nano", "gs://bucket/hf", "hf")
  assert (bucket / "hf" / "model.safetensors").is_file()
  tokenizer.train_vocabulary(["a b c d e f g"] * 9, 18, f"{PLACE}/own.model")
  assert tokenizer.Tokenizer.load(f"{PLACE}/own.model").vocab_size == 18
  assert not os.listdir()


def test_a_study_in_a_bucket_is_planned_with_its_name(bucket):
  """It runs where the bucket is mounted, see `xlrm study --launcher`."""
  made = study.Study(PLACE, ("en",), ("es",), "sft.{language}", "rm.{language}")
  cells = study_cells.cells(made)
  assert cells
  for cell in cells:
    assert str(cell.folder).startswith(PLACE)
    assert any(PLACE in line for line in cell.bindings)
    assert study_state.state(cell, "x") is study_state.CellState.MISSING
  with pytest.raises(ValueError, match=PLACE):
    with study_state.lock(made):
      pass
  assert not os.listdir() and not os.listdir(bucket)


@pytest.fixture
def inputs(bucket):
  """Files of a bucket for commands to read."""
  records.write(
    "gs://bucket/in/records.jsonl",
    [
      people.make_record(i, method, source, f"{method} {i}")
      for i in range(3)
      for method, source in (("best_of_n", "en"), ("sample", ""))
    ],
  )
  row = {"prompt": "El lunes", "response": "Texto.", "text": "a b c d e f g"}
  row_files.write("gs://bucket/in/rows.jsonl", [json.dumps(row)] * 9)
  return bucket


ROWS = "gs://bucket/in/rows.jsonl"
OUT = "gs://bucket/out"
COMMANDS = {
  "run": [
    *("run", "--gin_file=sft.gin", f"--gin.MODEL_DIR={OUT!r}"),
    "--gin.MIXTURE_OR_TASK_NAME='miniworld_summary.es'",
  ],
  "gin file": ["run", f"--gin_file={OUT}/sft.gin"],
  "sample": ["sample", "--model=nano", f"--input={ROWS}", f"--output={OUT}/x"],
  "policy": ["sample", f"--model={OUT}", f"--input={ROWS}", "--output=o.jsonl"],
  "best_of_n": [
    *("best_of_n", "--policy=nano", "--reward=en=verdict:nano", "-n=1"),
    *(f"--input={ROWS}", f"--output={OUT}"),
  ],
  "score": [
    "score",
    "--model=verdict:nano",
    f"--input={ROWS}",
    f"--output={OUT}/x.jsonl",
  ],
  "judge": [
    *("judge", "--backend=local", "--model=nano", f"--output={OUT}/v.jsonl"),
    "--records=gs://bucket/in/records.jsonl",
  ],
  "annotate": [
    *("annotate", "gs://bucket/in/records.jsonl", f"--output={OUT}"),
    *("--annotators=ana", "--language=es", "--method=best_of_n"),
    *("--source=en", "--baseline=sample"),
  ],
  "export": ["annotate", "export", OUT, "--output=x.csv"],
  "study": ["study", "--gin_file=demo_study.gin", f"--gin.MODEL_DIR={OUT!r}"],
  "launch": [
    *("launch", "local", "--gin_file=sft.gin", f"--gin.MODEL_DIR={OUT!r}"),
    "--gin.MIXTURE_OR_TASK_NAME='miniworld_summary.es'",
  ],
  "convert": ["convert", OUT, "o", "--to=hf"],
  "realtext": ["realtext", f"--output={OUT}"],
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_that_needs_a_folder_says_so_and_makes_none(
  name, inputs, capsys, monkeypatch
):
  monkeypatch.setenv("XLRM_REAL_DATA", "data")
  monkeypatch.setattr(processes, "count", lambda: 1)
  try:
    code = main.main(COMMANDS[name])
  except SystemExit as stop:
    code = stop.code
  said = capsys.readouterr().err
  assert code == 2 and OUT in said, said
  assert "Traceback" not in said
  assert not os.listdir(), os.listdir()
  assert os.listdir(inputs) == ["in"]
  gin_jobs.gin.clear_config()


def test_commands_that_write_one_file_write_it_there(inputs, capsys):
  options = ["--field=text", "--size=18", f"--output={OUT}/own.model"]
  assert main.main(["vocab", f"--input={ROWS}", *options]) == 0
  assert main.main(["convert", "nano", f"{OUT}/hf", "--to=hf"]) == 0
  page = ["--tokenizer=nano", f"--html={OUT}/page.html", "--max_rows=5"]
  assert main.main(["inspect", "miniworld_rating.tr", *page]) == 0
  assert sorted(os.listdir(inputs / "out")) == ["hf", "own.model", "page.html"]
  assert not os.listdir()
