"""A language model of three matrices, trained by `fit`; also as a command.

  python tiny_run.py MODEL_DIR [point[:step]]

trains in MODEL_DIR; at `point` of that step the process sends itself a real
signal: step, orbax, manifest, best, prune, evaluate (SIGKILL) or term
(SIGTERM).
"""

import os
import pathlib
import signal
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np

from xlrm.checkpoints import manifest
from xlrm.checkpoints import run_checkpoints
from xlrm.distributed import meshes
from xlrm.losses import token_losses
from xlrm.training import fit
from xlrm.training import optimizers

ROWS, LENGTH, VOCAB, WIDTH = 16, 6, 512, 16
STEPS = 12


class Source:
  """Batch i is a pure function of i; weights are uneven over the rows."""

  def __init__(self, rows=ROWS, bad_from=None, bad_until=10**9, on_batch=None):
    self.rows, self.on_batch = rows, on_batch
    self.bad_from = 10**9 if bad_from is None else bad_from
    self.bad_until = bad_until

  def batch(self, index):
    draw = np.random.default_rng([7, index])
    tokens = draw.integers(2, 40, (self.rows, 1, LENGTH))
    rate = np.linspace(0.2, 0.7, self.rows).reshape(-1, 1, 1)
    weights = draw.random((self.rows, 1, LENGTH)) < rate
    scale = np.ones((self.rows,), np.float32)
    if self.bad_from <= index < self.bad_until:
      scale[3] = np.nan
    return {
      "inputs": tokens.astype(np.int32),
      "targets": (tokens + 1).astype(np.int32),
      "weights": weights.astype(np.float32),
      "scale": scale,
    }

  def train_batches(self, start_step):
    while True:
      if self.on_batch is not None:
        self.on_batch(start_step)
      yield self.batch(start_step)
      start_step += 1

  def validation_batches(self):
    for index in range(10**6, 10**6 + 2):
      yield self.batch(index)

  def examples(self, split):
    del split
    return []

  def fingerprint(self):
    return f"tiny {self.rows}"


def new_params():
  keys = jax.random.split(jax.random.key(1), 3)
  return {
    "token_embedder": {"embedding": jax.random.normal(keys[0], (VOCAB, WIDTH))},
    "decoder": {
      "mlp": {"kernel": jax.random.normal(keys[1], (WIDTH, 256)) / 4},
      "logits_dense": {"kernel": jax.random.normal(keys[2], (256, VOCAB)) / 16},
    },
  }


def make_loss(dropout_rate=0.0):
  def loss_fn(params, batch, key=None):
    x = params["token_embedder"]["embedding"][batch["inputs"]]
    hidden = jnp.tanh(x @ params["decoder"]["mlp"]["kernel"])
    if key is not None and dropout_rate:
      kept = jax.random.bernoulli(key, 1 - dropout_rate, hidden.shape)
      hidden = jnp.where(kept, hidden, 0.0)
    loss = token_losses.language_model_loss(
      hidden * batch["scale"][:, None, None, None],
      params["decoder"]["logits_dense"]["kernel"],
      batch["targets"],
      batch["weights"],
      z_loss=1e-4,
    )
    count = jnp.float32(batch["weights"].size)
    return loss.replace(
      metrics={**loss.metrics, "filled": (batch["weights"].sum(), count)}
    )

  return loss_fn


def evaluate(params, step):
  """Some number that depends on the parameters; best at an early step."""
  del step
  kernel = params["decoder"]["mlp"]["kernel"]
  return {"validation/rouge_l": float(jnp.abs(kernel).sum() % 1)}


def training(model_dir, *, source=None, optimizer=None, mesh=None, **changes):
  """A run with defaults that suit the tests; `changes` are of TrainConfig."""
  options = {
    name: changes.pop(name)
    for name in ("evaluate", "frozen", "params", "loss_fn")
    if name in changes
  }
  settings = {
    "train_steps": STEPS,
    "eval_period": 5,
    "log_period": 2,
    **changes,
  }
  mesh = mesh or meshes.MeshConfig(1, 1).build(jax.devices()[:1])
  return fit.Training(
    params=options.pop("params", None) or new_params(),
    loss_fn=options.pop("loss_fn", None) or make_loss(),
    optimizer=optimizer or optimizers.adamw(1e-2),
    source=source or Source(),
    config=fit.TrainConfig(**settings),
    mesh=mesh,
    model_dir=model_dir,
    description="tiny",
    **options,
  )


def run(model_dir, **changes):
  """Trains."""
  return fit.fit(training(model_dir, **changes))


def run_for_signals(model_dir, source=None, mesh=None, optimizer=None):
  """The run that is killed and continued."""
  return run(
    model_dir,
    source=source,
    mesh=mesh,
    optimizer=optimizer,
    loss_fn=make_loss(dropout_rate=0.1),
    evaluate=evaluate,
    best_metric="validation/rouge_l",
    best_mode="max",
    keep_checkpoints=1,
    checkpoint_period=3,
  )


def _kill(number=signal.SIGKILL):
  os.kill(os.getpid(), number)


def _arm(point, step):
  """Makes the process kill itself at a point of the run."""
  if point in ("step", "term"):
    number = signal.SIGKILL if point == "step" else signal.SIGTERM
    return Source(on_batch=lambda i: _kill(number) if i == step else None)

  def before(owner, name, delay=None):
    original = getattr(owner, name)

    def replacement(*args, **kwargs):
      if f"checkpoint_{step}" not in str(args) and step not in args:
        return original(*args, **kwargs)
      if delay is None:
        _kill()
      threading.Thread(target=lambda: (time.sleep(delay), _kill())).start()
      return original(*args, **kwargs)

    setattr(owner, name, replacement)

  if point == "orbax":  # while Orbax writes
    before(run_checkpoints.Checkpointer, "save", delay=0.004)
  elif point == "manifest":  # all arrays are there, the manifest is not
    before(manifest, "write")
  elif point == "best":  # the checkpoint is complete, best.json is not
    run_checkpoints.Checkpointer.mark_best = lambda *_: _kill()
  elif point == "prune":
    before(run_checkpoints, "_remove", delay=0.0)
  elif point == "evaluate":
    before(sys.modules[__name__], "evaluate")
  else:
    raise ValueError(f"no point {point!r}")
  return None


if __name__ == "__main__":
  where, _, when = (sys.argv[2:] or [""])[0].partition(":")
  armed = _arm(where, int(when or 0)) if where else None
  run_for_signals(pathlib.Path(sys.argv[1]), armed)
