"""Scoring files: the same bytes after a kill; errors before the first score."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from xlrm.jobs import score
from xlrm.miniworld import world_rows

SMALL = score.ScoreConfig(batch_size=8, chunk_size=1)


@pytest.fixture
def file(tmp_path):
  path = tmp_path / "rows.jsonl"
  made = [
    {"prompt": row.document, "response": row.summary, "kept": number}
    for number, row in enumerate(world_rows.rating_rows("ru", "test", 0, 40))
  ]
  text = "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in made)
  path.write_text(text, encoding="utf-8")
  return str(path)


def run(file, output, rewards, **options):
  return score.Scoring(
    input=str(file), output=str(output), rewards=rewards, **options
  ).run()


def lines(path):
  text = pathlib.Path(path).read_text(encoding="utf-8")
  return [json.loads(line) for line in text.splitlines()]


def test_rows_keep_their_columns_and_order(reward, file, tmp_path):
  output = tmp_path / "new" / "out.jsonl"
  run(file, output, reward, config=SMALL)
  made = lines(output)
  assert [x["kept"] for x in made] == list(range(40))
  assert all(isinstance(x["score"], float) for x in made)
  assert os.listdir(output.parent) == ["out.jsonl"]


def test_lists_of_responses_get_lists_of_scores(reward, tmp_path):
  path = tmp_path / "rows.jsonl"
  path.write_text(
    json.dumps({"q": "A fire.", "a": ["Fire.", "Snow.", "Fire."]}) + "\n"
  )
  config = score.ScoreConfig(
    prompt_field="q", response_field="a", score_field="s"
  )
  output = str(tmp_path / "out.jsonl")
  run(path, output, [reward] * 2, config=config)
  (row,) = lines(output)
  assert len(row["s"]) == 3 and row["s"][0] == row["s"][2] != row["s"][1]


def test_g18_killed_and_started_again_it_ends_with_the_same_bytes(
  reward, file, tmp_path
):
  whole = tmp_path / "whole.jsonl"
  run(file, whole, reward, config=SMALL)
  code = f"""
from xlrm.rewards import reward_models
from xlrm.jobs import score
import time
real = reward_models.RewardModel.score
def slow(self, *args, **kwargs):
  time.sleep(.3)
  return real(self, *args, **kwargs)
reward_models.RewardModel.score = slow
score.Scoring(
  input={file!r}, output={str(tmp_path / "out.jsonl")!r}, rewards={reward!r},
  config=score.ScoreConfig(batch_size=8, chunk_size=1),
).run()
"""
  state = tmp_path / "out.jsonl.partial.json"
  process = subprocess.Popen([sys.executable, "-c", code])
  while not state.exists() or json.loads(state.read_text())["rows"] < 16:
    assert process.poll() is None
    time.sleep(0.02)
  process.send_signal(signal.SIGKILL)
  process.wait()
  done = json.loads(state.read_text())["rows"]
  assert 16 <= done < 40 and not (tmp_path / "out.jsonl").exists()
  # What a kill in the middle of a write would leave.
  with open(tmp_path / "out.jsonl.partial", "ab") as partial:
    partial.write(b'{"prompt": "half a li')
  again = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True
  )
  assert f"continues at row {done} of 40" in again.stdout
  assert (tmp_path / "out.jsonl").read_bytes() == whole.read_bytes()
  assert not state.exists()


def test_an_interrupted_job_of_other_rows_is_not_continued(
  reward, file, tmp_path
):
  output = tmp_path / "out.jsonl"
  (tmp_path / "out.jsonl.partial").write_text("{}\n")
  state = {"identity": "another", "rows": 1, "bytes": 3}
  (tmp_path / "out.jsonl.partial.json").write_text(json.dumps(state))
  with pytest.raises(ValueError, match="was begun with another model"):
    run(file, output, reward)
  assert (tmp_path / "out.jsonl.partial").read_text() == "{}\n"


def test_a_model_trained_again_is_another_one(reward, file, tmp_path):
  other = tmp_path / "rm"
  shutil.copytree(reward, other)
  rows_read = score._read(file, SMALL)
  before = score._identity(rows_read, [str(other)], SMALL)
  assert before == score._identity(rows_read, [str(other)], SMALL)
  os.utime(other / "params.npz", (1, 1))
  assert score._identity(rows_read, [str(reward)], SMALL) == before
  with np.load(other / "params.npz") as file:
    arrays = {name: file[name] for name in file.files}
  arrays["head/bias"] += 1
  np.savez(other / "params.npz", **arrays)
  assert score._identity(rows_read, [str(other)], SMALL) != before


@pytest.mark.parametrize(
  "row, message",
  [
    ({"prompt": "a", "respons": "b"}, "2: no column 'response'.*'respons'"),
    ({"prompt": "a", "response": 3}, "2: a text or a list .* not 3"),
    ({"prompt": "a", "response": []}, "2: a text or a list"),
    ({"prompt": None, "response": "b"}, "2: text was expected in 'prompt'"),
    (
      {"prompt": "a", "response": "b", "score": 1},
      "2: the row has a column 'score' already",
    ),
  ],
)
def test_g28_a_broken_row_is_told_before_anything_is_written(
  reward, tmp_path, row, message
):
  path = tmp_path / "x.jsonl"
  good = {"prompt": "a", "response": "b"}
  path.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n")
  with pytest.raises(ValueError, match=message):
    run(path, tmp_path / "o", reward)
  assert os.listdir(tmp_path) == ["x.jsonl"]
