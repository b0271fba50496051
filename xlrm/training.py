"""The one training loop.

A step is a pure function of (state, batch, key); the key is
fold_in(key(seed), step) and batch i a pure function of the source and i, so
that a run killed anywhere and started again ends with the same bits.
"""

from collections.abc import Callable, Mapping
import dataclasses
import math
import pathlib
import signal
import sys
import threading
import time
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

from xlrm import batches
from xlrm import losses
from xlrm import metric_writer
from xlrm import optimizers
from xlrm import sharding
from xlrm import types
from xlrm.checkpoints import native

LossFunction = Callable[[types.Params, Any, jax.Array | None], losses.Loss]
Evaluation = Callable[[types.Params, int], Mapping[str, float]]
PREEMPTED_EXIT_CODE = 75  # EX_TEMPFAIL: start the same command again


class Preempted(SystemExit):
  """SIGTERM came; the state is saved."""


class NonFiniteError(ValueError):
  """The loss or its gradient stayed infinite or NaN."""


@struct.dataclass
class TrainState:
  """Everything on devices that a run carries from step to step."""

  step: types.Array  # int32 scalar, steps done
  params: types.Params
  opt_state: Any
  nonfinite_streak: types.Array  # int32 scalar, updates skipped in a row
  nonfinite_total: types.Array  # int32 scalar, updates skipped


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """How long, how often, what is best.

  Attributes:
    train_steps: steps of THIS job (T5X counts from the start of pre-training).
    eval_period: steps between evaluations; each is followed by a checkpoint.
    checkpoint_period: further checkpoints between them; None is none.
    log_period: steps averaged into one line of metrics.
    num_microbatches: parts of a batch whose gradients are summed.
    seed: of dropout and of fresh parameters.
    keep_checkpoints: newest ones that stay, beside the best.
    best_metric: name of the metric that picks the best checkpoint.
    best_mode: 'min' or 'max'.
    patience: evaluations without a new best before the run stops; None: never.
    max_nonfinite_steps: updates skipped in a row (NaN or infinite loss or
      gradient) before the run stops.
  """

  train_steps: int
  eval_period: int = 1000
  checkpoint_period: int | None = None
  log_period: int = 10
  num_microbatches: int = 1
  seed: int = 0
  keep_checkpoints: int = 1
  best_metric: str = "validation/loss"
  best_mode: str = "min"
  patience: int | None = None
  max_nonfinite_steps: int = 10

  def __post_init__(self):
    for name in (
      "train_steps",
      "eval_period",
      "log_period",
      "num_microbatches",
      "keep_checkpoints",
      "max_nonfinite_steps",
      "checkpoint_period",
      "patience",
    ):
      value = getattr(self, name)
      if value is not None and value < 1:
        raise ValueError(f"{name} {value} is below 1")
    if self.best_mode not in ("min", "max"):
      raise ValueError(f"best_mode {self.best_mode!r} is not 'min' or 'max'")

  def is_better(self, value: float, best: float | None) -> bool:
    if not math.isfinite(value):
      return False
    if best is None:
      return True
    return value < best if self.best_mode == "min" else value > best


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
  history: list[dict[str, float]]
  best_step: int | None


def initial_state(
  params: types.Params, optimizer: optax.GradientTransformation
) -> TrainState:
  """Step 0. A pure function: jit it to create optimizer state in place."""

  def zero():
    return jnp.zeros((), jnp.int32)

  params = jax.tree.map(jnp.array, params)  # a copy: the step donates it
  return TrainState(zero(), params, optimizer.init(params), zero(), zero())


