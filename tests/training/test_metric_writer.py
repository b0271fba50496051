"""Rows of metrics, and how a resumed run continues them."""

import json
import math

import numpy as np
import pytest

from xlrm.training import metric_writer


def _lines(directory, name=metric_writer.METRICS):
  return (directory / name).read_text().splitlines()


def test_rows_are_written_and_read(tmp_path):
  writer = metric_writer.MetricWriter(tmp_path)
  writer.write(1, {"train/loss": np.float32(0.5), "a": 1})
  writer.write_timing(1, {"timing/steps_per_second": 3.0})
  writer.sync()
  writer.close()
  assert _lines(tmp_path) == ['{"a": 1.0, "step": 1, "train/loss": 0.5}']
  assert len(_lines(tmp_path, metric_writer.TIMING)) == 1
  assert metric_writer.read(tmp_path / metric_writer.METRICS) == [
    {"step": 1, "a": 1.0, "train/loss": 0.5}
  ]
  assert list((tmp_path / "tensorboard").glob("events*"))


def test_nan_is_null_because_json_has_no_nan(tmp_path):
  writer = metric_writer.MetricWriter(tmp_path)
  writer.write(1, {"loss": math.nan})
  writer.close()
  assert json.loads(_lines(tmp_path)[0]) == {"step": 1, "loss": None}
  (row,) = metric_writer.read(tmp_path / metric_writer.METRICS)
  assert math.isnan(row["loss"])


def test_g18_a_resumed_run_cuts_the_file_back(tmp_path):
  writer = metric_writer.MetricWriter(tmp_path)
  for step in (2, 4, 6):
    writer.write(step, {"loss": 1 / step})
  writer.close()
  before = _lines(tmp_path)
  path = tmp_path / metric_writer.METRICS
  path.write_text(path.read_text() + '{"step": 8, "lo')  # killed here
  writer = metric_writer.MetricWriter(tmp_path, start_step=4)
  assert _lines(tmp_path) == before[:2]
  writer.write(6, {"loss": 1 / 6})
  writer.close()
  assert _lines(tmp_path) == before


def test_g28_a_broken_line_is_named(tmp_path):
  path = tmp_path / metric_writer.METRICS
  for line, said in (
    ('{"loss": 1}', "a row with a step"),
    ("[1]", "a JSON ob"),
  ):
    path.write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(ValueError, match=f"metrics.jsonl:2: {said}"):
      metric_writer.read(path)
  assert metric_writer.read(tmp_path / "none") == []


def test_averages_divide_sums_by_sums():
  averages = metric_writer.Averages()
  averages.add({"a": (np.float32(1), np.float32(1))})
  averages.add({"a": (np.float32(1), np.float32(3)), "b": (0, 0)})
  kept = averages.sums()
  means = averages.means()
  assert means["a"] == 0.5 and math.isnan(means["b"])
  averages.add({"a": (9, 1)})
  assert metric_writer.Averages(kept).means()["a"] == 0.5


def test_plain_lines_when_not_a_terminal(capsys):
  progress = metric_writer.Progress("sft", 0, 9)
  progress.step()
  progress.line(4, {"train/loss": 0.123456, "train/other": 1})
  progress.close()
  assert capsys.readouterr().out == "sft 4/9  train/loss 0.1235\n"


def test_a_bar_on_a_terminal(monkeypatch, capsys):
  monkeypatch.setattr("sys.stderr.isatty", lambda: True)
  progress = metric_writer.Progress("sft", 3, 9)
  progress.step()
  progress.line(4, {"train/loss": 0.5})
  progress.close()
  written = capsys.readouterr()
  assert "4/9" in written.err and "train/loss=0.5" in written.err
  assert written.out == ""
