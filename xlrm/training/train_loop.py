"""What the training loop does between steps: log, evaluate, save, stop.

The host reads the metrics of a step while the device works on the next one.
All that it remembers from step to step is `HostState`, which is in every
checkpoint, so that a resumed run decides as the first one would have.
"""

from collections.abc import Callable, Collection, Mapping
import dataclasses
import difflib
import pathlib
import time
from typing import Any

import jax
import numpy as np

from xlrm import types
from xlrm.batches import batch_sources
from xlrm.checkpoints import run_checkpoints
from xlrm.distributed import meshes
from xlrm.distributed import preemption
from xlrm.distributed import processes
from xlrm.distributed import sharding
from xlrm.storage import files
from xlrm.training import metric_writer
from xlrm.training import train_config
from xlrm.training import train_step

# (parameters, step) -> metrics; what is a text goes to TensorBoard only.
Evaluation = Callable[[types.Params, int], Mapping[str, Any]]


class NonFiniteError(ValueError):
  """The loss or its gradient stayed infinite or NaN."""


@dataclasses.dataclass(frozen=True)
class FitResult:
  """What a run leaves.

  Attributes:
    params: after the last step; the best are in the model directory.
    step: steps done.
    history: every line of metrics.jsonl.
    best_step: of the best checkpoint; None without an evaluation.
  """

  params: types.Params
  step: int
  history: list[dict[str, Any]]
  best_step: int | None


@dataclasses.dataclass
class HostState:
  """What the host remembers between steps; in every checkpoint's metadata."""

  data: str  # fingerprint of the source
  averages: metric_writer.Averages = dataclasses.field(
    default_factory=metric_writer.Averages
  )
  best: dict[str, Any] | None = None  # content of best.json
  since_best: int = 0

  def metadata(self) -> dict[str, Any]:
    """The fields as JSON can hold them."""
    return {**vars(self), "averages": self.averages.sums()}


def rest_of(state: train_step.TrainState) -> dict[str, Any]:
  """The fields of a state apart from its parameters."""
  return {name: x for name, x in vars(state).items() if name != "params"}


def require_metric(name: str, names: Collection[str]) -> None:
  """Raises ValueError, with the nearest, if a metric is none of `names`."""
  if name not in names:
    nearest = difflib.get_close_matches(name, names, 1, 0.0)
    raise ValueError(
      f"best_metric {name!r} is none of the metrics: "
      f"{', '.join(sorted(names))}; nearest: {nearest[0]}"
    )


def leaves(batch: Any) -> dict[str, np.ndarray]:
  """The arrays of a batch on the host, by their paths."""
  return {
    sharding.path_name(key).replace("/", "."): np.asarray(leaf)
    for key, leaf in jax.tree_util.tree_leaves_with_path(batch)
  }


