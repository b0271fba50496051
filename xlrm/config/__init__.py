"""gin: from a .gin file and bindings to a job.

from xlrm import config
config.load(["reward.gin"], ["MODEL_DIR = 'runs/rm_en'", ...]).run()
"""


def __getattr__(name: str):
  """`load` and `ConfigError`, imported when they are asked for."""
  if name == "load":
    from xlrm.config import gin_jobs

    return gin_jobs.load
  if name == "ConfigError":
    from xlrm.config import gin_statements

    return gin_statements.ConfigError
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