def _split(batch: Any, parts: int) -> Any:
  """[B ..] -> [parts B/parts ..], each device keeping rows of its own."""
  return jax.tree.map(
    lambda x: jnp.swapaxes(
      x.reshape(x.shape[0] // parts, parts, *x.shape[1:]), 0, 1
    ),
    batch,
  )


def _sums(
  loss_fn: LossFunction,
  params: types.Params,
  batch: Any,
  key: jax.Array,
  parts: int,
) -> tuple[Any, Any]:
  """Gradient of the total, and (total, weight, metrics), summed over parts."""

  def total(params, batch, key):
    loss = loss_fn(params, batch, key)
    return loss.total, (loss.total, loss.weight, loss.metrics)

  def part(batch, key):
    return jax.grad(total, has_aux=True)(params, batch, key)

  if parts == 1:
    return part(batch, key)
  split = _split(batch, parts)
  keys = jax.random.split(key, parts)
  zeros = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype),
    jax.eval_shape(part, jax.tree.map(lambda x: x[0], split), keys[0]),
  )

  def body(carry, xs):
    return jax.tree.map(jnp.add, carry, part(*xs)), None

  return jax.lax.scan(body, zeros, (split, keys))[0]


def make_train_step(
  loss_fn: LossFunction,
  optimizer: optax.GradientTransformation,
  *,
  num_microbatches: int = 1,
  frozen: Any = None,
) -> Callable[[TrainState, Any, jax.Array], tuple[TrainState, dict]]:
  """One update; jit it with the state donated.

  The gradient is that of sum(total) / sum(weight) over all microbatches and
  devices. An update whose loss or gradient is not finite is skipped.

  Args:
    frozen: tree of bools; no gradient is computed where True.

  Returns:
    step(state, batch, key) -> (state, metrics as {name: (sum, weight)}).
  """

  def loss_of_trained(params, batch, key):
    if frozen is not None:
      params = jax.tree.map(
        lambda x, stop: jax.lax.stop_gradient(x) if stop else x, params, frozen
      )
    return loss_fn(params, batch, key)

  def step(state: TrainState, batch: Any, key: jax.Array):
    key = jax.random.fold_in(key, state.step)
    gradient, (total, weight, metrics) = _sums(
      loss_of_trained, state.params, batch, key, num_microbatches
    )
    scale = 1.0 / jnp.maximum(weight, 1e-9)
    gradient = jax.tree.map(lambda g: g * scale.astype(g.dtype), gradient)
    norm = optax.global_norm(gradient)
    good = jnp.isfinite(total) & jnp.isfinite(norm)
    updates, opt_state = optimizer.update(
      gradient, state.opt_state, state.params
    )
    params = optax.apply_updates(state.params, updates)

    def keep(new, old):
      return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)

    bad = (~good).astype(jnp.int32)
    state = TrainState(
      step=state.step + 1,
      params=keep(params, state.params),
      opt_state=keep(opt_state, state.opt_state),
      nonfinite_streak=(state.nonfinite_streak + 1) * bad,
      nonfinite_total=state.nonfinite_total + bad,
    )
    one = jnp.ones((), jnp.float32)
    logged = {f"train/{name}": pair for name, pair in metrics.items()}
    logged["train/loss"] = (total, weight)
    logged["train/gradient_norm"] = (norm, one)
    # A skipped step leaves the averages alone; only its count is logged.
    logged = {
      name: (jnp.where(good, a, 0.0), jnp.where(good, b, 0.0))
      for name, (a, b) in logged.items()
    }
    logged["train/skipped"] = (bad.astype(jnp.float32), one)
    return state, (logged, state.nonfinite_streak)

  return step


def make_validation(loss_fn: LossFunction, source: batches.BatchSource, mesh):
  """A function params -> means of the loss and its metrics over validation."""

  @jax.jit
  def sums(params, batch):
    loss = loss_fn(params, batch, None)
    return {"loss": (loss.total, loss.weight), **loss.metrics}

  def validate(params) -> dict[str, float]:
    added = _Averages()
    for batch in source.validation_batches():
      added.add(sums(params, sharding.shard(batch, mesh)))
    return {f"validation/{name}": x for name, x in added.means().items()}

  return validate