@dataclasses.dataclass
class Loop:
  """The story of a run; `run` is its beginning."""

  source: batch_sources.BatchSource
  config: train_config.TrainConfig
  mesh: jax.sharding.Mesh
  model_dir: pathlib.Path
  description: str
  checkpointer: run_checkpoints.Checkpointer
  step_fn: Callable
  validate: Callable[[types.Params], dict[str, float]]
  evaluate: Evaluation | None
  key: jax.Array
  memory: HostState
  place: Callable[[Any], Any] | None = None  # default: rows over the mesh
  prefix: str = "train/"  # of what a step reports
  # (step, batch) -> arrays that are saved of it; default: its leaves.
  describe: Callable[[int, Any], dict[str, Any]] | None = None

  def run(self, state: train_step.TrainState) -> FitResult:
    """Trains from a state to the last step, or until something ends it."""
    done = int(state.step)
    self.streak = int(state.nonfinite_streak)
    self.clock = (time.monotonic(), done)
    self.writer = metric_writer.MetricWriter(self.model_dir, start_step=done)
    self.progress = metric_writer.Progress(
      self.description, done, self.config.train_steps
    )
    try:
      with preemption.Watch() as watch:
        state = self._steps(state, done, watch)
    finally:
      self.progress.close()
      self.writer.close()
      self.checkpointer.close()
    history = processes.on_first(
      metric_writer.read, self.model_dir / metric_writer.METRICS
    )
    best = self.memory.best
    return FitResult(
      state.params, int(state.step), history, best and best["step"]
    )

  def _steps(
    self, state: train_step.TrainState, done: int, watch: preemption.Watch
  ) -> train_step.TrainState:
    """The device works on one step while the host prepares the next batch and
    reads the metrics of the step before."""
    config = self.config
    stream = self.source.train_batches(done)
    vote = processes.Vote()
    pending = None  # (step, batch, metrics) of the step just dispatched
    while done < config.train_steps and not self._out_of_patience():
      batch = next(stream)
      placed = self._placed(batch)
      with meshes.active(self.mesh):
        state, metrics = self.step_fn(state, placed, self.key)
      done += 1
      if pending is not None:
        self._collect(*pending)
      pending = (done, batch, metrics)
      self.checkpointer.check()
      preempted = vote.any(watch.received)
      if config.saves(done) or preempted:
        self._collect(*pending)
        pending = None
        if config.evaluates(done):
          self._evaluate(state.params, done)
        self._save(state, done)
      if preempted and done < config.train_steps:
        self.checkpointer.wait()
        print(f"{self.description}: SIGTERM, saved at step {done}", flush=True)
        raise preemption.Preempted()
    self.checkpointer.wait()
    return state

  def _placed(self, batch: Any) -> Any:
    if self.place is not None:
      return self.place(batch)
    return sharding.shard(batch, self.mesh)

  def _out_of_patience(self) -> bool:
    patience = self.config.patience
    return patience is not None and self.memory.since_best >= patience

  def _collect(self, step: int, batch: Any, metrics) -> None:
    """Reads a finished step's metrics; logs every `log_period` steps."""
    metrics = jax.device_get(metrics)
    self.progress.step()
    self._check_finite(step, batch, bool(metrics["skipped"][0]))
    self.memory.averages.add(metrics)
    if not self.config.logs(step):
      return
    means = self.memory.averages.means()
    means = {f"{self.prefix}{name}": mean for name, mean in means.items()}
    self.memory.averages = metric_writer.Averages()
    self.writer.write(step, means)
    self.progress.line(step, means)
    then, self.clock = self.clock, (time.monotonic(), step)
    rate = (step - then[1]) / max(self.clock[0] - then[0], 1e-9)
    self.writer.write_timing(step, {"timing/steps_per_second": rate})

  def _check_finite(self, step: int, batch: Any, skipped: bool) -> None:
    self.streak = self.streak + 1 if skipped else 0
    if self.streak == 1:
      print(
        f"{self.description}: step {step}: loss or gradient not finite, "
        "update skipped",
        flush=True,
      )
    if self.streak < self.config.max_nonfinite_steps:
      return
    path = self.model_dir / f"nonfinite_batch_{step}.npz"
    arrays = self.describe(step, batch) if self.describe else leaves(batch)
    if processes.is_first():
      with files.writing(path) as file:
        np.savez(file, **arrays)
    raise NonFiniteError(
      f"loss or gradient not finite in {self.streak} steps in a row, the last "
      f"of them step {step}; its batch is in {path}; try a lower learning rate"
    )

  def _evaluate(self, params: types.Params, step: int) -> None:
    metrics = self.validate(params)
    found = {} if self.evaluate is None else self.evaluate(params, step)
    for name, value in found.items():
      if isinstance(value, str):
        self.writer.write_text(step, name, value)
      else:
        metrics[name] = value
    metrics = processes.broadcast(metrics)  # they choose the best, and the end
    if not metrics:
      return
    self.writer.write(step, metrics)
    self.progress.line(step, metrics)
    name = self.config.best_metric
    require_metric(name, metrics)
    best = self.memory.best
    self.memory.since_best += 1
    if self.config.is_better(metrics[name], best and best["value"]):
      value = float(metrics[name])
      self.memory.best = {"step": step, "metric": name, "value": value}
      self.memory.since_best = 0

  def _save(self, state: train_step.TrainState, step: int) -> None:
    self.writer.sync()
    self.checkpointer.save(
      step,
      state.params,
      rest_of(state),
      self.memory.metadata(),
      best=self.memory.best,
    )
