"""The few names of T5X that `xlrm.t5x_trainer` uses, where T5X is absent.

What they stand for was read in https://github.com/google-research/t5x; nothing
here trains. The tests of the real trainer are skipped without T5X.
"""

import enum
import importlib
import importlib.util
import sys
import types

from flax import struct


class BaseTransformerModel:
  """Keeps what the real one keeps of these arguments."""

  def __init__(
    self, module, input_vocabulary, output_vocabulary, optimizer_def
  ):
    self.module = module
    self.input_vocabulary = input_vocabulary
    self.output_vocabulary = output_vocabulary
    self.optimizer_def = optimizer_def


class FactorDim(enum.Enum):
  NONE = None
  ROW = 2
  COLUMN = 3


class Metric(struct.PyTreeNode):
  """Stands for T5X's metrics of time."""

  value: object = None

  @classmethod
  def from_model_output(cls, numerator=None):
    return cls(numerator)


def get_vocabulary(cfg):
  return cfg.vocabularies


def summarize_gin_config(model_dir, summary_writer, step):
  del model_dir, summary_writer, step


NAMES = {
  "adafactor": {
    "FactorDim": FactorDim,
    "standard_logical_factor_rules": lambda: {
      "embed": FactorDim.ROW,
      "vocab": FactorDim.COLUMN,
    },
  },
  "gin_utils": {"summarize_gin_config": summarize_gin_config},
  "metrics": {"StepsPerTime": Metric, "TimeRate": Metric, "Time": Metric},
  "models": {"BaseTransformerModel": BaseTransformerModel},
  "utils": {"DatasetConfig": object, "get_vocabulary": get_vocabulary},
}


PACKAGE = "xlrm.t5x_trainer"
MODULES = (f"{PACKAGE}.t5x_models", f"{PACKAGE}.t5x_settings")


def forget() -> None:
  """Modules that were imported on the stand-ins are imported no more."""
  for name in MODULES:
    sys.modules.pop(name, None)


def import_modules(monkeypatch):
  """`t5x_models` and `t5x_settings` on these stand-ins, T5X there or not."""
  package = types.ModuleType("t5x")
  monkeypatch.setitem(sys.modules, "t5x", package)
  for name, content in NAMES.items():
    module = types.ModuleType(f"t5x.{name}")
    vars(module).update(content)
    setattr(package, name, module)
    monkeypatch.setitem(sys.modules, f"t5x.{name}", module)
  forget()
  return tuple(importlib.import_module(name) for name in MODULES)