class _Averages:
  """Sums and weights by name, on the host."""

  def __init__(self, sums: Mapping[str, list[float]] | None = None):
    self.sums = {name: list(pair) for name, pair in (sums or {}).items()}

  def add(self, metrics: Mapping[str, tuple[Any, Any]]) -> None:
    for name, pair in jax.device_get(dict(metrics)).items():
      kept = self.sums.setdefault(name, [0.0, 0.0])
      kept[0] += float(pair[0])
      kept[1] += float(pair[1])

  def means(self) -> dict[str, float]:
    return {n: a / b if b else float("nan") for n, (a, b) in self.sums.items()}


class _Signal:
  """Notes a SIGTERM while a run lasts, and restores the old handler."""

  def __enter__(self):
    self.received = False
    self._main = threading.current_thread() is threading.main_thread()
    if self._main:
      self._old = signal.signal(signal.SIGTERM, self._note)
    return self

  def _note(self, number, frame):
    self.received = True

  def __exit__(self, *error):
    if self._main:
      signal.signal(signal.SIGTERM, self._old)


class _Progress:
  """A bar on a terminal, plain lines elsewhere."""

  def __init__(self, description: str, step: int, total: int):
    self._description, self._total = description, total
    self._bar = None
    if sys.stderr.isatty():
      self._bar = tqdm.tqdm(
        total=total, initial=step, desc=description, unit="step"
      )

  def step(self) -> None:
    if self._bar is not None:
      self._bar.update()

  def line(self, step: int, metrics: Mapping[str, float]) -> None:
    shown = {
      name: f"{value:.4g}"
      for name, value in metrics.items()
      if name.endswith(("/loss", "/accuracy", "/rouge_l"))
    }
    if self._bar is not None:
      self._bar.set_postfix(shown)
    else:
      text = "  ".join(f"{name} {value}" for name, value in shown.items())
      print(f"{self._description} {step}/{self._total}  {text}", flush=True)

  def close(self) -> None:
    if self._bar is not None:
      self._bar.close()


@dataclasses.dataclass
class _Run:
  """Host state of a run; all of it but the clock is in every checkpoint."""

  averages: _Averages
  best: float | None = None
  best_step: int | None = None
  since_best: int = 0

  def metadata(self, fingerprint: str) -> dict[str, Any]:
    return {
      "averages": self.averages.sums,
      "best": self.best,
      "best_step": self.best_step,
      "since_best": self.since_best,
      "data": fingerprint,
    }


def _restore(
  checkpointer, abstract: TrainState, fingerprint: str
) -> tuple[TrainState, _Run] | None:
  rest = {
    name: getattr(abstract, name)
    for name in ("step", "opt_state", "nonfinite_streak", "nonfinite_total")
  }
  restored = checkpointer.restore_latest(abstract.params, rest)
  if restored is None:
    return None
  step, params, rest, metadata = restored
  if metadata["data"] != fingerprint:
    raise native.CheckpointError(
      f"{checkpointer.path(step)} was trained on other data (fingerprint "
      f"{metadata['data']}, now {fingerprint}): task, lengths, batch size and "
      "seed must be those it began with; or choose another MODEL_DIR"
    )
  run = _Run(
    _Averages(metadata["averages"]),
    metadata["best"],
    metadata["best_step"],
    metadata["since_best"],
  )
  return TrainState(params=params, **rest), run


def _abstract(state_fn: Callable[[], TrainState], mesh) -> TrainState:
  shapes = jax.eval_shape(state_fn)
  shardings = sharding.tree_shardings(shapes, mesh)
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    shapes,
    shardings,
  )


