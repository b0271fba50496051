"""Metrics to TensorBoard, to JSONL and to the terminal at once.

`metrics.jsonl` holds what a run computed and nothing of the clock, so that a
resumed run leaves the same bytes; `timing.jsonl` holds the clock.
"""

from collections.abc import Mapping
import json
import math
import os
import pathlib
import sys
from typing import Any

import jax
import tensorboardX
import tqdm

from xlrm.distributed import processes
from xlrm.storage import files
from xlrm.storage import row_files

METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"
Values = Mapping[str, Any]  # numbers: of Python, NumPy or a device
SHOWN = (
  "/loss",
  "objective/scores",
  "objective/kl",
  "validation/gold",
  "/accuracy",
  "/auc",
  "/rouge_l",
  "/steps_per_second",
)


def read(path: files.Name) -> list[dict[str, Any]]:
  """The complete rows of a JSONL file; a half-written last one is dropped.

  null is NaN. A file that does not exist is empty.

  Raises:
    ValueError: a line is no row of metrics; names the file and the line.
  """
  if not files.path(path).exists():
    return []
  rows = []
  for number, line in enumerate(files.read_bytes(path).split(b"\n")[:-1], 1):
    place = f"{path}:{number}"
    row = row_files.parse(place, line)
    row = {k: math.nan if x is None else x for k, x in row.items()}
    step = row.pop("step", None)
    if not isinstance(step, int):
      raise ValueError(
        f"{place}: a row with a step was expected, not {line[:80]!r}"
      )
    rows.append({"step": step, **row})
  return rows


def _line(row: Values) -> str:
  """JSON has no NaN and no infinity."""
  finite = {k: x if math.isfinite(x) else None for k, x in row.items()}
  return json.dumps(finite, sort_keys=True) + "\n"


class MetricWriter:
  """Appends rows of metrics, each with its step: in the first process."""

  def __init__(self, directory: files.Name, *, start_step: int = 0):
    """Opens the files of a run and cuts them back to `start_step`."""
    self._directory = files.local(directory)
    self._files: dict[str, Any] = {}
    self._board = None
    if not processes.is_first():
      return
    self._directory.mkdir(parents=True, exist_ok=True)
    for name in (METRICS, TIMING):
      self._cut(self._directory / name, start_step)
      self._files[name] = open(self._directory / name, "a", encoding="utf-8")
    self._board = tensorboardX.SummaryWriter(
      str(self._directory / "tensorboard"), purge_step=start_step or None
    )

  @staticmethod
  def _cut(path: pathlib.Path, step: int) -> None:
    kept = [row for row in read(path) if row["step"] <= step]
    files.write_text(path, "".join(map(_line, kept)))

  def _append(self, name: str, step: int, values: Values) -> None:
    if self._board is None:
      return
    row = {key: float(value) for key, value in values.items()}
    self._files[name].write(_line({"step": step, **row}))
    self._files[name].flush()
    for key, value in row.items():
      self._board.add_scalar(key, value, step)

  def write(self, step: int, metrics: Values) -> None:
    """Appends what the run computed."""
    self._append(METRICS, step, metrics)

  def write_timing(self, step: int, timing: Values) -> None:
    """Appends what the clock said."""
    self._append(TIMING, step, timing)

  def write_text(self, step: int, name: str, text: str) -> None:
    """Adds a text to be read in TensorBoard."""
    if self._board is None:
      return
    self._board.add_text(name, text, step)

  def sync(self) -> None:
    """Puts the rows on disk: a checkpoint must not outlive its metrics."""
    for file in self._files.values():
      os.fsync(file.fileno())

  def close(self) -> None:
    """Closes the files of the run."""
    for file in self._files.values():
      file.close()
    if self._board is not None:
      self._board.close()


class Averages:
  """Sums and weights by name, on the host, in float64."""

  def __init__(self, sums: Mapping[str, Any] | None = None):
    self._sums = {name: list(pair) for name, pair in (sums or {}).items()}

  def add(self, metrics: Mapping[str, tuple[Any, Any]]) -> None:
    """Adds (sum, weight) pairs, which may be on a device."""
    for name, pair in jax.device_get(dict(metrics)).items():
      kept = self._sums.setdefault(name, [0.0, 0.0])
      kept[0] += float(pair[0])
      kept[1] += float(pair[1])

  def means(self) -> dict[str, float]:
    """The means by name; NaN where nothing had weight."""
    return {n: a / b if b else math.nan for n, (a, b) in self._sums.items()}

  def sums(self) -> dict[str, list[float]]:
    """The sums and weights so far, for `Averages(sums)`."""
    return {name: list(pair) for name, pair in self._sums.items()}


class Progress:
  """A bar on a terminal, plain lines elsewhere."""

  def __init__(self, description: str, step: int, total: int):
    self._description, self._total = description, total
    self._bar = None
    if sys.stderr.isatty() and processes.is_first():
      self._bar = tqdm.tqdm(
        total=total, initial=step, desc=description, unit="step"
      )

  def step(self) -> None:
    """Moves the bar by one step."""
    if self._bar is not None:
      self._bar.update()

  def line(self, step: int, metrics: Values) -> None:
    """Shows the most telling metrics of a step."""
    shown = {n: f"{x:.4g}" for n, x in metrics.items() if n.endswith(SHOWN)}
    if self._bar is not None:
      self._bar.set_postfix(shown)
    else:
      text = "  ".join(f"{name} {value}" for name, value in shown.items())
      print(f"{self._description} {step}/{self._total}  {text}", flush=True)

  def close(self) -> None:
    """Ends the bar."""
    if self._bar is not None:
      self._bar.close()
