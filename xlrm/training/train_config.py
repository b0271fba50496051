"""How long a run is, how often it logs and saves, and what is best."""

import dataclasses
import math

from xlrm.types import checks


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """The options of a run: how long, how often, what is best.

  Attributes:
    train_steps: steps of THIS job (T5X counts from the start of pre-training).
    eval_period: steps between evaluations; each is followed by a checkpoint,
      and so is the last step.
    checkpoint_period: further checkpoints between them; None is none.
    log_period: steps averaged into one line of metrics.
    num_microbatches: parts of a batch whose gradients are summed.
    seed: of dropout and of fresh parameters.
    keep_checkpoints: newest ones that stay, beside the best; with one alone
      there is nothing to fall back to if it is damaged.
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
  keep_checkpoints: int = 2
  best_metric: str = "validation/loss"
  best_mode: str = "min"
  patience: int | None = None
  max_nonfinite_steps: int = 10

  def __post_init__(self):
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if field.name != "seed" and isinstance(value, int):
        checks.at_least(field.name, value, 1)
    checks.one_of("best_mode", self.best_mode, ("min", "max"))

  def is_better(self, value: float, best: float | None) -> bool:
    """Whether a finite metric beats the best so far, if there is one."""
    if not math.isfinite(value):
      return False
    if best is None:
      return True
    return value < best if self.best_mode == "min" else value > best

  def evaluates(self, step: int) -> bool:
    """Whether an evaluation follows this step."""
    return step % self.eval_period == 0 or step == self.train_steps

  def saves(self, step: int) -> bool:
    """Whether a checkpoint follows this step."""
    period = self.checkpoint_period
    return self.evaluates(step) or (period is not None and step % period == 0)

  def logs(self, step: int) -> bool:
    """Whether a line of metrics ends with this step."""
    return step % self.log_period == 0 or step == self.train_steps