def _plan(step_fn, abstract: TrainState, batch: Any, key) -> None:
  """Prints shapes, parameters and memory per device; runs nothing."""
  count = sum(math.prod(x.shape) for x in jax.tree.leaves(abstract.params))
  print(f"parameters: {count:,}")
  for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
    print(f"batch {optimizers.path_name(path)}: {leaf.shape} {leaf.dtype}")
  compiled = step_fn.lower(abstract, batch, key).compile()
  memory = compiled.memory_analysis()
  for name in ("argument", "temp"):
    size = getattr(memory, f"{name}_size_in_bytes", None)
    if size is not None:
      print(f"{name} memory per device: {size / 2**30:.3f} GiB")


def fit(
  params: types.Params,
  *,
  loss_fn: LossFunction,
  optimizer: optax.GradientTransformation,
  source: batches.BatchSource,
  config: TrainConfig,
  mesh: jax.sharding.Mesh,
  model_dir: str,
  frozen: tuple[str, ...] = (),
  evaluate: Evaluation | None = None,
  description: str = "train",
  dry_run: bool = False,
) -> FitResult | None:
  """Trains, or continues what stands in `model_dir`.

  Args:
    params: to start from; not touched.
    loss_fn: sums of losses and weights; its key is None in validation.
    optimizer: of the parameters that are not frozen.
    frozen: regular expressions of parameter paths that stay as they are.
    evaluate: further metrics of the parameters, after every `eval_period`.
    dry_run: print shapes, parameters and memory; run no step, write nothing.

  Raises:
    Preempted: SIGTERM came; saved, and the same command continues.
    NonFiniteError: see `TrainConfig.max_nonfinite_steps`.
    CheckpointError: `model_dir` holds another run, or is damaged.
  """
  mask = optimizers.frozen_mask(params, frozen) if frozen else None
  if mask is not None:
    optimizer = optimizers.freeze(optimizer, mask)
  first = next(source.train_batches(0))
  rows = len(jax.tree.leaves(first)[0])
  sharding.check_batch_size(rows, mesh, config.num_microbatches)

  def fresh(params):
    return initial_state(params, optimizer)

  abstract = _abstract(lambda: fresh(params), mesh)
  shardings = jax.tree.map(lambda x: x.sharding, abstract)
  step_fn = jax.jit(
    make_train_step(
      loss_fn,
      optimizer,
      num_microbatches=config.num_microbatches,
      frozen=mask,
    ),
    donate_argnums=0,
    out_shardings=(shardings, None),
  )
  key = jax.random.key(config.seed)
  if dry_run:
    _plan(step_fn, abstract, sharding.shard(first, mesh), key)
    return None
  checkpointer = native.Checkpointer(model_dir, keep=config.keep_checkpoints)
  restored = _restore(checkpointer, abstract, source.fingerprint())
  if restored is None:
    state = jax.jit(fresh, out_shardings=shardings)(params)
    run = _Run(_Averages())
  else:
    state, run = restored
    print(f"{description}: continues at step {int(state.step)}", flush=True)
  loop = _Loop(
    source=source,
    config=config,
    mesh=mesh,
    model_dir=pathlib.Path(model_dir),
    description=description,
    checkpointer=checkpointer,
    step_fn=step_fn,
    validate=make_validation(loss_fn, source, mesh),
    evaluate=evaluate,
    key=key,
    run=run,
  )
  return loop.train(state)


