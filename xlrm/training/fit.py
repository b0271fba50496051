"""The one training loop.

A step is a pure function of (state, batch, key) and batch i a pure function of
the source and i; what the host remembers is in every checkpoint. So a run
killed anywhere and started again with the same command ends with the same
bits (G18).
"""

from collections.abc import Callable, Sequence
import dataclasses
import os
from typing import Any

import jax
import numpy as np
import optax

from xlrm import types
from xlrm.batches import batch_feed
from xlrm.batches import batch_sources
from xlrm.checkpoints import checkpoint_errors
from xlrm.checkpoints import run_checkpoints
from xlrm.distributed import device_memory
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.distributed import preemption
from xlrm.distributed import sharding
from xlrm.storage import files
from xlrm.training import fit_plan
from xlrm.training import frozen_params
from xlrm.training import metric_writer
from xlrm.training import train_config
from xlrm.training import train_loop
from xlrm.training import train_step
from xlrm.training import training_memory

# What jobs need of the loop and of a step, so that they import one module.
TrainConfig = train_config.TrainConfig
FitResult = train_loop.FitResult
NonFiniteError = train_loop.NonFiniteError
LossFunction = train_step.LossFunction
TrainState = train_step.TrainState
initial_state = train_step.initial_state
make_train_step = train_step.make_train_step
PREEMPTED_EXIT_CODE = preemption.PREEMPTED_EXIT_CODE
Preempted = preemption.Preempted


def make_validation(
  loss_fn: LossFunction, feed: batch_feed.Feed
) -> Callable[[types.Params], dict[str, float]]:
  """params -> {'validation/..': mean over the validation batches}."""

  @jax.jit
  def sums(params, batch):
    return train_step.loss_metrics(loss_fn(params, batch, None))

  def validate(params):
    averages = metric_writer.Averages()
    for batch in feed.validation_batches():
      placed = feed.place(batch)
      with meshes.active(feed.mesh):
        averages.add(sums(params, placed))
    means = averages.means()
    return {f"validation/{name}": mean for name, mean in means.items()}

  return validate


def describe(
  feed: batch_feed.Feed,
) -> Callable[[int, Any], dict[str, np.ndarray]]:
  """(step, batch) -> all its arrays, if need be made again."""

  def arrays(step, batch):
    return train_loop.leaves(
      batch if feed.own is None else feed.whole(step - 1)
    )

  return arrays


def restore(
  checkpointer: run_checkpoints.Checkpointer, abstract: Any, data: str
) -> tuple[Any, train_loop.HostState] | None:
  """State and memory of the newest good checkpoint; None if there is none.

  Args:
    abstract: the state, a dataclass with `params`, with its shardings.
    data: fingerprint of the source, which must be that of the checkpoint.
  """
  restored = checkpointer.restore_latest(
    abstract.params, train_loop.rest_of(abstract)
  )
  if restored is None:
    return None
  step, params, rest, metadata = restored
  if metadata["data"] != data:
    raise checkpoint_errors.CheckpointError(
      f"{checkpointer.path(step)} was trained on other data (fingerprint "
      f"{metadata['data']}, now {data}): task, lengths, batch size and seed "
      "must be those it began with; or choose another MODEL_DIR"
    )
  averages = metric_writer.Averages(metadata["averages"])
  memory = train_loop.HostState(**{**metadata, "averages": averages})
  # A kill between a checkpoint and its best.json leaves an older best.json.
  checkpointer.mark_best(memory.best)
  return type(abstract)(params=params, **rest), memory


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Training:
  """What a run of training is made of; for `plan` and `fit`.

  Attributes:
    params: to start from, not touched; lazy ones are read or made in place,
      and only if there is nothing to continue.
    loss_fn: sums of losses and weights; its key is None in validation.
    optimizer: of the parameters that are not frozen.
    source: of batches.
    config: how long, how often, what is best.
    mesh: of the run.
    model_dir: that a run leaves, and continues.
    frozen: regular expressions of parameter paths that stay as they are.
    evaluate: further metrics of the parameters, after every `eval_period`.
    begin: called once, when every check has passed and before anything else is
      written into `model_dir`; not by `plan`.
    planned: lets `plan` count the memory of a step without compiling it.
    description: begins every line of progress.
  """

  params: types.Params | lazy_params.LazyParams
  loss_fn: LossFunction
  optimizer: optax.GradientTransformation
  source: batch_sources.BatchSource
  config: TrainConfig
  mesh: jax.sharding.Mesh
  model_dir: str | os.PathLike
  frozen: Sequence[str] = ()
  evaluate: train_loop.Evaluation | None = None
  begin: Callable[[], None] | None = None
  planned: training_memory.Planned | None = None
  description: str = "train"


