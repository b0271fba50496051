"""The one training loop.

A step is a pure function of (state, batch, key) and batch i a pure function of
the source and i; what the host remembers is in every checkpoint. So a run
killed anywhere and started again with the same command ends with the same
bits (G18).
"""

from collections.abc import Callable
import math
import os
import pathlib
from typing import Any

import jax
import numpy as np
import optax

from xlrm import types
from xlrm.batches import batch_feed
from xlrm.batches import batch_sources
from xlrm.checkpoints import native
from xlrm.distributed import device_memory
from xlrm.distributed import lazy_params
from xlrm.distributed import meshes
from xlrm.distributed import preemption
from xlrm.distributed import sharding
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
  checkpointer: native.Checkpointer, abstract: Any, data: str
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
    raise native.CheckpointError(
      f"{checkpointer.path(step)} was trained on other data (fingerprint "
      f"{metadata['data']}, now {data}): task, lengths, batch size and seed "
      "must be those it began with; or choose another MODEL_DIR"
    )
  averages = metric_writer.Averages(metadata["averages"])
  memory = train_loop.HostState(**{**metadata, "averages": averages})
  # A kill between a checkpoint and its best.json leaves an older best.json.
  checkpointer.mark_best(memory.best)
  return type(abstract)(params=params, **rest), memory


COMPILED = 7e8  # parameters; a larger model is not compiled to be planned


def _print_plan(
  step_fn, abstract: TrainState, batch, key, plan, devices: bool | str
) -> None:
  """
  Args:
    plan: the arithmetic, if the job has one.
    devices: what to fit into, see `fit`.
  """
  count = sum(math.prod(x.shape) for x in jax.tree.leaves(abstract.params))
  print(f"parameters: {count:,}")
  for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
    print(f"batch {sharding.path_name(path)}: {leaf.shape} {leaf.dtype}")
  if plan is not None:
    named = device_memory.devices(devices) if isinstance(devices, str) else None
    print(plan.text(named))
  if plan is not None and count > COMPILED:
    print(f"not compiled: more than {COMPILED:.0e} parameters")
    return
  memory = step_fn.lower(abstract, batch, key).compile().memory_analysis()
  platform = jax.devices()[0].platform
  for name in ("argument", "temp"):
    size = getattr(memory, f"{name}_size_in_bytes", None)
    if size is not None:
      print(
        f"{name} memory per device, compiled for {platform}: "
        f"{size / 2**30:.3f} GiB"
      )


def fit(
  params: types.Params | lazy_params.LazyParams,
  *,
  loss_fn: LossFunction,
  optimizer: optax.GradientTransformation,
  source: batch_sources.BatchSource,
  config: TrainConfig,
  mesh: jax.sharding.Mesh,
  model_dir: str | os.PathLike,
  frozen: tuple[str, ...] = (),
  evaluate: train_loop.Evaluation | None = None,
  begin: Callable[[], None] | None = None,
  planned: training_memory.Planned | None = None,
  description: str = "train",
  dry_run: bool | str = False,
) -> FitResult | None:
  """Trains, or continues what stands in `model_dir`.

  Args:
    params: to start from, not touched; lazy ones are read or made in place,
      and only if there is nothing to continue.
    loss_fn: sums of losses and weights; its key is None in validation.
    optimizer: of the parameters that are not frozen.
    frozen: regular expressions of parameter paths that stay as they are.
    evaluate: further metrics of the parameters, after every `eval_period`.
    begin: called once, when every check has passed and before anything else is
      written into `model_dir`; not in a dry run.
    planned: lets a dry run count the memory of a step without compiling it.
    description: begins every line of progress.
    dry_run: print shapes, parameters and memory; run no step, write nothing.
      A name such as 'v4-32' says whether it fits there, see
      `memory_plan.devices`.

  Raises:
    Preempted: SIGTERM came; saved, and the same command continues.
    NonFiniteError: see `TrainConfig.max_nonfinite_steps`.
    CheckpointError: `model_dir` holds another run, or is damaged.
  """
  if not isinstance(params, lazy_params.LazyParams):
    params = lazy_params.LazyParams.given(params)
  shapes = params.abstract
  mask = frozen_params.frozen_mask(shapes, frozen) if frozen else None
  first, validation, data = batch_feed.look(source)
  rows = len(jax.tree.leaves(first)[0])
  meshes.check_batch_size(rows, mesh, config.num_microbatches)
  if evaluate is None:
    _check_best_metric(config.best_metric, loss_fn, shapes, validation)
  abstract = train_step.abstract_state(shapes, optimizer, mesh, mask)
  step_fn = train_step.jit_train_step(
    make_train_step(
      loss_fn, optimizer, num_microbatches=config.num_microbatches, mask=mask
    ),
    abstract,
  )
  key = jax.random.key(config.seed)
  if dry_run:
    plan = planned and training_memory.training_plan(
      planned,
      optimizer=optimizer,
      batch=first,
      mesh=mesh,
      mask=mask,
      num_microbatches=config.num_microbatches,
    )
    placed = sharding.shard(first, mesh)
    with meshes.active(mesh):
      _print_plan(step_fn, abstract, placed, key, plan, dry_run)
    return None
  checkpointer = native.Checkpointer(model_dir, keep=config.keep_checkpoints)
  restored = restore(checkpointer, abstract, data)
  state, memory = restored or (
    initial_state(params, optimizer, mesh, mask),
    train_loop.HostState(data),
  )
  if begin is not None:
    begin()
  if restored is not None:
    print(f"{description}: continues at step {int(state.step)}", flush=True)
  feed = batch_feed.open_feed(source, mesh, rows, model_dir)
  loop = train_loop.Loop(
    source=feed,
    config=config,
    mesh=mesh,
    model_dir=pathlib.Path(model_dir),
    description=description,
    checkpointer=checkpointer,
    step_fn=step_fn,
    validate=make_validation(loss_fn, feed),
    evaluate=evaluate,
    key=key,
    memory=memory,
    place=feed.place,
    describe=describe(feed),
  )
  result = loop.run(state)
  feed.close()
  return result


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