@dataclasses.dataclass
class _Loop:
  """The story of a run, told once; `train` is the beginning."""

  source: batches.BatchSource
  config: TrainConfig
  mesh: jax.sharding.Mesh
  model_dir: pathlib.Path
  description: str
  checkpointer: native.Checkpointer
  step_fn: Callable
  validate: Callable
  evaluate: Evaluation | None
  key: jax.Array
  run: _Run

  def train(self, state: TrainState) -> FitResult:
    done = int(state.step)
    self.writer = metric_writer.MetricWriter(self.model_dir, start_step=done)
    self.progress = _Progress(self.description, done, self.config.train_steps)
    try:
      with _Signal() as interrupted:
        state = self._steps(state, done, interrupted)
    finally:
      self.progress.close()
      self.writer.close()
      self.checkpointer.close()
    history = metric_writer.read(self.model_dir / metric_writer.METRICS)
    return FitResult(state.params, int(state.step), history, self.run.best_step)

  def _steps(self, state: TrainState, done: int, interrupted) -> TrainState:
    config, stream = self.config, None
    pending = None  # (step, batch, metrics) of the step just dispatched
    clock = (time.monotonic(), done)
    while done < config.train_steps and not self._out_of_patience():
      if stream is None:
        stream = self.source.train_batches(done)
      batch = next(stream)
      state, metrics = self.step_fn(
        state, sharding.shard(batch, self.mesh), self.key
      )
      done += 1
      if pending is not None:
        clock = self._collect(*pending, clock)
      pending = (done, batch, metrics)
      evaluates = done % config.eval_period == 0 or done == config.train_steps
      saves = evaluates or (
        config.checkpoint_period and done % config.checkpoint_period == 0
      )
      if saves or interrupted.received:
        clock = self._collect(*pending, clock)
        pending = None
        if evaluates:
          self._evaluate(state.params, done)
        self._save(state, done)
      if interrupted.received and done < config.train_steps:
        self.checkpointer.wait()
        print(f"SIGTERM: saved at step {done}", flush=True)
        raise Preempted(PREEMPTED_EXIT_CODE)
    self.checkpointer.wait()
    return state

  def _out_of_patience(self) -> bool:
    patience = self.config.patience
    return patience is not None and self.run.since_best >= patience

  def _collect(self, step: int, batch: Any, metrics, clock):
    """Reads a finished step's metrics; logs every `log_period` steps."""
    values, streak = metrics
    self.run.averages.add(values)
    self.progress.step()
    if int(streak) >= self.config.max_nonfinite_steps:
      self._stop_nonfinite(step, batch, int(streak))
    if step % self.config.log_period and step != self.config.train_steps:
      return clock
    means = self.run.averages.means()
    self.run.averages = _Averages()
    self.writer.write(step, means)
    self.progress.line(step, means)
    now = time.monotonic()
    rate = (step - clock[1]) / max(now - clock[0], 1e-9)
    self.writer.write_timing(step, {"timing/steps_per_second": rate})
    return now, step

  def _stop_nonfinite(self, step: int, batch: Any, streak: int) -> None:
    path = self.model_dir / f"nonfinite_batch_{step}.npz"
    leaves = {
      optimizers.path_name(key).replace("/", "."): np.asarray(leaf)
      for key, leaf in jax.tree_util.tree_leaves_with_path(batch)
    }
    np.savez(path, **leaves)
    raise NonFiniteError(
      f"loss or gradient not finite in {streak} steps in a row, up to step "
      f"{step}; the batch is in {path}; try a lower learning rate"
    )

  def _evaluate(self, params: types.Params, step: int) -> None:
    metrics = dict(self.validate(params))
    if self.evaluate is not None:
      metrics.update(self.evaluate(params, step))
    if not metrics:
      return
    self.writer.write(step, metrics)
    self.progress.line(step, metrics)
    name = self.config.best_metric
    if name not in metrics:
      raise ValueError(
        f"best_metric {name!r} is none of the metrics: {sorted(metrics)}"
      )
    self.run.since_best += 1
    if self.config.is_better(metrics[name], self.run.best):
      self.run.best, self.run.best_step = metrics[name], step
      self.run.since_best = 0

  def _save(self, state: TrainState, step: int) -> None:
    rest = {
      name: getattr(state, name)
      for name in ("step", "opt_state", "nonfinite_streak", "nonfinite_total")
    }
    metadata = self.run.metadata(self.source.fingerprint())
    self.checkpointer.wait()
    if self.run.best_step == step:
      self.checkpointer.mark_best(step, self.config.best_metric, self.run.best)
    self.checkpointer.save(step, state.params, rest, metadata)