@dataclasses.dataclass(frozen=True, eq=False)
class _Checked:
  """What planning and training have in common, once every check has passed."""

  params: lazy_params.LazyParams
  mask: types.Params | None  # True at frozen parameters
  first: Any  # the first batch, whole
  data: str  # fingerprint of the source
  state: TrainState  # abstract
  step_fn: Any  # jitted
  key: jax.Array

  @property
  def rows(self) -> int:
    return len(jax.tree.leaves(self.first)[0])


def _checked(training: Training) -> _Checked:
  config, mesh, params = training.config, training.mesh, training.params
  if not isinstance(params, lazy_params.LazyParams):
    params = lazy_params.LazyParams.given(params)
  shapes, mask = params.abstract, None
  if training.frozen:
    mask = frozen_params.frozen_mask(shapes, tuple(training.frozen))
  first, validation, data = batch_feed.look(training.source)
  meshes.check_batch_size(
    len(jax.tree.leaves(first)[0]), mesh, config.num_microbatches
  )
  if training.evaluate is None:
    _check_best_metric(config.best_metric, training.loss_fn, shapes, validation)
  state = train_step.abstract_state(shapes, training.optimizer, mesh, mask)
  step = make_train_step(
    training.loss_fn,
    training.optimizer,
    num_microbatches=config.num_microbatches,
    mask=mask,
  )
  return _Checked(
    params=params,
    mask=mask,
    first=first,
    data=data,
    state=state,
    step_fn=train_step.jit_train_step(step, state),
    key=jax.random.key(config.seed),
  )


def plan(
  training: Training, devices: str | None = None
) -> fit_plan.TrainingPlan:
  """What `fit` would take; runs no step and writes nothing.

  Args:
    devices: to fit into, such as 'v4-32', as many as the mesh has; None lists
      all kinds.

  Raises:
    ValueError: what `fit` would refuse before its first step.
  """
  named = device_memory.of_mesh(devices, training.mesh)
  found = _checked(training)
  memory = training.planned and training_memory.training_plan(
    training.planned,
    optimizer=training.optimizer,
    batch=found.first,
    mesh=training.mesh,
    mask=found.mask,
    num_microbatches=training.config.num_microbatches,
  )
  placed = sharding.shard(found.first, training.mesh)
  with meshes.active(training.mesh):
    return fit_plan.of_step(
      found.step_fn, found.state, placed, found.key, memory, named
    )


def fit(training: Training) -> FitResult:
  """Trains, or continues what stands in `model_dir`.

  Raises:
    Preempted: SIGTERM came; saved, and the same command continues.
    NonFiniteError: see `TrainConfig.max_nonfinite_steps`.
    CheckpointError: `model_dir` holds another run, or is damaged.
  """
  found = _checked(training)
  config, mesh = training.config, training.mesh
  model_dir = files.local(training.model_dir)
  checkpointer = run_checkpoints.Checkpointer(
    model_dir, keep=config.keep_checkpoints
  )
  restored = restore(checkpointer, found.state, found.data)
  state, memory = restored or (
    initial_state(found.params, training.optimizer, mesh, found.mask),
    train_loop.HostState(found.data),
  )
  if training.begin is not None:
    training.begin()
  if restored is not None:
    print(
      f"{training.description}: continues at step {int(state.step)}", flush=True
    )
  feed = batch_feed.open_feed(training.source, mesh, found.rows, model_dir)
  try:
    return train_loop.Loop(
      source=feed,
      config=config,
      mesh=mesh,
      model_dir=model_dir,
      description=training.description,
      checkpointer=checkpointer,
      step_fn=found.step_fn,
      validate=make_validation(training.loss_fn, feed),
      evaluate=training.evaluate,
      key=found.key,
      memory=memory,
      place=feed.place,
      describe=describe(feed),
    ).run(state)
  finally:
    feed.close()


def _check_best_metric(name: str, loss_fn, shapes, batch) -> None:
  """Before the first step rather than at the first evaluation."""
  if batch is None:
    return
  metrics = jax.eval_shape(
    lambda p, b: train_step.loss_metrics(loss_fn(p, b, None)), shapes, batch
  )
  train_loop.require_metric(
    name, [f"validation/{metric}" for metric in metrics]
  )
