"""Metrics to TensorBoard and to JSONL at once.

`metrics.jsonl` holds what a run computed and nothing of the clock, so that a
resumed run leaves the same bytes; `timing.jsonl` holds the clock.
"""

from collections.abc import Mapping
import json
import os
import pathlib

import tensorboardX

METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"


def read(path: str | os.PathLike) -> list[dict[str, float]]:
  """The complete lines of a JSONL file; a half-written last one is dropped."""
  file = pathlib.Path(path)
  if not file.is_file():
    return []
  rows = []
  for line in file.read_bytes().split(b"\n")[:-1]:
    rows.append(json.loads(line))
  return rows


class MetricWriter:
  """Appends rows of metrics, each with its step."""

  def __init__(self, directory: str | os.PathLike, *, start_step: int = 0):
    """Opens the files of a run and cuts them back to `start_step`."""
    self._directory = pathlib.Path(directory)
    self._directory.mkdir(parents=True, exist_ok=True)
    self._cut(METRICS, start_step)
    self._cut(TIMING, start_step)
    self._board = tensorboardX.SummaryWriter(
      str(self._directory / "tensorboard"), purge_step=start_step or None
    )

  def _cut(self, name: str, step: int) -> None:
    path = self._directory / name
    kept = [row for row in read(path) if row["step"] <= step]
    temporary = path.with_suffix(".partial")
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in kept)
    temporary.write_text(lines, encoding="utf-8")
    os.replace(temporary, path)

  def _append(self, name: str, step: int, values: Mapping[str, float]) -> None:
    row = {"step": step, **{key: float(x) for key, x in values.items()}}
    with open(self._directory / name, "a", encoding="utf-8") as file:
      file.write(json.dumps(row, sort_keys=True) + "\n")
    for key, value in values.items():
      self._board.add_scalar(key, float(value), step)

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """What the run computed."""
    self._append(METRICS, step, metrics)

  def write_timing(self, step: int, timing: Mapping[str, float]) -> None:
    """What the clock said."""
    self._append(TIMING, step, timing)

  def close(self) -> None:
    self._board.close()
